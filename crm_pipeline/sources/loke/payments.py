"""The payments dataset: its columns, and what is worked out from them.

Amounts are in the smallest unit of the payment's currency, tax included. A refund is no payment of
its own: it is the same id with ``refundedAt``. Source of the shape: LOKE's payment model.
"""

from collections.abc import Mapping

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.core.lossless import EXTRA_RULE, Kind, Rule, columns_of, schema_of
from crm_pipeline.core.ports import DatasetSpec
from crm_pipeline.sources.loke.deriving import latest_of, member_of

#: Column, kind, source field (none: worked out), meaning.
_COLUMNS: tuple[tuple[str, Kind, str, str], ...] = (
    ("id", "text", "id", "LOKE's own id of the payment."),
    ("billing_type", "text", "billingType", "Kind of payment, such as `order/pickup`."),
    ("state", "text", "state", "State of the payment, such as `COMPLETED` or `REFUNDED`."),
    ("created_at", "text", "createdAt", "When the payment was begun, as LOKE wrote it."),
    ("completed_at", "text", "completedAt", "When it was completed, as LOKE wrote it."),
    ("refunded_at", "text", "refundedAt", "When it was refunded, as LOKE wrote it."),
    ("updated_at", "text", "updatedAt", "When it last changed, as LOKE wrote it."),
    ("changed_at", "text", "", "The latest of the four times above, in its own spelling."),
    ("location_id", "text", "locationId", "LOKE's id of the place of sale."),
    ("ref_id", "text", "refId", "Reference of the point of sale."),
    ("currency", "text", "currency", "Currency of all amounts, ISO 4217."),
    ("total", "whole", "total", "Whole amount that the payment covers."),
    ("charged_amount", "whole", "chargedAmount", "Part that was paid by card."),
    ("credit_amount", "whole", "creditAmount", "Part that was paid from the customer's credit."),
    ("discount_amount", "whole", "discountAmount", "Part that promotions took away."),
    ("external_amount", "whole", "externalAmount", "Part that was paid elsewhere."),
    ("fee_amount", "whole", "feeAmount", "LOKE's fee."),
    ("tip_amount", "whole", "tipAmount", "Tip."),
    ("payout_amount", "whole", "payoutAmount", "Amount that the business gets."),
    (
        "refunded_amount",
        "whole",
        "refundedAmount",
        "Amount that was paid back, if LOKE says it; a refund without it may be a partial one.",
    ),
    ("customer_id", "text", "", "LOKE's id of the customer; null when nobody is known."),
    ("customer", "object", "customer", "The customer as the payment names them, as it came."),
    ("items", "list", "items", "What was bought, as it came."),
)

#: Older names, read when the newer one is not there.
_OLDER = {"created_at": ("created",)}

RULES = tuple(
    Rule(
        column=column,
        kind=kind,
        paths=(path, *_OLDER.get(column, ())) if path else (),
        description=description,
    )
    for column, kind, path, description in _COLUMNS
)

PAYMENTS = DatasetSpec(
    name="payments",
    description="Every payment of the organisation, one row a payment and version.",
    columns=columns_of((*RULES, EXTRA_RULE)),
    schema=schema_of((*RULES, EXTRA_RULE)),
    page_size=1000,
    version_column="changed_at",
)


def derive(columns: Mapping[str, pa.Array], location_id: str) -> dict[str, pa.Array]:
    """Return the columns that are worked out from others.

    ``location_id`` is where an event says that its payment was made; empty for a page of the list.
    """
    times = [columns[each] for each in ("updated_at", "refunded_at", "completed_at", "created_at")]
    return {
        "changed_at": latest_of(times),
        "customer_id": member_of(columns["customer"], "id"),
        "location_id": pc.coalesce(
            columns["location_id"], pa.scalar(location_id or None, pa.string())
        ),
    }
