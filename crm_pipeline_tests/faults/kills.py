"""Kill commands before each of their system calls: ``python -m crm_pipeline_tests.faults.kills``.

Every call of a pull, an apply, an erasure, a receipt and a sync that changes storage or speaks on
the network (`calls` says which), one after the other, on a shop that is in the same state each
time. Exit code 1 when one kill was not healed by the next run; it is told with its number, which
``--work WORK --first NUMBER --last NUMBER`` plays again.
"""

import argparse
import itertools
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from crm_pipeline_tests.faults.rehearsing import WORKS, Death, Rehearsal

_TOLD_EVERY = 50
_LAST_LINES = 1_500


class Task:
    """All points of one work, for several rehearsals at once."""

    def __init__(self, work: str, first: int, last: int | None, every: int) -> None:
        self.work = work
        self.calls = 0
        self.deaths: list[Death] = []
        self.broken = 0
        self.seconds = 0.0
        self._begun = 0.0
        self._last = last
        self._numbers = itertools.count(first, every)
        self._is_over = False
        self._lock = threading.Lock()

    def join(self, folder: Path) -> None:
        """Play points until there are no more."""
        with self._lock:
            self._begun = self._begun or time.monotonic()
        while not self._is_over:
            with Rehearsal(self.work, folder / str(time.monotonic_ns())) as rehearsal:
                self.calls = max(self.calls, len(rehearsal.calls))
                self._play(rehearsal)

    def _play(self, rehearsal: Rehearsal) -> None:
        while (number := self._next()) is not None:
            try:
                death = rehearsal.play(number)
            except AssertionError as error:
                self._note(Death(number, [], is_killed=False, wrong=repr(error), seconds=0))
                return
            self._note(death)
            if number > self.calls and not death.is_killed:
                self._is_over = True

    def _next(self) -> int | None:
        with self._lock:
            number = next(self._numbers)
            if self._is_over or (self._last is not None and number > self._last):
                self._is_over = True
                return None
            return number

    def _note(self, death: Death) -> None:
        with self._lock:
            self.deaths.append(death)
            self.seconds = time.monotonic() - self._begun
            if death.wrong:
                self.broken += 1
                wrong = death.wrong[-_LAST_LINES:]
                print(f"{self.work}, call {death.number} ({death.call}): {wrong}", flush=True)
            if len(self.deaths) % _TOLD_EVERY == 0:
                done = f"{len(self.deaths):,} of some {self.calls:,} played"
                print(f"{self.work}: {done}, {self.broken} broken", file=sys.stderr, flush=True)

    def told(self) -> str:
        """Return what came of it, in words."""
        killed = [each for each in self.deaths if each.is_killed]
        names = Counter(each.call.split()[0] for each in killed)
        kinds = ", ".join(f"{name} {count}" for name, count in names.most_common())
        return (
            f"{self.work}: {len(self.deaths):,} played, {len(killed):,} killed, "
            f"{self.broken} broken, {self.seconds:.0f} s ({kinds})"
        )


def main() -> int:
    """Play, tell of what was not healed, and say how much was played."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--work", action="append", choices=WORKS, help="only this; repeatable")
    parser.add_argument("--first", type=int, default=1, help="the first call")
    parser.add_argument("--last", type=int, help="the last call; every one that there is")
    parser.add_argument("--every", type=int, default=1, help="one call in so many")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="rehearsals at once")
    chosen = parser.parse_args()
    tasks = [Task(work, chosen.first, chosen.last, chosen.every) for work in chosen.work or WORKS]
    begun = time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="kills-", ignore_cleanup_errors=True) as folder,
        ThreadPoolExecutor(chosen.jobs) as pool,
    ):

        def work_through() -> None:
            for task in tasks:
                task.join(Path(folder))

        for joined in [pool.submit(work_through) for _ in range(chosen.jobs)]:
            joined.result()
    for task in tasks:
        print(task.told())
    killed = sum(each.is_killed for task in tasks for each in task.deaths)
    broken = sum(task.broken for task in tasks)
    print(f"{killed:,} kills, {broken:,} broken, {time.monotonic() - begun:.0f} s.")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
