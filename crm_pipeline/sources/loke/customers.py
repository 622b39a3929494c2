"""The customers dataset: its columns, and how a page becomes them.

The hot path: a whole page is decoded into typed structs in one step. A page with anything
unexpected (unknown field, explicit null, wrong type) takes the careful path (``decoding``), which
loses nothing either. Source of the shape: LOKE's customer model.
"""

from collections.abc import Sequence
from operator import attrgetter
from typing import Any

import msgspec
import pyarrow as pa

from crm_pipeline.core.lossless import (
    EXTRA_RULE,
    NOT_JSON,
    Identifier,
    Kind,
    Rule,
    Whole,
    columns_of,
    says_once,
    schema_of,
)
from crm_pipeline.core.ports import DatasetSpec

#: What a field that is not on the wire holds. Not in the declared type on purpose: an explicit
#: null is then a validation error, which is how it is told from an absent field.
_ABSENT: Any = None


class Statistics(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """A customer's totals, in the organisation's smallest unit of money and in points."""

    points_balance: Whole = _ABSENT
    total_points_earned: Whole = _ABSENT
    total_points_redeemed: Whole = _ABSENT
    total_spend: Whole = _ABSENT
    last_spent_at: str = _ABSENT
    last_points_earned_at: str = _ABSENT
    last_points_redeemed_at: str = _ABSENT


class Customer(msgspec.Struct, rename="camel", forbid_unknown_fields=True, gc=False):
    """One customer as documented; every field but the id may be missing."""

    id: Identifier
    created_at: str = _ABSENT
    updated_at: str = _ABSENT
    first_name: str = _ABSENT
    last_name: str = _ABSENT
    email: str = _ABSENT
    phone_number: str = _ABSENT
    dob: str = _ABSENT
    gender: str = _ABSENT
    has_agreed_to_marketing: bool = _ABSENT
    statistics: Statistics = _ABSENT


#: Column, kind, source field, meaning.
_COLUMNS: tuple[tuple[str, Kind, str, str], ...] = (
    ("id", "text", "id", "LOKE's own id of the customer; it never changes."),
    ("created_at", "text", "createdAt", "When the customer was created, as LOKE wrote it."),
    ("updated_at", "text", "updatedAt", "When the customer last changed, as LOKE wrote it."),
    ("first_name", "text", "firstName", "First name."),
    ("last_name", "text", "lastName", "Last name."),
    ("email", "text", "email", "E-mail address; not unique, may change."),
    ("phone_number", "text", "phoneNumber", "Phone number with plus and dialling code."),
    ("dob", "text", "dob", "Date of birth, YYYY-MM-DD."),
    ("gender", "text", "gender", "MALE, FEMALE or another word."),
    (
        "has_agreed_to_marketing",
        "flag",
        "hasAgreedToMarketing",
        "The one marketing consent; missing is not a consent.",
    ),
    ("points_balance", "whole", "statistics.pointsBalance", "Points that can be spent now."),
    ("total_points_earned", "whole", "statistics.totalPointsEarned", "Points ever earned."),
    ("total_points_redeemed", "whole", "statistics.totalPointsRedeemed", "Points ever redeemed."),
    (
        "total_spend",
        "whole",
        "statistics.totalSpend",
        "Money ever spent, in the smallest unit of the organisation's currency, tax included.",
    ),
    ("last_spent_at", "text", "statistics.lastSpentAt", "When money was last spent."),
    (
        "last_points_earned_at",
        "text",
        "statistics.lastPointsEarnedAt",
        "When points were last earned.",
    ),
    (
        "last_points_redeemed_at",
        "text",
        "statistics.lastPointsRedeemedAt",
        "When points were last redeemed.",
    ),
)

RULES = tuple(
    Rule(column=name, kind=kind, paths=(source_field,), description=description)
    for name, kind, source_field, description in _COLUMNS
)

SCHEMA = schema_of((*RULES, EXTRA_RULE))

CUSTOMERS = DatasetSpec(
    name="customers",
    description="Everybody whom the organisation knows, one row a customer and version.",
    columns=columns_of((*RULES, EXTRA_RULE)),
    schema=SCHEMA,
    page_size=1000,
)

STATISTIC_NAMES = Statistics.__struct_fields__

_PAGE = msgspec.json.Decoder(list[Customer])
_VALUES = attrgetter(*Customer.__struct_fields__)
_STATISTICS_OF = attrgetter("statistics")
_STATISTICS = attrgetter(*STATISTIC_NAMES)
_NOTHING = (None,) * len(STATISTIC_NAMES)


def read_regular(body: bytes) -> pa.RecordBatch | None:
    """Decode a page that is exactly as documented; None for any other."""
    try:
        customers = _PAGE.decode(body)
        rows = _to_batch(customers)
        is_whole = body.count(b'"') == _count_quotes(rows, customers) or says_once(body)
    except NOT_JSON:
        return None
    return rows if is_whole else None


def _to_batch(customers: Sequence[Customer]) -> pa.RecordBatch:
    if not customers:
        return pa.RecordBatch.from_pylist([], schema=SCHEMA)
    *profile, statistics = zip(*map(_VALUES, customers), strict=True)
    totals = [_NOTHING if each is None else _STATISTICS(each) for each in statistics]
    columns = [*profile, *zip(*totals, strict=True), [None] * len(customers)]
    arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)


def _count_quotes(batch: pa.RecordBatch, customers: Sequence[Customer]) -> int:
    """Return how many quotation marks the JSON of these customers must have had.

    A decoder lets the last of two equal members win. A page with one more member, or with a mark
    inside a text, has more of them: it is looked at more closely.
    """
    members = texts = 0
    for column in batch.columns:
        held = batch.num_rows - column.null_count
        members += held
        texts += held if column.type == pa.string() else 0
    statistics = sum(each is not None for each in map(_STATISTICS_OF, customers))
    return 2 * (members + statistics + texts)
