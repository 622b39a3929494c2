"""Closing a sale to the cent: what the lines add up to, what is redeemed, what is left to pay.

Pure. Amounts are decimals of the currency's exponent, never floats. Source of the rules: seed 001,
step 5 (the redemption is the sum of what was spent, and a discount on the sale).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_HALF_UP, Decimal

from crm_pipeline.core.money import share_out
from crm_pipeline.errors import DataError

#: The back end pays such a spend out by itself: it takes nothing off the sale.
BACK_END = "BACK_END_REDUCTION"

#: Sums of amounts below this stay exact in decimals of 28 digits.
_LARGEST = Decimal(10) ** 15


class UnbalancedSaleError(DataError):
    """Amounts of a sale do not add up: it is not sent."""

    code = "unbalanced_amounts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Amounts:
    """Three amounts of which the first two add up to the third."""

    net: Decimal
    vat: Decimal
    total: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What was really spent, which may be less than was asked for, and who reduces the sale."""

    amount: Decimal
    reduction_method: str = "FRONT_END_REDUCTION"


@dataclass(frozen=True, slots=True, kw_only=True)
class Closing:
    """How a sale is closed: ``to_pay`` is ``total`` less ``redemption``, line by line as well."""

    total: Decimal
    redemption: Decimal
    to_pay: Decimal
    lines: tuple[Amounts, ...]


def sum_lines(lines: Sequence[Amounts], *, exponent: int = 2) -> Amounts:
    """Return what the lines add up to. Raises UnbalancedSaleError, without an amount in it."""
    if not lines:
        raise _unbalanced("it has no lines")
    for line in lines:
        _check(line, exponent)
    return Amounts(
        net=sum((line.net for line in lines), Decimal(0)),
        vat=sum((line.vat for line in lines), Decimal(0)),
        total=sum((line.total for line in lines), Decimal(0)),
    )


def redemption_of(spends: Sequence[Spent], *, exponent: int = 2) -> Decimal:
    """Return the discount that spends come to; what the back end reduces is no part of it."""
    for spend in spends:
        if spend.amount < 0 or not _is_whole(spend.amount, exponent):
            raise _unbalanced("a spend is negative or too fine")
    return sum((each.amount for each in spends if each.reduction_method != BACK_END), Decimal(0))


def close_sale(lines: Sequence[Amounts], spends: Sequence[Spent], *, exponent: int = 2) -> Closing:
    """Return how a sale is closed: the redemption is shared out over the lines, exactly.

    Raises UnbalancedSaleError when amounts do not add up or more was spent than sold.

    >>> line = Amounts(net=Decimal("8.40"), vat=Decimal("1.60"), total=Decimal("10.00"))
    >>> closing = close_sale([line], [Spent(amount=Decimal("4.20"))])
    >>> closing.redemption, closing.to_pay, closing.lines[0].vat
    (Decimal('4.20'), Decimal('5.80'), Decimal('0.93'))
    """
    total = sum_lines(lines, exponent=exponent).total
    redemption = redemption_of(spends, exponent=exponent)
    if redemption > total:
        raise _unbalanced("more was spent on it than it comes to")
    shares = share_out(
        _units(redemption, exponent), [_units(line.total, exponent) for line in lines]
    )
    closed = [
        _reduced(line, Decimal(share).scaleb(-exponent), exponent)
        for line, share in zip(lines, shares, strict=True)
    ]
    return Closing(
        total=total, redemption=redemption, to_pay=total - redemption, lines=tuple(closed)
    )


def _reduced(line: Amounts, share: Decimal, exponent: int) -> Amounts:
    """Take a share off a line; its tax shrinks in proportion."""
    if share == 0:
        return line
    total = line.total - share
    unit = Decimal(1).scaleb(-exponent)
    vat = (line.vat * total / line.total).quantize(unit, ROUND_HALF_UP)
    return replace(line, net=total - vat, vat=vat, total=total)


def _check(line: Amounts, exponent: int) -> None:
    amounts = (line.net, line.vat, line.total)
    if not all(_is_whole(amount, exponent) for amount in amounts):
        raise _unbalanced("an amount is too large, or finer than the currency's smallest unit")
    if min(amounts) < 0:
        raise _unbalanced("an amount is negative")
    if line.net + line.vat != line.total:
        raise _unbalanced("net and tax of a line are not its total")


def _is_whole(amount: Decimal, exponent: int) -> bool:
    """Whether an amount is so many smallest units, and not so many that arithmetic rounds."""
    if not amount.is_finite() or abs(amount) >= _LARGEST:
        return False
    return amount.scaleb(exponent) % 1 == 0


def _units(amount: Decimal, exponent: int) -> int:
    return int(amount.scaleb(exponent))


def _unbalanced(fault: str) -> UnbalancedSaleError:
    return UnbalancedSaleError(
        f"A sale does not add up: {fault}.",
        not_done="It was not sent.",
        remedy="Look at the payment in the source, or at `tax_rate` in the settings.",
    )
