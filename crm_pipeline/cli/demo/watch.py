"""Waiting in the demo: for a file, a port, a child; never past a stop or another child's death."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crm_pipeline.cli.demo.children import Child, Children
from crm_pipeline.errors import BugError

_POLL_SECONDS = 0.2


class StoppedError(Exception):
    """Ctrl-C or SIGTERM: end quietly."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Waits while it keeps an eye on the stop event and on every child."""

    children: Children
    stop: threading.Event
    logs: Path

    def until(
        self,
        is_done: Callable[[], bool],
        *,
        seconds: float | None = None,
        besides: Child | None = None,
    ) -> None:
        """Wait. Raises StoppedError, or BugError when a child ended or the time is up.

        ``besides`` is a child that is expected to end.
        """
        if not self.try_until(is_done, seconds=seconds, besides=besides):
            raise BugError(
                f"The demo waited {seconds:g} seconds for something that did not start.",
                not_done="The demo was stopped.",
                remedy=f"Look into {self.logs}.",
            )

    def try_until(
        self,
        is_done: Callable[[], bool],
        *,
        seconds: float | None = None,
        besides: Child | None = None,
    ) -> bool:
        """Wait as ``until`` does; return False when the time is up."""
        waited = 0.0
        while not is_done():
            dead = self.children.first_dead(besides)
            if dead is not None:
                raise _died(dead)
            if self.stop.wait(_POLL_SECONDS):
                raise StoppedError
            waited += _POLL_SECONDS
            if seconds is not None and waited > seconds:
                return False
        return True


def _died(child: Child) -> BugError:
    lines = child.last_lines()
    return BugError(
        f"{child.name} ended by itself with exit code {child.exit_code}."
        + (f" Its last lines:\n{lines}" if lines else ""),
        not_done="The demo was stopped.",
        remedy=f"The whole log is {child.log}." if child.log else "",
    )
