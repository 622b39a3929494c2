"""Progress on standard error: bars on a terminal, otherwise a line now and then.

Called from several threads; knows nothing of what is being done but the ``Progress`` values.
"""

import sys
import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars

from crm_pipeline.core.records import Progress

#: Plain lines of one stage: the first ones come a second apart, later ones more rarely.
FIRST_LINES, FIRST_SECONDS, LATER_SECONDS = 10, 1.0, 10.0


class ProgressDisplay:
    """A context manager whose ``report`` takes each ``Progress``; ``begin`` names who it is about.

    ``monotonic`` is the clock of the plain lines, for tests.
    """

    def __init__(
        self,
        stream: TextIO | None = None,
        *,
        is_quiet: bool = False,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._stream = stream or sys.stderr
        self._is_quiet = is_quiet
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._subject = ""
        self._tasks: dict[tuple[str, str], TaskID] = {}
        self._shown: dict[tuple[str, str], tuple[int, float]] = {}
        self._bars = self._make_bars() if self._stream.isatty() and not is_quiet else None

    def __enter__(self) -> "ProgressDisplay":
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bars is not None:
            self._bars.stop()

    def begin(self, subject: str) -> None:
        """Say which organisation the next reports are about."""
        with self._lock:
            self._subject = subject

    def report(self, progress: Progress) -> None:
        """Show one report."""
        self._show(self._subject, progress)

    def about(self, subject: str) -> Callable[[Progress], None]:
        """Return what shows reports about one organisation, whatever ``begin`` says meanwhile."""
        return lambda progress: self._show(subject, progress)

    def _show(self, subject: str, progress: Progress) -> None:
        if self._is_quiet:
            return
        with self._lock:
            if self._bars is None:
                self._write_line(subject, progress)
            else:
                self._move_bar(self._bars, subject, progress)

    def _make_bars(self) -> Bars:
        return Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[unit]}{task.fields[notes]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=Console(file=self._stream),
        )

    def _move_bar(self, bars: Bars, subject: str, progress: Progress) -> None:
        key = (subject, progress.stage)
        if key not in self._tasks:
            self._tasks[key] = bars.add_task(
                _label(subject, progress), total=progress.total, unit="", notes=""
            )
        bars.update(
            self._tasks[key],
            completed=progress.done,
            total=progress.total,
            unit=progress.unit,
            notes=_notes(progress),
        )

    def _write_line(self, subject: str, progress: Progress) -> None:
        key = (subject, progress.stage)
        now = self._monotonic()
        is_last = progress.total is not None and progress.done >= progress.total
        lines, shown_at = self._shown.get(key, (0, float("-inf")))
        rest_seconds = FIRST_SECONDS if lines < FIRST_LINES else LATER_SECONDS
        if not is_last and now - shown_at < rest_seconds:
            return
        self._shown[key] = (lines + 1, now)
        total = "" if progress.total is None else f" of {progress.total:,}"
        self._stream.write(
            f"{_label(subject, progress)}: {progress.done:,}{total} {progress.unit}"
            f"{_notes(progress)}\n"
        )
        self._stream.flush()


def _label(subject: str, progress: Progress) -> str:
    return f"{subject} {progress.stage}".strip()


def _notes(progress: Progress) -> str:
    return "".join(f", {count:,} {name}" for name, count in progress.notes.items() if count)
