"""Is what was asked for sound? Everything that can be refused without asking CRM.COM. Pure."""

import re

from crm_pipeline.pos.amounts import exponent
from crm_pipeline.pos.refusals import SaleInvalidError
from crm_pipeline.pos.values import Return, Sale, SaleLine, Spend

#: More is a mistake of a till, and could not be written exactly by every receiver.
MOST_UNITS = 10**12
_MOST_LINES = 1_000
_LAST_DATE = 10**11
_REFERENCE = re.compile(r"[!-~](?:[ -~]{0,98}[!-~])?")


def check_reference(reference: str) -> None:
    """Raise SaleInvalidError for a reference that cannot be one.

    It is shown in messages and kept in logs, so an e-mail address is refused.
    """
    if not _REFERENCE.fullmatch(reference) or "@" in reference:
        raise _invalid(
            "A reference has 1 to 100 printable ASCII characters, no blank at an end, and no @."
        )


def check_sale(sale: Sale, spend: Spend | None, *, has_otp: bool) -> None:
    """Raise SaleInvalidError for a sale that contradicts itself."""
    check_reference(sale.reference)
    exponent(sale.currency)
    _check_date(sale.date)
    if not 1 <= len(sale.lines) <= _MOST_LINES:
        raise _invalid(f"A sale has 1 to {_MOST_LINES:,} lines.")
    for line in sale.lines:
        _check_line(line)
    if not 0 <= sale.discount <= MOST_UNITS:
        raise _invalid("A discount is below nothing, or too large.")
    if not sale.classification.strip():
        raise _invalid("The classification is empty.")
    if spend is not None:
        _check_spend(spend, is_identified=has_otp or sale.buyer is not None)


def check_return(wanted: Return) -> None:
    """Raise SaleInvalidError for a return that contradicts itself."""
    check_reference(wanted.reference)
    exponent(wanted.currency)
    _check_date(wanted.date)
    if not 0 < wanted.amount <= MOST_UNITS:
        raise _invalid("The amount of a return is above nothing.")


def _check_line(line: SaleLine) -> None:
    if not line.sku.strip() or not line.sku.isprintable():
        raise _invalid("A line has no SKU.")
    if not line.quantity.is_finite() or line.quantity <= 0:
        raise _invalid(f"The quantity of {line.sku} is not above nothing.")
    if not 0 <= line.total <= MOST_UNITS:
        raise _invalid(f"The total of {line.sku} is below nothing, or too large.")
    if not 0 <= line.tax <= line.total:
        raise _invalid(f"The tax of {line.sku} is below nothing, or more than its total.")


def _check_spend(spend: Spend, *, is_identified: bool) -> None:
    if not 0 < spend.amount <= MOST_UNITS:
        raise _invalid("The amount to spend is above nothing.")
    if not is_identified:
        raise _invalid("Nobody's wallet can pay: the contact is missing.")


def _check_date(date: int | None) -> None:
    if date is not None and not 0 < date < _LAST_DATE:
        raise _invalid("A date is in epoch seconds.")


def _invalid(happened: str) -> SaleInvalidError:
    return SaleInvalidError(happened, not_done="Nothing was sent.", remedy="Correct it.")
