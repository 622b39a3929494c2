"""The orders dataset: its columns, and how a page becomes them.

Amounts come as decimals of the currency and are landed as whole numbers of its smallest unit; times
come as epoch seconds and are landed as ISO texts. What cannot be told exactly stays in ``extra``.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from crm_pipeline.core.lossless import (
    EXTRA_RULE,
    Kind,
    Rule,
    Taken,
    UnreadableError,
    columns_of,
    load_strictly,
    members_of,
    schema_of,
    take_all,
    to_columns,
)
from crm_pipeline.core.normalise import InvalidValueError, exponent_of, smallest_units
from crm_pipeline.core.ports import DatasetSpec, DecodedPage
from crm_pipeline.core.times import format_time
from crm_pipeline.errors import MalformedAnswerError
from crm_pipeline.sources.crm_com_orders.assumptions import FIRST_MILLISECONDS, PATHS

#: Column, kind of the landed value, meaning.
_COLUMNS: tuple[tuple[str, Kind, str], ...] = (
    ("id", "text", "CRM.COM's own id of the order."),
    ("number", "text", "Number that people see."),
    ("state", "text", "State, such as `NEW`, `IN_PROGRESS`, `COMPLETED` or `CANCELLED`."),
    ("contact_id", "text", "CRM.COM's id of the contact who ordered."),
    ("contact_code", "text", "That contact's code: our key, when the contact is ours."),
    ("organisation_id", "text", "CRM.COM's id of the organisation that fulfils the order."),
    ("supply_method", "text", "`DELIVERY`, `PICK_UP` or `DIRECT_SALE`."),
    ("currency", "text", "Currency of all amounts, ISO 4217."),
    ("total", "whole", "Total, in the currency's smallest unit."),
    ("net_amount", "whole", "Total without tax, in the currency's smallest unit."),
    ("tax_amount", "whole", "Tax, in the currency's smallest unit."),
    ("wallet_funds", "whole", "Part paid from the wallet, in the currency's smallest unit."),
    ("amount_due", "whole", "Part still to be paid, in the currency's smallest unit."),
    ("submitted_at", "text", "When the order was placed, ISO 8601 in UTC."),
    ("completed_at", "text", "When it was completed, ISO 8601 in UTC."),
    ("items", "list", "What was ordered, as it came."),
    ("changed_at", "text", "Always null: CRM.COM tells no time of change."),
)
_AMOUNTS = ("total", "net_amount", "tax_amount", "wallet_funds", "amount_due")
_TIMES = ("submitted_at", "completed_at")
_UNTOLD = "changed_at"

_LANDED = tuple(
    Rule(
        column=column,
        kind=kind,
        paths=() if column == _UNTOLD else PATHS.get(column, (column,)),
        description=description,
    )
    for column, kind, description in _COLUMNS
)
#: The same, with amounts and times as the numbers that they are on the wire.
_WIRE = tuple(
    replace(rule, kind="number") if rule.column in (*_AMOUNTS, *_TIMES) else rule
    for rule in _LANDED
)

ORDERS = DatasetSpec(
    name="orders",
    description="Every order placed at CRM.COM, one row an order and version.",
    columns=columns_of((*_LANDED, EXTRA_RULE)),
    schema=schema_of((*_LANDED, EXTRA_RULE)),
    page_size=0,  # no page is suspicious for being full: each says whether more follow
    version_column="changed_at",
    reading="whole",
)


def decode_orders(body: bytes) -> DecodedPage:
    """Turn a page, or a bare list of orders, into typed columns; nothing is lost.

    Raises MalformedAnswerError when it is neither, or says a thing twice.
    """
    try:
        takens, rejects = take_all(_list_in(body), _WIRE, ORDERS.name)
        for taken in takens:
            _finish(taken)
        return DecodedPage(
            rows=_to_batch(takens), rejects=rejects, row_count=len(takens) + len(rejects)
        )
    except UnreadableError as error:
        raise MalformedAnswerError(
            f"A page of orders {error.fault} ({len(body)} bytes).",
            not_done="None of its records was taken.",
            remedy="Run again; if it stays, ask the vendor or the owner of the proxy.",
        ) from None


def _list_in(body: bytes) -> bytes:
    """Return the text of the list in a page's envelope; a list without one is its own."""
    value = load_strictly(body)
    if not isinstance(value, dict):
        return body
    content = value.get("content", ())
    if content is None:
        return b"[]"
    if not isinstance(content, list):
        raise UnreadableError("holds no list")
    return members_of(body, value)["content"]


def _finish(taken: Taken) -> None:
    """Turn the numbers of one order into what is landed; those that cannot be go back."""
    exponent = exponent_of(taken.row["currency"] or "")
    for column in _AMOUNTS:
        _replace(taken, column, None if exponent is None else _units(taken.row[column], exponent))
    for column in _TIMES:
        _replace(taken, column, _moment(taken.row[column]))


def _replace(taken: Taken, column: str, value: int | str | None) -> None:
    if taken.row[column] is None:
        return
    if value is None:
        taken.give_back(column)
    else:
        taken.row[column] = value


def _units(text: str | None, exponent: int) -> int | None:
    try:
        return None if text is None else smallest_units(text, exponent)
    except InvalidValueError:
        return None


def _moment(text: str | None) -> str | None:
    """Return epoch seconds as an ISO text.

    >>> _moment("1714731300"), _moment("1714731300000"), _moment("1.5")
    ('2024-05-03T10:15:00Z', '2024-05-03T10:15:00Z', None)
    """
    if text is None or not text.isdecimal() or len(text) > len(str(FIRST_MILLISECONDS)) + 2:
        return None
    number = int(text)
    milliseconds = number if number >= FIRST_MILLISECONDS else number * 1000
    return format_time(
        dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(milliseconds=milliseconds)
    )


def _to_batch(takens: Sequence[Taken]) -> pa.RecordBatch:
    columns = to_columns(takens, _LANDED)
    return pa.RecordBatch.from_arrays(
        [columns[name] for name in ORDERS.schema.names], schema=ORDERS.schema
    )
