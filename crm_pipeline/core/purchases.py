"""What a payment becomes in a CRM: a purchase that should exist once, and perhaps its refund.

Pure. A payment is a fact: the purchase made of it never changes. Its refund is a fact of its own,
so that any order of arrival ends in the same two. Source of the rules: ``vendors/crmcom.md`` 6.2
and 6.3. Not here: which CRM organisation or terminal a place is called (the rules say it).
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, Literal

import msgspec

from crm_pipeline.core.money import included_tax, share_out
from crm_pipeline.core.normalise import exponent_of, money
from crm_pipeline.core.records import Fields
from crm_pipeline.core.times import UnreadableTimeError, parse_time

Row = Mapping[str, Any]

#: Why a payment makes no purchase although nothing is wrong with it.
Skipped = Literal["", "anonymous", "before_go_live", "not_completed", "no_value"]

_COMPLETED = "COMPLETED"
_REFUNDED = "REFUNDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How the CRM calls a place of sale: its organisation's id, or a terminal's code."""

    organisation_id: str | None = None
    tap_code: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchaseRules:
    """How one organisation's payments become purchases.

    ``go_live`` in epoch seconds: what was completed before is never sent. ``places`` by the
    source's location id; without any, the CRM's key decides. ``tax_rate`` None sends no tax.
    ``participant`` names the customer's field that identifies a person to a CRM which is not told
    about contacts.
    """

    key_prefix: str = "loke"
    go_live: int = 0
    is_anonymous_sent: bool = False
    classification: str = "LOKE"
    sku_prefix: str = ""
    adjustment_sku: str = "LOKE-ADJUSTMENT"
    tax_rate: Decimal | None = None
    places: Mapping[str, Place] = field(default_factory=dict)
    default_place: Place | None = None
    is_default_for_unmapped: bool = False
    is_unknown_refund_whole: bool = False
    participant: Literal["", "email", "phoneNumber", "id"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedPayment:
    """What one payment stands for.

    ``skipped`` says why there is no purchase although the payment is fine; ``rejected`` is a
    reason for a person to look at; ``issues`` are stable codes.
    """

    purchase: Fields | None = None
    refund: Fields | None = None
    issues: tuple[str, ...] = ()
    skipped: Skipped = ""
    rejected: str = ""


class _RejectedError(ValueError):
    """A payment that cannot become a purchase; the message is a stable code."""


def purchase_id(organisation: str, key: str) -> str:
    """Return the id that we choose for a purchase: the same for the same key, for ever.

    >>> purchase_id("acme", "loke:1") == purchase_id("acme", "loke:1")
    True
    """
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"crm_pipeline/{organisation}/{key}"))


def refund_key(key: str) -> str:
    """Return our name of the refund of a purchase."""
    return f"{key}:refund"


def map_payment(row: Row, rules: PurchaseRules, organisation: str) -> MappedPayment:
    """Return the purchase and the refund that one landed payment stands for."""
    skipped = _skip_reason(row, rules)
    if skipped:
        return MappedPayment(skipped=skipped)
    try:
        purchase = _purchase(row, rules, organisation)
        return _with_refund(MappedPayment(purchase=purchase), row, rules)
    except _RejectedError as error:
        return MappedPayment(rejected=str(error))


def _skip_reason(row: Row, rules: PurchaseRules) -> Skipped:
    if not row["completed_at"] and row["state"] not in (_COMPLETED, _REFUNDED):
        return "not_completed"
    if not row["customer_id"] and not rules.is_anonymous_sent:
        return "anonymous"
    if row["total"] == 0:
        return "no_value"
    moment = _seconds(row["completed_at"] or row["created_at"])
    return "before_go_live" if moment is not None and moment < rules.go_live else ""


def _purchase(row: Row, rules: PurchaseRules, organisation: str) -> Fields:
    key = f"{rules.key_prefix}:{row['id']}"
    moment = _seconds(row["completed_at"] or row["created_at"])
    if moment is None:
        raise _RejectedError("time_unreadable")
    exponent = exponent_of(str(row["currency"]))
    if exponent is None:
        raise _RejectedError("currency_unknown")
    total = row["total"]
    if total is None:
        raise _RejectedError("total_missing")
    if total < 0:
        raise _RejectedError("total_negative")
    place = _place(row["location_id"], rules)
    lines = _lines(row, rules, total)
    tax = sum(line.tax for line in lines)
    fields: dict[str, Any] = {
        "reference_number": key,
        "purchase_id": purchase_id(organisation, key),
        "contact_key": f"{rules.key_prefix}:{row['customer_id']}" if row["customer_id"] else None,
        "date": moment,
        "currency": row["currency"],
        "total": money(total, exponent),
        "net": money(total - tax, exponent),
        "tax": money(tax, exponent),
        "classification": rules.classification,
        "organisation_id": place.organisation_id,
        "tap_code": place.tap_code,
        "lines": _lines_text(lines, exponent),
    }
    if rules.participant:
        fields["participant"] = _participant(row, rules.participant)
    return {name: value for name, value in fields.items() if value is not None}


