"""Amounts at the edge: decimals that people and CRM.COM write, whole smallest units inside.

Pure; exact or not at all.
"""

import re

from crm_pipeline.core.normalise import InvalidValueError, exponent_of, money, smallest_units
from crm_pipeline.destinations.crm_com.values import as_decimal
from crm_pipeline.pos.refusals import PosRefusedError, SaleInvalidError

_PLAIN = re.compile(r"[0-9]{1,12}(\.[0-9]{1,6})?")


def exponent(currency: str) -> int:
    """Return how many decimals a currency has. Raises SaleInvalidError for an unknown one."""
    found = exponent_of(currency) if currency.isupper() else None
    if found is None:
        raise SaleInvalidError(
            "The currency is none of ISO 4217.",
            not_done="Nothing was sent.",
            remedy="Name it with three capital letters, such as AUD.",
        )
    return found


def parse_amount(text: str, currency: str) -> int:
    """Return a plain decimal as smallest units. Raises SaleInvalidError.

    >>> parse_amount("14.50", "AUD"), parse_amount("14", "JPY"), parse_amount("0.005", "KWD")
    (1450, 14, 5)
    """
    places = exponent(currency)
    try:
        if _PLAIN.fullmatch(text):
            return smallest_units(text, places)
    except InvalidValueError:
        pass
    raise SaleInvalidError(
        f"An amount is no plain decimal of at most {places} places, as {currency} has.",
        not_done="Nothing was sent.",
        remedy=f"Write it like {show_amount(1450, currency)}.",
    )


def show_amount(units: int, currency: str) -> str:
    """Return smallest units as a decimal.

    >>> show_amount(1450, "AUD"), show_amount(1450, "JPY")
    ('14.50', '1450')
    """
    return str(money(units, exponent(currency)))


def read_amount(value: object, currency: str) -> int | None:
    """Return an amount of an answer as smallest units; None when absent or not exact.

    >>> read_amount(0.3, "AUD"), read_amount("12.110", "AUD"), read_amount(0.005, "AUD")
    (30, 1211, None)
    """
    number = as_decimal(value)
    if number is None:
        return None
    try:
        return smallest_units(format(number, "f"), exponent(currency))
    except InvalidValueError:
        return None


def amount_due(total: int, spend: int) -> int:
    """Return what is still to be paid. Raises PosRefusedError for a spend outside of the total.

    >>> amount_due(1450, 200)
    1250
    """
    if not 0 <= spend <= total:
        raise PosRefusedError(
            "CRM.COM says that more was spent than the purchase is worth, or less than nothing.",
            not_done="What is to be paid cannot be told. The purchase is posted.",
            remedy="Look at the purchase in CRM.COM, or void it by its reference.",
        )
    return total - spend
