"""What may be changed about the fake LOKE while it runs, and how rows are dressed for it."""

from typing import Annotated, Any, Literal

import msgspec

from crm_pipeline.sandbox.loke.subscriptions import Signing

_Size = Annotated[int, msgspec.Meta(ge=1)]
Row = dict[str, Any]
#: Names that LOKE's types had in 2022, by today's.
_OLD_NAMES = {
    "lastSpentAt": "lastSpend",
    "lastPointsEarnedAt": "lastPointsEarned",
    "lastPointsRedeemedAt": "lastPointsRedeemed",
}
_SECONDS = len("2024-06-07T10:00:00")


class LokeSwitches(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """How LOKE behaves where its documents leave it open, and how it misbehaves."""

    next_link: Literal["relative", "absolute"] = "relative"
    cursor: Literal["key", "offset"] = "key"
    page_size: _Size = 1000
    membership_page_size: _Size = 10
    organisation_page_size: _Size = 100
    payment_page_size: _Size = 100
    order_page_size: _Size = 100
    list_page_size: _Size = 100
    member_page_size: _Size = 1000
    location_page_size: _Size = 100
    error_body: Literal["object", "text"] = "object"
    gzip: bool = False
    #: ``old``: the names of 2022.
    field_names: Literal["current", "old"] = "current"
    #: ``mixed`` is as invented: some times with thousandths, some without.
    time_precision: Literal["mixed", "seconds", "milliseconds"] = "mixed"
    #: ``mostly`` is as invented: one row in a hundred has none.
    updated_at: Literal["mostly", "never"] = "mostly"
    #: Lists, by id or name, that seem to have no members although they count some.
    empty_lists: list[str] = []
    #: Whether a change of statistics alone moves ``updatedAt``.
    statistics_bump: bool = True
    #: Whether a payment and its refund change the statistics of its customer.
    payments_earn: bool = True
    #: Whether a partial refund says how much.
    refunded_amount: bool = True
    webhook_answer: Literal["array", "object", "empty"] = "array"
    signature: Signing = "right"
    #: Whether customer.created and customer.updated carry the statistics.
    hook_statistics: bool = True
    #: Whether payment and order events carry the location.
    hook_location: bool = True
    #: Whether payment events carry the customer.
    hook_customer: bool = True


def is_plain(switches: LokeSwitches) -> bool:
    """Say whether rows are answered as they are kept."""
    return (
        switches.field_names == "current"
        and switches.time_precision == "mixed"
        and switches.updated_at == "mostly"
        and switches.refunded_amount
    )


def dressed(row: Row, switches: LokeSwitches) -> Row:
    """Return a row, of any kind, as the switches want it."""
    if is_plain(switches):
        return row
    hidden = set() if switches.updated_at == "mostly" else {"updatedAt"}
    if not switches.refunded_amount:
        hidden.add("refundedAmount")
    shown = _walk(row, switches)
    result: Row = {name: value for name, value in shown.items() if name not in hidden}
    return result


def _walk(value: Any, switches: LokeSwitches) -> Any:
    if isinstance(value, list):
        return [_walk(each, switches) for each in value]
    if isinstance(value, str):
        return _retimed(value, switches.time_precision)
    if not isinstance(value, dict):
        return value
    walked = {name: _walk(each, switches) for name, each in value.items()}
    if switches.field_names == "old":
        return _renamed(walked)
    return walked


def _retimed(text: str, precision: str) -> str:
    """Write a time with or without thousandths; another text stays.

    >>> _retimed("2024-06-07T10:00:00.125Z", "seconds"), _retimed("Tuesday", "seconds")
    ('2024-06-07T10:00:00Z', 'Tuesday')
    """
    is_time = text[10:11] == "T" and text.endswith("Z") and text[:4].isdecimal()
    if not is_time or precision == "mixed":
        return text
    if precision == "seconds":
        return f"{text[:_SECONDS]}Z"
    return text if "." in text else f"{text[:_SECONDS]}.000Z"


def _renamed(row: Row) -> Row:
    renamed = {_OLD_NAMES.get(name, name): value for name, value in row.items()}
    if {"name", "quantity"} <= renamed.keys():
        renamed["label"] = renamed.pop("name")
    if {"timezone", "createdAt"} <= renamed.keys():
        renamed["created"] = renamed.pop("createdAt")
    return renamed