def _place(location_id: str | None, rules: PurchaseRules) -> Place:
    if location_id in rules.places:
        return rules.places[str(location_id)]
    is_unmapped = location_id is not None and bool(rules.places)
    if is_unmapped and not rules.is_default_for_unmapped:
        raise _RejectedError("location_unmapped")
    return rules.default_place or Place()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    sku: str
    name: str
    quantity: int
    total: int
    tax: int = 0


def _lines(row: Row, rules: PurchaseRules, total: int) -> list[_Line]:
    """Return the lines, whose totals add up to the total.

    Whether an item's amount is of one piece or of all is not documented; it is taken as it is,
    never multiplied. What the items lack (tips, charges, multiplied pieces) is a line of its own;
    a discount is shared out over the items.
    """
    items = [_item(each, rules) for each in read_items(row["items"])]
    listed = sum(item.total for item in items)
    if listed > total:
        shares = share_out(total, [item.total for item in items])
        items = [replace(each, total=share) for each, share in zip(items, shares, strict=True)]
    elif listed < total:
        rest = _Line(
            sku=rules.adjustment_sku, name="Other charges", quantity=1, total=total - listed
        )
        items.append(rest)
    if rules.tax_rate is None:
        return items
    rate = rules.tax_rate
    return [replace(each, tax=included_tax(each.total, rate)) for each in items]


def read_items(text: str | None) -> Sequence[Row]:
    """Return the items of a payment as it was landed; those without an id are left out."""
    items = msgspec.json.decode(text) if text else []
    listed = items if isinstance(items, list) else []
    return [each for each in listed if isinstance(each, dict) and each.get("id")]


def item_name(item: Row) -> str:
    """Return an item's name, in either spelling, or its id."""
    return str(item.get("name") or item.get("label") or item["id"])


def _item(item: Row, rules: PurchaseRules) -> _Line:
    return _Line(
        sku=f"{rules.sku_prefix}{item['id']}",
        name=item_name(item),
        quantity=max(1, _whole(item.get("quantity"))),
        total=max(0, _whole(item.get("amount"))),
    )


def _whole(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _lines_text(lines: Sequence[_Line], exponent: int) -> str:
    return msgspec.json.encode(
        [
            {
                "sku": line.sku,
                "name": line.name,
                "quantity": line.quantity,
                "net_amount": money(line.total - line.tax, exponent),
                "tax_amount": money(line.tax, exponent),
                "total_amount": money(line.total, exponent),
            }
            for line in lines
        ]
    ).decode()


def _participant(row: Row, name: str) -> str | None:
    if name == "id":
        return str(row["customer_id"]) if row["customer_id"] else None
    customer = msgspec.json.decode(row["customer"]) if row["customer"] else {}
    value = customer.get(name)
    return value if isinstance(value, str) and value else None


def _with_refund(mapped: MappedPayment, row: Row, rules: PurchaseRules) -> MappedPayment:
    """Add the refund, when there was one whose amount is known."""
    if not row["refunded_at"] and row["state"] != _REFUNDED:
        return mapped
    total, amount = row["total"], row["refunded_amount"]
    is_whole = amount is None and (row["state"] == _REFUNDED or rules.is_unknown_refund_whole)
    if is_whole or (amount is not None and amount >= total):
        return replace(mapped, refund=_refund(mapped, row, "cancel", None))
    if amount is None or amount <= 0:
        return replace(mapped, issues=("refund_amount_unknown",))
    return replace(mapped, refund=_refund(mapped, row, "return", amount))


def _refund(mapped: MappedPayment, row: Row, kind: str, amount: int | None) -> Fields:
    purchase = mapped.purchase or {}
    key = str(purchase["reference_number"])
    exponent = exponent_of(str(row["currency"])) or 0
    values = {
        "purchase_key": key,
        "kind": kind,
        "amount": money(amount, exponent),
        "currency": purchase["currency"],
        "date": _seconds(row["refunded_at"]) or purchase["date"],
        "reference_number": refund_key(key),
        **{
            name: purchase.get(name)
            for name in ("contact_key", "organisation_id", "tap_code", "participant")
        },
    }
    return {name: value for name, value in values.items() if value is not None}


def _seconds(text: str | None) -> int | None:
    """Return a time in epoch seconds, None when it is absent or unreadable."""
    try:
        return int(parse_time(text).timestamp()) if text else None
    except UnreadableTimeError:
        return None
