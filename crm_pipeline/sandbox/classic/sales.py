"""What a purchase body may hold: checked member by member, unknown members ignored.

Here: amounts, lines, places, times. Not here: what a purchase does to wallets (``events``).
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from crm_pipeline.sandbox.classic.envelope import (
    CURRENCY,
    INVALID,
    MANDATORY,
    NOT_FOUND,
    Data,
    RefusedError,
    amount,
    needed,
    one_key,
    one_of,
)
from crm_pipeline.sandbox.classic.products import Products

_PLACES = (
    "performed_by_unit_identifier",
    "performed_by_tap_identifier",
    "performed_by_business_unit_identifier",
)
_PLACE_KEYS = ("id", "code", "name", "alternative_code")
#: Local time of the unit, without a zone.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")


def read_sale(body: Data, *, units: Mapping[str, str], currency: str, products: Products) -> Data:
    """Return the checked parts of a purchase. Raises RefusedError."""
    intended = body.get("intended_currency_identifier")
    if (
        intended
        and one_key(intended, "intended_currency_identifier", ("id", "code"))[1] != currency
    ):
        raise RefusedError(CURRENCY, "intended_currency_identifier")
    reference = needed(body, "reference_number")
    if not isinstance(reference, str):
        raise RefusedError(INVALID, "reference_number")
    lines = [_line(each, products) for each in _listed(needed(body, "products_set"))]
    classification = body.get("classification_identifier")
    return {
        "performed_on": read_moment(body),
        "performed_by_unit": read_unit(body, units),
        "reference_number": reference,
        "external_system": body.get("external_system"),
        "external_system_reference_number": body.get("external_system_reference_number"),
        "description": body.get("description"),
        "classification": _classification(classification),
        "currency": currency,
        "net_amount": sum((each["net_amount"] for each in lines), Decimal(0)),
        "vat_amount": sum((each["vat_amount"] for each in lines), Decimal(0)),
        "total_amount": sum((each["total_amount"] for each in lines), Decimal(0)),
        "products_set": lines,
    }


def read_moment(body: Data) -> str:
    """Return when something happened. Raises RefusedError for any other form."""
    moment = needed(body, "performed_on")
    if not isinstance(moment, str) or not _MOMENT.fullmatch(moment):
        raise RefusedError(INVALID, "performed_on")
    return moment


def read_unit(body: Data, units: Mapping[str, str]) -> str:
    """Return the name of the unit; units are known by name and code."""
    member = one_of(body, _PLACES)
    _, value = one_key(body[member], member, _PLACE_KEYS)
    for name, code in units.items():
        if value in (name, code):
            return name
    raise RefusedError(NOT_FOUND, member)


def _classification(identifier: Any) -> str | None:
    if identifier is None:
        return None
    known = ("id", "name", "alternative_code")
    return str(one_key(identifier, "classification_identifier", known)[1])


def _listed(value: Any) -> list[Data]:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise RefusedError(INVALID, "products_set")
    return value


def _line(given: Data, products: Products) -> Data:
    net, vat, total = (amount(given, f"{name}_amount") for name in ("net", "vat", "total"))
    if net + vat != total:
        raise RefusedError(INVALID, "net_amount and vat_amount are not total_amount")
    quantity = given.get("quantity", 1)
    if isinstance(quantity, bool) or not isinstance(quantity, int | Decimal) or quantity <= 0:
        raise RefusedError(INVALID, "quantity")
    line = {"quantity": quantity, "net_amount": net, "vat_amount": vat, "total_amount": total}
    if given.get("product_identifier") is not None:
        line |= products.sold(given["product_identifier"])
    return line


def read_entries(body: Data, member: str, most: int) -> list[Data]:
    """Return the entries of a bulk call. Raises RefusedError for too many or none."""
    entries = needed(body, member)
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        raise RefusedError(MANDATORY, member)
    if len(entries) > most:
        raise RefusedError("TOO_MANY_ENTRIES", f"{member}: at most {most}")
    return entries
