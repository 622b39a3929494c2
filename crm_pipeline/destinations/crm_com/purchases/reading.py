"""Purchases as CRM.COM shows them, in our flat fields. What it does not show is left out."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from crm_pipeline.core.purchases import refund_key
from crm_pipeline.core.records import FieldValue, RemoteObject
from crm_pipeline.destinations.crm_com.assumptions import (
    CANCELLED_STATE,
    DATE_MEMBER,
    TAP_MEMBER,
)
from crm_pipeline.destinations.crm_com.values import as_object, as_objects, as_text

_RETURN_ENDING = refund_key("")


def read_purchase(
    content: Any, *, key_prefix: str, own_id: Callable[[str], str]
) -> RemoteObject | None:
    """Return a listed purchase, or None for what has no id and for a return.

    It is ours when its id is the one that we choose for its reference number, or when that number
    begins with our prefix.
    """
    if not isinstance(content, Mapping):
        return None
    crm_id, number = as_text(content.get("id")), as_text(content.get("reference_number"))
    if crm_id is None or (number or "").endswith(_RETURN_ENDING):
        return None
    is_ours = number is not None and (number.startswith(key_prefix) or own_id(number) == crm_id)
    return purchase_with(content, key=number if is_ours else None)


def purchase_with(content: Mapping[str, Any], *, key: str | None) -> RemoteObject:
    """Return a purchase whose key is known."""
    return RemoteObject(crm_id=str(content["id"]), key=key, fields=_fields(content))


def is_cancelled(content: Mapping[str, Any]) -> bool:
    """Whether a purchase was undone."""
    state = as_text(content.get("state")) or as_text(content.get("life_cycle_state"))
    return (state or "").upper() == CANCELLED_STATE


def reference_numbers(content: Any) -> frozenset[str | None]:
    """Return the numbers that a purchase or a return goes by; a return may hold its own inside."""
    shown = as_object(content)
    inner = as_object(shown.get("ad_hoc_return"))
    return frozenset(as_text(each.get("reference_number")) for each in (shown, inner))


def contact_of(content: Mapping[str, Any]) -> str | None:
    """Return CRM.COM's id of the contact that a purchase belongs to."""
    return as_text(as_object(content.get("contact")).get("id"))


def _fields(content: Mapping[str, Any]) -> dict[str, FieldValue]:
    amounts = as_object(content.get("transaction_amounts"))
    tap = as_object(content.get("tap")) or as_object(content.get(TAP_MEMBER))
    found: dict[str, FieldValue] = {
        "reference_number": as_text(content.get("reference_number")),
        "purchase_id": as_text(content.get("id")),
        "contact_key": as_text(as_object(content.get("contact")).get("code")),
        "date": _seconds(content.get(DATE_MEMBER)),
        "currency": as_text(content.get("currency_code")),
        **{name: as_text(amounts.get(name)) for name in ("total", "net", "tax", "discount")},
        "classification": as_text(as_object(content.get("classification")).get("name")),
        "organisation_id": as_text(as_object(content.get("organisation")).get("id")),
        "tap_code": as_text(tap.get("code")),
        "notes": as_text(content.get("notes")),
        "lines": _lines(content.get("products")),
    }
    return {field: value for field, value in found.items() if value is not None}


def _seconds(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _lines(value: Any) -> str | None:
    lines = [_line(each) for each in as_objects(value)]
    return msgspec.json.encode(lines).decode() if lines else None


def _line(shown: Mapping[str, Any]) -> dict[str, str]:
    product = as_object(shown.get("product_sku"))
    family = as_object(shown.get("product_family")) or as_object(shown.get("family"))
    line = {
        "sku": as_text(product.get("sku")) or as_text(shown.get("sku")),
        "name": as_text(product.get("name")) or as_text(shown.get("name")),
        "family": as_text(family.get("name")),
        **{
            name: as_text(shown.get(name))
            for name in ("quantity", "net_amount", "tax_amount", "total_amount")
        },
    }
    return {name: text for name, text in line.items() if text is not None}
