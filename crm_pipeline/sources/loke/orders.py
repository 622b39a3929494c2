"""The orders dataset: orders of all locations, which LOKE lists location by location.

A payment is the same purchase in a simpler form; orders are landed for what payments lack. Source
of the shape: LOKE's order model, most of whose members are not public (see the assumptions).
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.core.lossless import EXTRA_RULE, Kind, Rule, columns_of, schema_of
from crm_pipeline.core.ports import DatasetSpec
from crm_pipeline.sources.loke.deriving import latest_of, member_of

#: Column, kind, source field (none: worked out), meaning.
_COLUMNS: tuple[tuple[str, Kind, str, str], ...] = (
    ("id", "text", "id", "LOKE's own id of the order."),
    ("location_id", "text", "locationId", "LOKE's id of the location that the order is from."),
    ("status", "text", "status", "State of the order, such as `COMPLETED`."),
    ("created_at", "text", "createdAt", "When the order was placed, as LOKE wrote it."),
    ("accepted_at", "text", "acceptedAt", "When it was accepted, as LOKE wrote it."),
    ("completed_at", "text", "completedAt", "When it was completed, as LOKE wrote it."),
    ("rejected_at", "text", "rejectedAt", "When it was rejected, as LOKE wrote it."),
    ("changed_at", "text", "", "The latest of the four times above, in its own spelling."),
    ("customer_id", "text", "customer.id", "LOKE's id of the customer."),
    ("currency", "text", "", "Currency of the cart, ISO 4217."),
    ("cart", "object", "cart", "The cart with items and adjustments, as it came."),
)

#: Older names, read when the newer one is not there.
_OLDER = {"created_at": ("created",), "customer_id": ("customerId",)}

RULES = tuple(
    Rule(
        column=column,
        kind=kind,
        paths=(path, *_OLDER.get(column, ())) if path else (),
        description=description,
    )
    for column, kind, path, description in _COLUMNS
)

ORDERS = DatasetSpec(
    name="orders",
    description="Every order of the organisation's locations, one row an order and version.",
    columns=columns_of((*RULES, EXTRA_RULE)),
    schema=schema_of((*RULES, EXTRA_RULE)),
    page_size=1000,
    version_column="changed_at",
    reading="whole",
)


def derive(columns: Mapping[str, pa.Array], location_id: str) -> dict[str, pa.Array]:
    """Return the columns that are worked out from others, for orders of one location."""
    times = [columns[each] for each in ("rejected_at", "completed_at", "accepted_at", "created_at")]
    asked = pa.scalar(location_id or None, pa.string())
    return {
        "changed_at": latest_of(times),
        "currency": member_of(columns["cart"], "currency"),
        "location_id": pc.coalesce(columns["location_id"], asked),
    }
