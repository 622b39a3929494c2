"""The real lake and the real ledger, on a disk that fails now and then, of a process that may die.

A kill or a failure comes before a write, or right after it. What a kill between two system calls of
one write leaves is the business of the stores, and tested there.
"""

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from crm_pipeline.store.lake import Eraser, Lake, LakeUnavailableError, RowsToErase
from crm_pipeline.store.ledger import Ledger
from crm_pipeline_tests.simulation.wire import Fate


class FaultyLake(Lake):
    """The real lake."""

    def __init__(self, root: str, *, clock: Callable[[], dt.datetime], fate: Fate) -> None:
        super().__init__(root, clock=clock)
        self._fate = fate

    def append(self, *arguments: Any, **more: Any) -> int:
        """Append, unless the disk fails or the process dies; it may die right after, too."""
        return self._guarded(super().append, *arguments, **more)

    def replace(self, *arguments: Any, **more: Any) -> int:
        """Replace, unless the disk fails or the process dies; it may die right after, too."""
        return self._guarded(super().replace, *arguments, **more)

    def keep(self, *arguments: Any, **more: Any) -> int:
        """Keep some rows, unless the disk fails or the process dies; it may die right after."""
        return self._guarded(super().keep, *arguments, **more)

    def compact(self, *arguments: Any, **more: Any) -> int:
        """Fold files, unless the disk fails or the process dies; it may die right after."""
        return self._guarded(super().compact, *arguments, **more)

    def eraser(self) -> Any:
        """Return what erases, with the same dangers."""
        return FaultyEraser(super().eraser(), self._fate)

    def _guarded(self, write: Callable[..., int], *arguments: Any, **more: Any) -> int:
        if self._fate.before_write():
            raise _full()
        rows = write(*arguments, **more)
        self._fate.after_call()
        return rows


class FaultyEraser:
    """The real eraser; it rewrites a table, and drops its history, in one piece or not at all."""

    def __init__(self, eraser: Eraser, fate: Fate) -> None:
        self._eraser = eraser
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        return getattr(self._eraser, name)

    def erase(self, organisation: str, table: str, rows: RowsToErase) -> int:
        """Erase rows, unless the disk fails or the process dies."""
        return self._guarded(self._eraser.erase, organisation, table, rows)

    def drop_history(self, organisation: str, table: str) -> int:
        """Drop the history, unless the disk fails or the process dies."""
        return self._guarded(self._eraser.drop_history, organisation, table)

    def _guarded(self, write: Callable[..., int], *arguments: Any) -> int:
        if self._fate.before_write():
            raise _full()
        count = write(*arguments)
        self._fate.after_call()
        return count


def _full() -> LakeUnavailableError:
    return LakeUnavailableError("The disk is full.", not_done="Nothing was written.")


def make_faulty(ledger: Ledger, fate: Fate) -> None:
    """Let the ledger's transactions fail now and then, or the process die before or after one."""
    database = ledger._database
    whole = database.write

    @contextmanager
    def write() -> Iterator[Any]:
        has_failed = fate.before_write()
        with whole() as connection:
            yield connection
            if has_failed:
                raise sqlite3.OperationalError("disk I/O error")
        fate.after_call()

    database.write = write  # type: ignore[method-assign]
