"""DuckDB instances that wait for the next session: to make one takes longer than most queries.

A session has its instance to itself, with its own limit of memory and its own folder for what does
not fit in it; tables, views and results of a session are gone when the next one begins.
"""

import os
import weakref
from collections import deque
from pathlib import Path

import duckdb

#: Instances that wait, at most. A process with more sessions at once makes the others anew.
_WAITING = 4
#: After a fork the child's copies have no threads: they cannot work, and to end them is a crash.
_NOT_OURS: list[object] = []


_Waiting = deque[duckdb.DuckDBPyConnection]


class Engines:
    """The instances of one process. Thread-safe."""

    def __init__(self, memory: str) -> None:
        self._memory = memory
        self._begin()

    def _begin(self) -> None:
        self._process = os.getpid()
        self._waiting: _Waiting = deque(maxlen=_WAITING)
        weakref.finalize(self, _end, self._process, self._waiting)

    def take(self, spill: Path) -> duckdb.DuckDBPyConnection:
        """Return an instance that nobody else has and that puts what it cannot hold below there."""
        if self._process != os.getpid():
            self._begin()
        while self._waiting:
            try:
                engine = self._waiting.pop()
                engine.execute("SET temp_directory = ?", [str(spill)])
            except IndexError:  # another thread took the last one
                break
            except duckdb.Error:  # a fatal error has ended it
                continue
            return engine
        return duckdb.connect(
            ":memory:",
            config={
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
                "memory_limit": self._memory,
                "temp_directory": str(spill),
            },
        )

    def give_back(self, engine: duckdb.DuckDBPyConnection, spill: Path) -> None:
        """Take an instance back; one that has used its folder cannot get another one, and ends."""
        if spill.exists():
            engine.close()
        else:
            self._waiting.append(engine)


def _end(process: int, waiting: _Waiting) -> None:
    """End the instances that wait, at the latest when the process ends."""
    if process == os.getpid():
        waiting.clear()
    else:
        _NOT_OURS.append(waiting)
