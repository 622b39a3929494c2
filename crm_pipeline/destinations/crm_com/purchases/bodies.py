"""Purchases and returns as CRM.COM wants them written.

Here: pure encoding of our flat fields. Amounts are JSON numbers in major units with exactly the
digits that we hold. Not here: when something is sent (``writing``, ``refunding``).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from crm_pipeline.core.records import Fields
from crm_pipeline.destinations.crm_com.assumptions import DATE_MEMBER, TAP_MEMBER
from crm_pipeline.destinations.crm_com.values import json_number

Body = dict[str, Any]

_AMOUNTS = ("net", "tax", "discount", "total")
_LINE_AMOUNTS = ("quantity", "net_amount", "tax_amount", "total_amount")
_LINE_TEXTS = ("sku", "name")
_lines = msgspec.json.Decoder(list[dict[str, Any]])


def purchase_body(fields: Fields, contact_id: str | None) -> Body:
    """Return the body that posts a purchase. Raises ValueError for an unreadable amount or line.

    It never asks to spend from a wallet. Without a contact it can be claimed later.
    """
    amounts = {name: json_number(fields[name]) for name in _AMOUNTS if _is_given(fields.get(name))}
    body: Body = {
        "id": fields.get("purchase_id"),
        "reference_number": fields["reference_number"],
        "contact": {"id": contact_id} if contact_id else None,
        **_place(fields),
        "classification": _named(fields.get("classification")),
        DATE_MEMBER: fields["date"],
        "currency_code": fields["currency"],
        "transaction_amounts": amounts,
        "notes": fields.get("notes"),
        "products": [_line(each) for each in _read_lines(fields.get("lines"))],
    }
    return {name: value for name, value in body.items() if value}


def return_body(fields: Fields, return_id: str, contact: Mapping[str, Any] | None) -> Body:
    """Return the body that takes goods back without a purchase being named.

    Raises ValueError for an unreadable amount.
    """
    body: Body = {
        "id": return_id,
        "reference_number": fields["reference_number"],
        "contact": contact,
        **_place(fields),
        DATE_MEMBER: fields["date"],
        "amount": json_number(fields.get("amount")),
        "currency_code": fields["currency"],
    }
    return {name: value for name, value in body.items() if value}


def _place(fields: Fields) -> Body:
    """Name the place of sale; without one CRM.COM takes the organisation of the key."""
    if fields.get("organisation_id"):
        return {"organisation": {"id": fields["organisation_id"]}}
    return {TAP_MEMBER: {"code": fields["tap_code"]}} if fields.get("tap_code") else {}


def _read_lines(text: object) -> list[dict[str, Any]]:
    if not isinstance(text, str) or not text:
        return []
    try:
        return _lines.decode(text)
    except msgspec.MsgspecError:
        raise ValueError("the lines are no JSON list of objects") from None


def _line(line: Mapping[str, Any]) -> Body:
    body = {
        **{name: line.get(name) for name in _LINE_TEXTS},
        "family": _named(line.get("family")),
        **{name: json_number(line[name]) for name in _LINE_AMOUNTS if _is_given(line.get(name))},
    }
    return {name: value for name, value in body.items() if value}


def _named(name: object) -> Body | None:
    return {"name": name} if name else None


def _is_given(value: object) -> bool:
    return value is not None and value != ""
