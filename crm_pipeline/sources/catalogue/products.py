"""The products dataset: its columns, and how the rows of a page become them.

A page is a JSON list of entries ``{"place", "fault", "record"}``: where a row stands in its file,
what the whole file says against it, and the row itself. A row that cannot be used is set aside with
its line (or its number, where a file has no lines). Prices come as decimals and are landed in the
currency's smallest unit.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pyarrow as pa

from crm_pipeline.core.lossless import (
    EXTRA_RULE,
    Kind,
    Rule,
    Taken,
    UnreadableError,
    columns_of,
    members_of,
    records_of,
    schema_of,
    to_columns,
)
from crm_pipeline.core.normalise import InvalidValueError, exponent_of, smallest_units
from crm_pipeline.core.ports import DatasetSpec, DecodedPage
from crm_pipeline.core.records import Reject
from crm_pipeline.errors import MalformedAnswerError

PAGE_ROWS = 1000

#: Column, kind, column of the file (none: worked out), meaning.
_COLUMNS: tuple[tuple[str, Kind, str, str], ...] = (
    ("id", "text", "", "The SKU."),
    ("sku", "text", "sku", "Stock keeping unit: the name by which a product is sold."),
    ("name", "text", "name", "Name of the product."),
    ("description", "text", "description", "What it is."),
    ("family", "text", "family", "Family that it belongs to."),
    ("brand", "text", "brand", "Brand."),
    ("price", "number", "price", "Price in the currency's smallest unit."),
    ("currency", "text", "currency", "Currency of the price, ISO 4217."),
    ("tax_rate", "number", "tax_rate", "Tax rate as the file gives it, such as 0.1."),
    ("changed_at", "text", "", "Always null: a file tells no time of change."),
)

_WIRE = tuple(
    Rule(column=column, kind=kind, paths=(path,) if path else (), description=description)
    for column, kind, path, description in _COLUMNS
)
_LANDED = tuple(
    Rule(
        column=rule.column,
        kind={"price": "whole", "tax_rate": "text"}.get(rule.column, rule.kind),  # type: ignore[arg-type]
        paths=rule.paths,
        description=rule.description,
    )
    for rule in _WIRE
)

#: The columns of a file that we know, by the names that we know them by.
KNOWN_NAMES = frozenset(path for rule in _WIRE for path in rule.paths)

PRODUCTS = DatasetSpec(
    name="products",
    description="Every product of the catalogue, one row a product and version.",
    columns=columns_of((*_LANDED, EXTRA_RULE)),
    schema=schema_of((*_LANDED, EXTRA_RULE)),
    page_size=0,  # no page is suspicious for being full: the file's end is known
    version_column="changed_at",
    reading="whole",
)

#: What is said against a row that is set aside, by reason.
_FAULTS: Mapping[str, str] = {
    "record_without_id": "the row has no usable SKU",
    "record_unreadable": "the row has more cells than the header, or is no object",
    "duplicate_id": "the SKU stands further up already, and that row was taken",
    "price_invalid": "the price is no amount of its currency",
    "currency_unknown": "the price has no currency, or one that does not exist",
}


class _FaultError(ValueError):
    """A row that cannot be used; ``args[0]`` is the reason."""


def decode_products(body: bytes, default_currency: str) -> DecodedPage:
    """Turn one page into typed columns. Raises MalformedAnswerError when it is none of ours."""
    takens: list[Taken] = []
    rejects: list[Reject] = []
    try:
        for entry, text in records_of(body):
            record = members_of(text, entry)["record"]
            try:
                takens.append(_take(entry, record, default_currency))
            except _FaultError as fault:
                rejects.append(_reject(entry, record, str(fault)))
        columns = to_columns(takens, _LANDED)
    except UnreadableError as error:
        raise MalformedAnswerError(f"A page of products {error.fault}.") from None
    rows = pa.RecordBatch.from_arrays(
        [columns[name] for name in PRODUCTS.schema.names], schema=PRODUCTS.schema
    )
    return DecodedPage(rows=rows, rejects=tuple(rejects), row_count=len(takens) + len(rejects))


def encode_page(entries: Sequence[tuple[str, str, bytes]]) -> bytes:
    """Return entries (place, fault, the row's JSON) as the body of a page."""
    return msgspec.json.encode(
        [
            {"place": place, "fault": fault, "record": msgspec.Raw(record)}
            for place, fault, record in entries
        ]
    )


def _take(entry: Mapping[str, Any], record: bytes, default_currency: str) -> Taken:
    if entry["fault"]:
        raise _FaultError(entry["fault"])
    value = entry["record"]
    taken = Taken(value, record, _WIRE)
    row = taken.row
    row["id"] = row["sku"]
    if row["price"] is None:
        if value.get("price") not in (None, ""):
            raise _FaultError("price_invalid")
        return taken
    row["currency"] = row["currency"] or default_currency or None
    exponent = exponent_of(row["currency"] or "")
    if exponent is None:
        raise _FaultError("currency_unknown")
    try:
        row["price"] = smallest_units(row["price"], exponent)
    except InvalidValueError:
        raise _FaultError("price_invalid") from None
    if row["price"] < 0:
        raise _FaultError("price_invalid")
    return taken


def _reject(entry: Mapping[str, Any], record: bytes, reason: str) -> Reject:
    value = entry["record"]
    sku = value.get("sku") if isinstance(value, dict) else None
    return Reject(
        stage="land",
        dataset=PRODUCTS.name,
        key=sku if isinstance(sku, str) else "",
        reason=reason,
        detail=f"{entry['place']}: {_FAULTS[reason]}.",
        payload=record.decode("utf-8"),
    )
