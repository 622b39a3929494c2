"""Newest-first order over rows of which most are computed and a few were changed.

The base order is arithmetic: a position gives a row and a row gives its position. Changed and
added rows leave it (``take_out``) and stand in a sorted list beside it (``put``). Reading merges
both, so any page is found without walking to it.

A sort key is ``(-milliseconds, -index)``: ascending keys are newest first, ties are broken by
index, descending.
"""

import bisect
from collections.abc import Callable, Iterator
from typing import Literal

from crm_pipeline.sandbox.timeline import BLOCK, Timeline, ranks_newest_first

Sort = Literal["created", "updated"]
Key = tuple[int, int]


class Ordering:
    """One sort order of one organisation's customers, payments or orders."""

    def __init__(
        self,
        size: int,
        index_at: Callable[[int], int],
        position_of: Callable[[int], int],
        key_of_base: Callable[[int], Key],
    ) -> None:
        """Order ``size`` base rows; the callables are the arithmetic."""
        self.size = size
        self.index_at = index_at
        self.position_of = position_of
        self.key_of_base = key_of_base
        self._gone: set[int] = set()
        self._gone_sorted: list[int] = []
        self._moved: dict[int, Key] = {}
        self._moved_sorted: list[Key] = []
        self._is_stale = False

    def take_out(self, index: int) -> None:
        """Remove a row from wherever it stands."""
        if self._moved.pop(index, None) is None:
            self._gone.add(self.position_of(index))
        self._is_stale = True

    def put(self, index: int, key: Key) -> None:
        """Place a row that was taken out, or is new."""
        self._moved[index] = key
        self._is_stale = True

    def key_of(self, index: int) -> Key:
        """Return where a row stands now."""
        return self._moved.get(index) or self.key_of_base(index)

    def __len__(self) -> int:
        """Count the rows."""
        return self.size - len(self._gone) + len(self._moved)

    def after(self, key: Key) -> Iterator[int]:
        """Yield the rows that stand after a key."""
        self._settle()
        base = bisect.bisect_right(range(self.size), key, key=self._key_at)
        return self._merge(base, bisect.bisect_right(self._moved_sorted, key))

    def from_offset(self, offset: int) -> Iterator[int]:
        """Yield the rows from a place on, 0 being the newest."""
        self._settle()
        if not self._gone and not self._moved:
            return iter(map(self.index_at, range(min(offset, self.size), self.size)))
        base = bisect.bisect_left(range(self.size), offset, key=self._rows_before)
        if base == self.size:
            return self._merge(base, max(0, offset - (self.size - len(self._gone))))
        moved_before = bisect.bisect_left(self._moved_sorted, self._key_at(base))
        surplus = self._rows_before(base) - offset
        return self._merge(base, max(0, moved_before - surplus))

    def offset_of(self, key: Key) -> int:
        """Return how many rows stand at or before a key."""
        self._settle()
        base = bisect.bisect_right(range(self.size), key, key=self._key_at)
        gone = bisect.bisect_left(self._gone_sorted, base)
        return base - gone + bisect.bisect_right(self._moved_sorted, key)

    def _key_at(self, position: int) -> Key:
        return self.key_of_base(self.index_at(position))

    def _rows_before(self, position: int) -> int:
        gone = bisect.bisect_left(self._gone_sorted, position)
        moved = 0
        if self._moved_sorted:
            moved = bisect.bisect_left(self._moved_sorted, self._key_at(position))
        return position - gone + moved

    def _merge(self, base: int, moved: int) -> Iterator[int]:
        waiting = self._moved_sorted
        for position in range(base, self.size):
            if position in self._gone:
                continue
            if moved < len(waiting):
                key = self._key_at(position)
                while moved < len(waiting) and waiting[moved] < key:
                    yield -waiting[moved][1]
                    moved += 1
            yield self.index_at(position)
        for key in waiting[moved:]:
            yield -key[1]

    def _settle(self) -> None:
        if self._is_stale:
            self._gone_sorted = sorted(self._gone)
            self._moved_sorted = sorted(self._moved.values())
            self._is_stale = False


def by_creation(count: int) -> Ordering:
    """Order ``count`` base rows by when they came to be."""
    last = count - 1

    def key(index: int) -> Key:
        return -Timeline.joined_ms(index), -index

    return Ordering(count, lambda at: last - at, lambda at: last - at, key)


def by_change(timeline: Timeline, count: int) -> Ordering:
    """Order ``count`` base rows by when they last changed."""
    newest = ranks_newest_first(timeline, count)
    place = {rank: position for position, rank in enumerate(newest)}
    last = count // BLOCK * BLOCK - 1 + len(newest)

    def index_at(position: int) -> int:
        rank = newest[position] if position < len(newest) else last - position
        return timeline.index_at_rank(rank)

    def position_of(index: int) -> int:
        rank = timeline.rank_of(index)
        return place[rank] if rank in place else last - rank

    def key(index: int) -> Key:
        return -Timeline.changed_ms(timeline.rank_of(index)), -index

    return Ordering(count, index_at, position_of, key)
