"""A purchase and a spend as the Web API wants them written.

Here: pure encoding; amounts travel as exact numbers, times as the unit's local time without a
zone. Not here: calls (``client``), what our fields mean (``writing``).
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

from crm_pipeline.destinations.crm_com_classic.assumptions import LINES_MEMBER
from crm_pipeline.destinations.crm_com_classic.closing import Amounts, sum_lines
from crm_pipeline.destinations.crm_com_classic.identifiers import Identifier, members
from crm_pipeline.errors import ConfigurationError

Body = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of a purchase; ``product`` may be missing (release 14 and later)."""

    amounts: Amounts
    quantity: Decimal = Decimal(1)
    product: Identifier | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """One purchase to be made. ``payer`` is a participant or an account; ``at`` is aware.

    ``place`` is a unit, a TAP (release 17) or a business unit (release 18). The reference number
    is the receipt's; the external one is unique in its system. ``exponent`` is the currency's.
    """

    payer: Identifier
    place: Identifier
    at: dt.datetime
    reference_number: str
    lines: Sequence[Line]
    external_system: str | None = None
    external_reference_number: str | None = None
    classification: Identifier | None = None
    currency: Identifier | None = None
    description: str | None = None
    exponent: int = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """A wish to spend on a purchase that was made. Without an amount CRM.COM decides."""

    payer: Identifier
    place: Identifier
    at: dt.datetime
    purchase: Identifier
    amount: Decimal | None = None


def sale_body(sale: Sale, zone: ZoneInfo) -> Body:
    """Return the body that makes a purchase.

    Raises UnbalancedSaleError for amounts that do not add up.
    """
    sum_lines([line.amounts for line in sale.lines], exponent=sale.exponent)
    body = {
        **members(sale.payer, sale.place, sale.classification, sale.currency),
        "performed_on": local_time(sale.at, zone),
        "reference_number": sale.reference_number,
        "external_system": sale.external_system,
        "external_system_reference_number": sale.external_reference_number,
        "description": sale.description,
        LINES_MEMBER: [_line_body(line) for line in sale.lines],
    }
    return {name: value for name, value in body.items() if value is not None}


def spend_body(spend: Spend, zone: ZoneInfo) -> Body:
    """Return the body that spends."""
    body: Body = members(spend.payer, spend.place, spend.purchase)
    body["performed_on"] = local_time(spend.at, zone)
    if spend.amount is not None:
        body["spend_amount"] = number(spend.amount)
    return body


def _line_body(line: Line) -> Body:
    return {
        **members(line.product),
        "quantity": number(line.quantity),
        "net_amount": number(line.amounts.net),
        "vat_amount": number(line.amounts.vat),
        "total_amount": number(line.amounts.total),
    }


def number(value: Decimal) -> msgspec.Raw:
    """Return a decimal as a JSON number, digit by digit. Raises ValueError for none.

    >>> msgspec.json.encode(number(Decimal("10.10")))
    b'10.10'
    """
    if not value.is_finite():
        raise ValueError("an amount is no number")
    return msgspec.Raw(format(value, "f").encode("ascii"))


def local_time(at: dt.datetime, zone: ZoneInfo) -> str:
    """Return a moment as the unit's clock shows it, to the second.

    >>> local_time(dt.datetime(2024, 5, 3, 10, 15, tzinfo=dt.UTC), ZoneInfo("Asia/Nicosia"))
    '2024-05-03T13:15:00'
    """
    if at.tzinfo is None:
        raise ValueError("the time has no zone")
    return at.astimezone(zone).strftime("%Y-%m-%dT%H:%M:%S")


def zone_of(name: str) -> ZoneInfo:
    """Return a time zone by its name. Raises ConfigurationError for one that does not exist."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigurationError(
            "The time zone of the unit is not known on this machine.",
            not_done="Nothing was sent.",
            remedy='Give a name of the IANA list, such as "Asia/Nicosia".',
        ) from None
