"""Child processes that never outlive their parent's wish: each is a process group of its own."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

STOP_SECONDS = 15.0
KILL_SECONDS = 5.0
_POLL_SECONDS = 0.05
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(slots=True)
class Child:
    """One child and where it writes. ``log`` is None when it writes to our own terminal.

    One that ``may_end`` is watched by whoever started it.
    """

    name: str
    process: "subprocess.Popen[bytes]"
    log: Path | None
    may_end: bool = False

    @property
    def exit_code(self) -> int | None:
        """The exit code, or None while it runs."""
        return self.process.poll()

    def last_lines(self, count: int = 15) -> str:
        """Return the end of its log."""
        if self.log is None or not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-count:])


@dataclass(slots=True)
class Children:
    """All children of one demo; stopped together, the newest first."""

    environment: Mapping[str, str]
    running: list[Child] = field(default_factory=list)

    def start(
        self,
        name: str,
        command: Sequence[str],
        *,
        log: Path | None = None,
        may_end: bool = False,
    ) -> Child:
        """Start one child in a session of its own, so that Ctrl-C reaches the parent only."""
        adopt_orphans()
        with _opened(log) as output:
            process = subprocess.Popen(  # noqa: S603  the command is ours
                list(command),
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        child = Child(name, process, log, may_end)
        self.running.append(child)
        return child

    def forget(self, child: Child) -> None:
        """Stop what is left of a child that has ended, and no longer watch it."""
        _stop_groups([child], STOP_SECONDS)
        self.running.remove(child)

    def first_dead(self, besides: Child | None = None) -> Child | None:
        """Return a child that has ended by itself, or None; ``besides`` may end."""
        others = (each for each in self.running if each is not besides and not each.may_end)
        return next((each for each in others if each.exit_code is not None), None)

    def stop(self) -> None:
        """Ask every child and its descendants to end, then make them end. Safe to repeat."""
        _stop_groups(list(reversed(self.running)), STOP_SECONDS)
        self.running.clear()


def adopt_orphans() -> None:
    """Become the parent of our children's orphans (Linux), so that they can be waited for."""
    if sys.platform.startswith("linux"):
        with suppress(OSError, AttributeError):
            ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class _opened:  # noqa: N801  reads as a statement
    """Opens a log file for a child, or gives our own streams when there is none."""

    def __init__(self, log: Path | None) -> None:
        self._descriptor: int | None = None
        if log is not None:
            log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def __enter__(self) -> int | None:
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def _stop_groups(children: Sequence[Child], seconds: float) -> None:
    for child in children:
        _signal_group(child, signal.SIGTERM)
    if not _wait_for_groups(children, seconds):
        for child in children:
            _signal_group(child, signal.SIGKILL)
        _wait_for_groups(children, KILL_SECONDS)


def _signal_group(child: Child, number: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.process.pid, number)


def _wait_for_groups(children: Sequence[Child], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while sum(_is_alive(child) for child in children):  # looks at each: it reaps, too
        if time.monotonic() >= deadline:
            return False
        time.sleep(_POLL_SECONDS)
    return True


def _is_alive(child: Child) -> bool:
    if child.process.poll() is None:
        return True
    with suppress(ChildProcessError):  # reap orphans that became ours
        while os.waitpid(-child.process.pid, os.WNOHANG)[0]:
            pass
    try:
        os.killpg(child.process.pid, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
