"""Many organisations in one process: several at once, and nobody behind one that takes long.

An organisation that is at work for longer than ``PATIENCE_SECONDS`` gives its place to the next
and goes on beside it. Here: whose turn it is. Not here: the work (``run``), what is told of it.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Generic, Self, TypeVar

#: Most of a small organisation's sync is waiting for the network and the disk.
AT_ONCE = 4
#: How long an organisation keeps one of these places.
PATIENCE_SECONDS = 20.0
#: Organisations at work at most, those that take long among them.
MOST = 24

Answer = TypeVar("Answer")


class Together(Generic[Answer]):
    """Does a piece of work for names that are asked for; answers come as they are there.

    A context manager: at its end those at work are finished, and the rest is not begun. For one
    thread; ``work`` runs in others, and what it raises comes out of ``answers``.
    """

    def __init__(
        self,
        work: Callable[[str], Answer],
        *,
        at_once: int = AT_ONCE,
        most: int = MOST,
        patience_seconds: float = PATIENCE_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._work = work
        self._at_once, self._most, self._patience = at_once, most, patience_seconds
        self._monotonic = monotonic
        self._pool = ThreadPoolExecutor(most, "together")
        self._waiting: deque[str] = deque()
        self._at_work: dict[Future[Answer], tuple[str, float]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._waiting.clear()
        self._pool.shutdown()

    @property
    def at_work(self) -> frozenset[str]:
        """The names whose work has begun and is not answered yet."""
        return frozenset(name for name, _ in self._at_work.values())

    @property
    def is_busy(self) -> bool:
        """Whether somebody waits or is at work."""
        return bool(self._waiting or self._at_work)

    def ask(self, names: Iterable[str]) -> None:
        """Ask for names, in order; those that wait or are at work are not asked for twice."""
        known = {*self._waiting, *self.at_work}
        self._waiting.extend(name for name in dict.fromkeys(names) if name not in known)

    def forget(self) -> None:
        """Begin nothing more."""
        self._waiting.clear()

    def answers(self, seconds: float | None = None) -> Iterator[Answer]:
        """Give answers until all that was asked for is answered, or ``seconds`` are over."""
        end = None if seconds is None else self._monotonic() + seconds
        while self.is_busy:
            self._begin()
            left = None if end is None else end - self._monotonic()
            if left is not None and left <= 0:
                return
            done, _ = wait(self._at_work, self._soonest(left), FIRST_COMPLETED)
            for future in done:
                del self._at_work[future]
                yield future.result()

    def _begin(self) -> None:
        """Let the next ones begin, as far as there are places."""
        while self._waiting and len(self._at_work) < self._most and self._has_place():
            name = self._waiting.popleft()
            self._at_work[self._pool.submit(self._work, name)] = (name, self._monotonic())

    def _has_place(self) -> bool:
        since = self._monotonic() - self._patience
        return sum(began > since for _, began in self._at_work.values()) < self._at_once

    def _soonest(self, left: float | None) -> float | None:
        """Return the seconds until somebody gives a place up, or until the time is over."""
        now = self._monotonic()
        ends = [began + self._patience - now for _, began in self._at_work.values()]
        places = [each for each in ends if each > 0] if self._waiting else []
        times = [*places, *([] if left is None else [left])]
        return min(times, default=None)
