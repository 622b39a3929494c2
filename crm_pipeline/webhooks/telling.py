"""The receiver's log: one JSON line an event on standard error, never a body.

Lines are written by a thread of their own. When nobody reads them they are dropped and counted: a
full pipe must not stop webhooks from being taken.
"""

import json
import queue
import sys
import threading
from typing import TextIO

from crm_pipeline.store.ledger.times import Clock

_MAX_WAITING = 10_000
_STOP_SECONDS = 2.0


class Teller:
    """Writes lines; each call returns at once."""

    def __init__(self, clock: Clock, stream: TextIO | None = None) -> None:
        self._clock = clock
        self._stream = stream or sys.stderr
        self._queue: queue.Queue[str | None] = queue.Queue(_MAX_WAITING)
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="receiver log", daemon=True)
        self._thread.start()

    def __call__(self, action: str, **details: str | int | float) -> None:
        """Log one line. ``details`` hold names, counts and digests, nothing of a person."""
        line = json.dumps({"at": self._clock().isoformat(), "action": action, **details})
        try:
            self._queue.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def close(self) -> None:
        """Write what waits, as far as somebody reads it."""
        if self._dropped:
            self("log lines dropped", lines=self._dropped)
        try:
            self._queue.put(None, timeout=_STOP_SECONDS)
        except queue.Full:
            return
        self._thread.join(_STOP_SECONDS)

    def _run(self) -> None:
        while (line := self._queue.get()) is not None:
            try:
                self._stream.write(line + "\n")
                if self._queue.empty():
                    self._stream.flush()
            except (OSError, ValueError):
                return  # nobody listens any more
        self._stream.flush()
