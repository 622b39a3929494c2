"""Arithmetic on amounts of money: whole numbers of the currency's smallest unit, never floats.

Pure. Here: sharing amounts out and taking taxes out so that every sum stays exact. Not here:
decimals as text (``normalise.money``).
"""

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal


def share_out(total: int, weights: Sequence[int]) -> list[int]:
    """Return ``total`` shared out by weights, exactly: the largest remainders get the odd units.

    Without a weight above zero the first share gets everything. ``total`` and all weights are not
    negative; there is at least one weight.

    >>> share_out(100, [1, 1, 1])
    [34, 33, 33]
    >>> share_out(5, [0, 0])
    [5, 0]
    """
    whole = sum(weights)
    if whole == 0:
        return [total, *[0] * (len(weights) - 1)]
    shares = [total * weight // whole for weight in weights]
    rest = total - sum(shares)
    by_remainder = sorted(range(len(weights)), key=lambda place: -(total * weights[place] % whole))
    for place in by_remainder[:rest]:
        shares[place] += 1
    return shares


def included_tax(total: int, rate: Decimal) -> int:
    """Return the tax that a total includes at a rate (0.1 is 10 %), rounded half up.

    >>> included_tax(1100, Decimal("0.1")), included_tax(5, Decimal("0"))
    (100, 0)
    """
    tax = total * rate / (1 + rate)
    return int(tax.quantize(Decimal(1), ROUND_HALF_UP))
