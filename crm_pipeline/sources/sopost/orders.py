"""The orders dataset: its columns, and how an order becomes them.

Nested members stay JSON, exactly as they came; what is not documented goes into ``extra``. Source
of the shape: the example order of SoPost's article on CRM integrations.
"""

import pyarrow as pa

from crm_pipeline.core.lossless import (
    EXTRA_RULE,
    Kind,
    Rule,
    UnreadableError,
    columns_of,
    schema_of,
    take_all,
    to_columns,
)
from crm_pipeline.core.ports import DatasetSpec, DecodedPage
from crm_pipeline.errors import MalformedAnswerError
from crm_pipeline.sources.sopost.assumptions import FINAL_STATES

#: Column (and member), kind, meaning.
_MEMBERS: tuple[tuple[str, Kind, str], ...] = (
    ("id", "text", "SoPost's own id of the order, a UUID."),
    ("short_id", "text", "The order's code for people."),
    ("activity_id", "text", "The activity of a campaign that the order was given to."),
    ("status", "text", "Where the order is, such as `APPROVED`; unknown words are kept."),
    ("full_name", "text", "The whole name, as the person wrote it."),
    ("email", "text", "E-mail address."),
    ("telephone", "text", "Phone number with plus and dialling code."),
    ("identity", "text", "Who ordered: the integration's own id, or a hash of the e-mail address."),
    ("provider", "text", "The integration that placed the order."),
    ("address", "object", "Where the sample goes, as it came."),
    ("line_items", "list", "What was ordered, as it came."),
    ("consents", "list", "What the person agreed to, whoever asked for it, as it came."),
    ("custom_questions", "list", "The questions that were answered, as they came."),
)

_CHANGED_AT = Rule(
    column="changed_at",
    kind="text",
    paths=(),
    description="Always null: SoPost tells no time, so the time of reading orders the versions.",
)

RULES = tuple(
    Rule(column=name, kind=kind, paths=(name,), description=description)
    for name, kind, description in _MEMBERS
)
SCHEMA = schema_of((*RULES, _CHANGED_AT, EXTRA_RULE))

ORDERS = DatasetSpec(
    name="orders",
    description="Sample orders that webhooks named, one row an order and version.",
    columns=columns_of((*RULES, _CHANGED_AT, EXTRA_RULE)),
    schema=SCHEMA,
    page_size=1,
    version_column=_CHANGED_AT.column,
    reading="keyed",
    final_states=FINAL_STATES,
)


def decode_orders(body: bytes) -> DecodedPage:
    """Turn a JSON list of orders into typed columns; no value and no record is lost.

    Raises MalformedAnswerError when it is not a JSON list, or says a thing twice.
    """
    try:
        takens, rejects = take_all(body, RULES, ORDERS.name)
        columns = to_columns(takens, RULES)
    except UnreadableError as error:
        raise malformed(f"An order {error.fault} ({len(body)} bytes).") from None
    columns[_CHANGED_AT.column] = pa.nulls(len(takens), pa.string())
    return DecodedPage(
        rows=pa.RecordBatch.from_arrays([columns[name] for name in SCHEMA.names], schema=SCHEMA),
        rejects=rejects,
        row_count=len(takens) + len(rejects),
    )


def decode_order(body: bytes, order_id: str) -> DecodedPage:
    """Turn the answer about one order into typed columns.

    Raises MalformedAnswerError also when the answer is not about that order.
    """
    decoded = decode_orders(b"[" + body + b"]")
    ids = decoded.rows.column("id").to_pylist()
    if decoded.row_count != 1 or [each.lower() for each in ids] != [order_id.lower()]:
        raise malformed(f"The answer is not about the order asked for ({len(body)} bytes).")
    return decoded


def malformed(happened: str) -> MalformedAnswerError:
    """Return the error for an order that cannot be used."""
    return MalformedAnswerError(
        happened,
        not_done="The order was not taken.",
        remedy="Run again; if it stays, ask the vendor or the owner of the proxy.",
    )
