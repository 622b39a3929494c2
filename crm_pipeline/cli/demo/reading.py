"""Reads what no vendor tells of, when the demo has changed it: customer lists.

Otherwise a schedule reads them every hour, which is longer than anybody watches a demo.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field

from crm_pipeline.cli.demo.acts import SLUG
from crm_pipeline.cli.demo.children import Child
from crm_pipeline.cli.demo.watch import Watch
from crm_pipeline.errors import EXIT_TRY_LATER


def reading_command(dataset: str) -> Sequence[str]:
    """Return the command that reads one dataset and carries over what it says."""
    return (sys.executable, "-m", "crm_pipeline", "sync", "--org", SLUG, "--dataset", dataset)


@dataclass(slots=True)
class Readings:
    """Reads one dataset after the other, each in a process; again if the organisation was busy."""

    watch: Watch
    _wanted: list[str] = field(default_factory=list)
    _child: Child | None = None

    def ask(self, dataset: str) -> None:
        """Have a dataset read soon."""
        self._wanted.append(dataset)

    def move(self) -> None:
        """Do what is due; never waits."""
        if self._child is not None:
            if self._child.exit_code is None:
                return
            self.watch.children.forget(self._child)
            if self._child.exit_code != EXIT_TRY_LATER:
                self._wanted.pop(0)
            self._child = None
        if self._wanted:
            self._child = self.watch.children.start(
                "sync of lists",
                reading_command(self._wanted[0]),
                log=self.watch.logs / "lists.log",
                may_end=True,
            )
