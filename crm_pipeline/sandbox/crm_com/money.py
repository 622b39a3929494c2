"""Amounts: JSON decimals in major units on the wire, integers of the smallest unit inside.

Here: reading, writing, converting. No float touches an amount. Not here: who gets what (``trade``).

>>> text_of = lambda minor, currency: str(major(minor, currency))
>>> text_of(1250, "AUD"), text_of(1250, "JPY"), text_of(1250, "KWD")
('12.50', '1250', '1.250')
"""

import decimal
import re
from decimal import Decimal
from typing import Any

import msgspec

from crm_pipeline.sandbox.crm_com.failures import invalid
from crm_pipeline.sandbox.wire import Answer

#: A member that was not sent, and one that was sent as null.
ABSENT = msgspec.Raw(b"")
NULL = msgspec.Raw(b"null")

_NO_PLACES = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_PLACES = "BHD IQD JOD KWD LYD OMR TND"
_PLACES = dict.fromkeys(_NO_PLACES.split(), 0) | dict.fromkeys(_THREE_PLACES.split(), 3)
_CURRENCY = re.compile(r"[A-Z]{3}")
_NUMBER = re.compile(rb"-?\d+(\.\d+)?([eE][+-]?\d+)?")
#: Digits before the point; more is a mistake, and arithmetic stays exact below it.
_MAX_DIGITS = 15
_ENCODER = msgspec.json.Encoder(decimal_format="number")


def places_of(currency: str) -> int:
    """Return how many decimals a currency has, by ISO 4217."""
    return _PLACES.get(currency, 2)


def read_currency(value: str | None, default: str) -> str:
    """Return a currency by its three letters. Raises RefusedError."""
    if value is None:
        return default
    if not _CURRENCY.fullmatch(value):
        raise invalid("currency_code")
    return value


def read_number(field: str, raw: msgspec.Raw) -> Decimal | None:
    """Return a JSON number exactly as written; None when absent or null.

    Raises RefusedError for anything else, a number inside a string included.
    """
    text = bytes(raw).strip()
    if text in (b"", b"null"):
        return None
    if not _NUMBER.fullmatch(text):
        raise invalid(field, "An amount must be a JSON number.")
    number = Decimal(text.decode()) or Decimal(0)
    if number and not -12 <= number.adjusted() < _MAX_DIGITS:
        raise invalid(field)
    return number


def read_amount(field: str, raw: msgspec.Raw, currency: str) -> int | None:
    """Return an amount of 0 or more in the smallest unit; None when absent or null.

    Raises RefusedError when it has more decimals than the currency.
    """
    number = read_number(field, raw)
    if number is None:
        return None
    scaled = number.scaleb(places_of(currency))
    if number < 0 or scaled != scaled.to_integral_value():
        raise invalid(field)
    return int(scaled)


def major(minor: int, currency: str) -> Decimal:
    """Return an amount of the smallest unit in major units."""
    return Decimal(minor).scaleb(-places_of(currency))


def share(minor: int, percentage: Decimal) -> int:
    """Return a percentage of an amount, half a unit going up.

    >>> share(1000, Decimal(5)), share(10, Decimal(5)), share(9, Decimal(5))
    (50, 1, 0)
    """
    exact = Decimal(minor) * percentage / 100
    return int(exact.to_integral_value(decimal.ROUND_HALF_UP))


def convert(minor: int, currency: str, into: str, rate: Decimal) -> int:
    """Return an amount in another currency; ``rate`` is what one major unit is worth there.

    >>> convert(1000, "JPY", "AUD", Decimal("0.01"))
    1000
    """
    exact = (major(minor, currency) * rate).scaleb(places_of(into))
    return int(exact.to_integral_value(decimal.ROUND_HALF_UP))


def answer_of(value: Any, status: int = 200) -> Answer:
    """Answer with JSON in which every Decimal is a number."""
    return Answer(status, _ENCODER.encode(value))
