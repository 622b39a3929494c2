"""Products as CRM.COM wants them written, and as it shows them, in our flat fields."""

from collections.abc import Collection, Mapping
from typing import Any

from crm_pipeline.core.records import Fields, FieldValue, RemoteObject
from crm_pipeline.destinations.crm_com.assumptions import CLEARED, CLEARED_PRODUCT_TEXT
from crm_pipeline.destinations.crm_com.products.fields import key_of
from crm_pipeline.destinations.crm_com.values import as_object, as_objects, as_text, json_number

Body = dict[str, Any]

_TEXTS = {"name": "name", "description": "description"}
_CURRENCY = "currency_code"
_NAMED = ("family", "brand")
_NUMBERS = ("price", "tax_rate")


def product_body(sku: str, fields: Fields, changed: Collection[str]) -> Body:
    """Return one product of a synchronisation: whole, what lost its value emptied.

    Raises ValueError for an unreadable number.

    >>> product_body("S", {"name": "Tea", "family": "Drinks"}, ["brand", "name", "description"])
    {'sku': 'S', 'name': 'Tea', 'description': '', 'family': {'name': 'Drinks'}, 'brand': None}
    """
    body: Body = {"sku": sku}
    for field, member in _TEXTS.items():
        if fields.get(field) or field in changed:
            body[member] = fields.get(field) or CLEARED_PRODUCT_TEXT
    if fields.get("currency"):
        body[_CURRENCY] = fields["currency"]
    for field in _NAMED:
        if fields.get(field) or field in changed:
            body[field] = {"name": fields[field]} if fields.get(field) else CLEARED
    for field in _NUMBERS:
        if fields.get(field) is not None or field in changed:
            value = fields.get(field)
            body[field] = CLEARED if value is None else json_number(value)
    return body


def read_product(content: Any) -> RemoteObject | None:
    """Return a product, or None when it has neither SKU nor id.

    It goes by its SKU, which is its outside key in CRM.COM, so that a product that was just sent
    and one that was read have the same id.
    """
    shown = as_object(content)
    sku, crm_id = as_text(shown.get("sku")), as_text(shown.get("id"))
    if sku is None:
        return RemoteObject(crm_id=crm_id, key=None, fields={}) if crm_id else None
    return RemoteObject(crm_id=sku, key=key_of(sku), fields=_fields(sku, shown))


def _fields(sku: str, shown: Mapping[str, Any]) -> dict[str, FieldValue]:
    prices = [*as_objects(shown.get("pricing")), *as_objects(shown.get("prices")), {}]
    price = prices[0]
    found: dict[str, FieldValue] = {
        "sku": sku,
        "name": as_text(shown.get("name")),
        "description": as_text(shown.get("description")),
        "family": _name_of(shown, "family"),
        "brand": _name_of(shown, "brand"),
        "price": as_text(shown.get("price")) or as_text(price.get("price")),
        "currency": as_text(shown.get("currency_code")) or as_text(price.get("currency_code")),
        "tax_rate": as_text(shown.get("tax_rate")) or as_text(price.get("tax_rate")),
    }
    return {field: value for field, value in found.items() if value is not None}


def _name_of(shown: Mapping[str, Any], member: str) -> str | None:
    for name in (member, f"product_{member}"):
        value = shown.get(name)
        text = as_text(as_object(value).get("name")) or as_text(value)
        if text is not None:
            return text
    return None
