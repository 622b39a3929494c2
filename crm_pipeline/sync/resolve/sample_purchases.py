"""Purchases without a price, for who wants approved samples among a person's purchases.

Off unless an organisation asks for it. Whether CRM.COM takes a total of nothing is not documented.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from crm_pipeline.core.normalise import exponent_of, money
from crm_pipeline.core.purchases import purchase_id
from crm_pipeline.core.records import Fields
from crm_pipeline.core.samples import is_approved
from crm_pipeline.core.subject import PERSON, SAMPLE
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.sync.resolve.passes import GROUP_ROWS, Pass
from crm_pipeline.sync.resolve.samples import PERSON_MACRO, SOURCE
from crm_pipeline.sync.resolve.tables import desired_row

_FRESH = """
SELECT id, status, line_items, landed_at, version_at, person_of(identity, email) AS person
FROM fresh ORDER BY id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplePurchases:
    """How approved sample orders become purchases. ``classification`` names them in the CRM."""

    classification: str = "SoPost sample"
    currency: str = "AUD"
    key_prefix: str = "sopost"
    approved_states: tuple[str, ...] = ("APPROVED", "DISPATCHED", "DELIVERED")


def sample_purchases(
    one: Pass, session: LakeSession, rules: SamplePurchases
) -> Iterator[list[dict[str, Any]]]:
    """Give one purchase of nothing for each approved order of somebody who is a contact."""
    session.execute(PERSON_MACRO)
    one.current(session, ("id",))
    for batch in session.sql(_FRESH):
        for start in range(0, batch.num_rows, GROUP_ROWS):
            rows = _desired(one, rules, batch.slice(start, GROUP_ROWS).to_pylist())
            one.count(len(rows))
            yield rows


def _desired(
    one: Pass, rules: SamplePurchases, orders: Sequence[dict[str, Any]]
) -> list[dict[str, Any]]:
    kept = [
        row
        for row in orders
        if not one.erased.has(SAMPLE, row["id"]) and not one.erased.has(PERSON, row["person"])
    ]
    one.left_out(len(orders), len(kept))
    approved = [row for row in kept if is_approved(row["status"], rules.approved_states)]
    people = {row["person"] for row in approved if row["person"]}
    contacts = one.ws.ledger.links.of(one.organisation, SOURCE, people)
    return [
        desired_row(
            f"{rules.key_prefix}:{row['id']}",
            row["id"],
            row["version_at"],
            _fields(one.organisation, rules, row, contacts[row["person"]]),
        )
        for row in approved
        if row["person"] in contacts
    ]


def _fields(
    organisation: str, rules: SamplePurchases, row: dict[str, Any], contact_key: str
) -> Fields:
    key = f"{rules.key_prefix}:{row['id']}"
    nothing = money(0, exponent_of(rules.currency) or 0)
    return {
        "reference_number": key,
        "purchase_id": purchase_id(organisation, key),
        "contact_key": contact_key,
        # An order tells no time of its own: this is when we first knew of it.
        "date": int(row["landed_at"].timestamp()),
        "currency": rules.currency,
        "total": nothing,
        "net": nothing,
        "tax": nothing,
        "classification": rules.classification,
        "lines": msgspec.json.encode(
            [
                {
                    "sku": f"{rules.key_prefix}:{item['stock_partition_id']}",
                    "name": "Sample",
                    "quantity": 1,
                    "net_amount": nothing,
                    "tax_amount": nothing,
                    "total_amount": nothing,
                }
                for item in _items(row["line_items"])
            ]
        ).decode(),
    }


def _items(text: str | None) -> list[dict[str, Any]]:
    listed = msgspec.json.decode(text) if text else []
    return (
        [each for each in listed if isinstance(each, dict) and each.get("stock_partition_id")]
        if isinstance(listed, list)
        else []
    )
