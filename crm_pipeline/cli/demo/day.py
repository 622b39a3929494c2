"""A day in the life of one organisation: one thing after the other happens, and is followed.

Here: when acts happen, and lines about them. Not here: what they are (``acts``), waiting for
children and for Ctrl-C (``watch``).
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import cycle

from crm_pipeline.cli.demo.acts import ACTS, Act, Step, World
from crm_pipeline.errors import CrmPipelineError

#: Between two steps of one act, and between two looks at the CRM.
STEP_SECONDS = 3.0
LOOK_SECONDS = 1.0
PATIENCE_SECONDS = 300.0


@dataclass(slots=True)
class Following:
    """One act that is under way: steps to come, then a look now and again until it is there."""

    steps: Iterator[Step]
    say: Callable[[str], None]
    read: Callable[[str], None]
    last: Step | None = None
    arrived_after: float | None = None
    _next_at: float = 0.0
    _began_at: float = 0.0

    def move(self) -> bool:
        """Do what is due; return whether the act is over. Raises CrmPipelineError."""
        now = time.monotonic()
        if now < self._next_at:
            return self._is_over(now)
        if self.last is None or self.last.is_there is None:
            self._step()
        elif self.last.is_there():
            self.arrived_after = now - self._began_at
            self.say(f"{_clock()}    after {self.arrived_after:.0f} s {self.last.arrived}")
        else:
            self._next_at = now + LOOK_SECONDS
        return self._is_over(now)

    def _step(self) -> None:
        self.last = next(self.steps)
        self._began_at = time.monotonic()
        where = f"  see {self.last.where}" if self.last.where else ""
        self.say(f"{_clock()}  {self.last.happened}{where}")
        self._next_at = self._began_at + (LOOK_SECONDS if self.last.is_there else STEP_SECONDS)
        if self.last.reads:
            self.read(self.last.reads)

    def _is_over(self, now: float) -> bool:
        if self.last is None or self.last.is_there is None:
            return False
        is_late = now - self._began_at > PATIENCE_SECONDS
        if is_late and self.arrived_after is None:
            self.say(
                f"{_clock()}    not after {PATIENCE_SECONDS:g} s {self.last.arrived};"
                " `crm-pipeline status` and `crm-pipeline rejects list` tell more"
            )
        return is_late or self.arrived_after is not None


@dataclass(slots=True)
class Day:
    """Lets an act happen every so many seconds and follows all that are under way."""

    world: World
    say: Callable[[str], None]
    read: Callable[[str], None]
    every: float
    _under_way: list[Following] = field(default_factory=list)
    _acts: Iterator[Act] = field(default_factory=lambda: cycle(ACTS.values()))
    _next_at: float = 0.0

    def move(self) -> bool:
        """Do what is due. Always False, because a day does not end by itself."""
        now = time.monotonic()
        if now >= self._next_at:
            self._next_at = now + self.every
            self._under_way.append(Following(next(self._acts)(self.world), self.say, self.read))
        self._under_way = [each for each in self._under_way if not self._moved(each)]
        return False

    def _moved(self, one: Following) -> bool:
        """Move one act on; an act that fails is told and left."""
        try:
            return one.move()
        except CrmPipelineError as error:
            self.say(f"{_clock()}  {error}")
            return True


def _clock() -> str:
    return time.strftime("%H:%M:%S")
