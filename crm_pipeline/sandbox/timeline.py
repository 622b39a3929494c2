"""When the invented customers joined and changed, computable for any position without a list.

A customer's index is the order of joining. The order of change shuffles indices inside blocks of
1,024; two blocks in every five are a bulk import, whose 2,048 rows share one second, so that a tie
always lies across a page border. Neither order depends on how many customers there are.

Here: arithmetic on indices, ranks and times. Not here: names (``people``), pages (``loke``).

>>> timeline = Timeline(7)
>>> timeline.index_at_rank(timeline.rank_of(123456))
123456
>>> timeline.changed_ms(2048) == timeline.changed_ms(4095)
True
"""

import math

BLOCK = 1024
#: Blocks of a period of five that belong to a bulk import.
_BULK = (2, 3)
_PERIOD = 5
#: 2019-01-01T00:00:00Z, the first customer.
_ORIGIN_SECONDS = 1_546_300_800
#: Growth: the millionth customer joins six years after the first.
_PACE = 190_000


def _seconds(step: int) -> int:
    return _ORIGIN_SECONDS + int(_PACE * math.sqrt(step))


class Timeline:
    """Both orders of one organisation's base customers; ``salt`` picks the shuffle."""

    def __init__(self, salt: int) -> None:
        """Choose an odd factor, which makes the shuffle of a block reversible."""
        self._factor = ((salt % BLOCK) | 1) or 1
        if self._factor % 8 == 1:
            self._factor += 4
        self._shift = (salt >> 10) % BLOCK
        self._inverse = pow(self._factor, -1, BLOCK)

    def rank_of(self, index: int) -> int:
        """Return the place of a customer in the order of change, 0 being the oldest change."""
        block, inside = divmod(index, BLOCK)
        if block % _PERIOD in _BULK:
            return index
        return block * BLOCK + (inside * self._factor + self._shift) % BLOCK

    def index_at_rank(self, rank: int) -> int:
        """Return the customer at a place in the order of change."""
        block, inside = divmod(rank, BLOCK)
        if block % _PERIOD in _BULK:
            return rank
        return block * BLOCK + (inside - self._shift) * self._inverse % BLOCK

    @staticmethod
    def joined_ms(index: int) -> int:
        """Return when a customer joined, in epoch milliseconds, always a whole second."""
        return _seconds(index) * 1000

    @staticmethod
    def changed_ms(rank: int) -> int:
        """Return when the customer at a rank last changed; never before that customer joined."""
        block = rank // BLOCK
        if block % _PERIOD in _BULK:
            first = block - (block % _PERIOD - _BULK[0])
            return _seconds((first + 2) * BLOCK) * 1000
        # A thousandth that differs from row to row, inside a second that no other row has.
        return _seconds(rank + 2 * BLOCK) * 1000 + rank * 37 % 1000

    @staticmethod
    def is_bulk(rank: int) -> bool:
        """Say whether the rank lies in a bulk import."""
        return rank // BLOCK % _PERIOD in _BULK


def ranks_newest_first(timeline: Timeline, count: int) -> list[int]:
    """Return the ranks of the last, incomplete block of ``count`` customers, newest first."""
    first = count // BLOCK * BLOCK
    return sorted((timeline.rank_of(index) for index in range(first, count)), reverse=True)
