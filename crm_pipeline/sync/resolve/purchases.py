"""Purchases and refunds: landed payments and rules in; what should exist in the CRM out.

Each payment makes at most one purchase and one refund, whichever of its versions came first. What
makes none is counted by its reason; what a person has to look at is set aside.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from crm_pipeline.core.purchases import MappedPayment, PurchaseRules, map_payment, refund_key
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.sync.resolve.passes import GROUP_ROWS, Pass, Stage
from crm_pipeline.sync.resolve.tables import ResolveReport, desired_row
from crm_pipeline.sync.workspace import Workspace

PURCHASES = "desired/purchases"
REFUNDS = "desired/refunds"
COLUMNS = (
    "id",
    "version_at",
    "state",
    "created_at",
    "completed_at",
    "refunded_at",
    "location_id",
    "currency",
    "total",
    "refunded_amount",
    "customer_id",
    "customer",
    "items",
)
_DETAILS = {
    "location_unmapped": "The payment's location is not named under `purchases: locations`.",
    "refund_amount_unknown": "The payment was refunded, and by how much is not known.",
}
_DEFAULT_DETAIL = "The payment cannot become a purchase."

Row = Mapping[str, Any]


def resolve_purchases(
    ws: Workspace, organisation: str, rules: PurchaseRules, *, is_full: bool
) -> ResolveReport:
    """Bring ``desired/purchases`` and ``desired/refunds`` up to the landed payments.

    The caller holds the organisation's lease. The stage advances only after both are durably
    written, so a killed pass is repeated.
    """
    stage = Stage(
        name="resolve:purchases",
        source="loke",
        dataset="payments",
        table=PURCHASES,
        version=rules.version,
    )
    work = _Purchases(Pass(ws, organisation, stage), rules)
    return work.resolve(is_full=is_full)


class _Purchases:
    def __init__(self, one: Pass, rules: PurchaseRules) -> None:
        self._pass = one
        self._rules = rules
        self._refunds: list[dict[str, Any]] = []
        self._seen: list[str] = []

    def resolve(self, *, is_full: bool) -> ResolveReport:
        """Work out what there is to do, and do it."""
        one = self._pass
        if not one.begin(is_full=is_full):
            return one.report()
        with one.ws.lake.session() as session:
            one.write(PURCHASES, self._groups(session))
        refunds = (
            self._refunds[start : start + GROUP_ROWS]
            for start in range(0, len(self._refunds), GROUP_ROWS)
        )
        one.write(REFUNDS, refunds)
        return one.end(self._seen)

    def _groups(self, session: LakeSession) -> Iterator[list[dict[str, Any]]]:
        for batch in session.sql(self._pass.current(session, COLUMNS)):
            for start in range(0, batch.num_rows, GROUP_ROWS):
                rows = self._map(batch.slice(start, GROUP_ROWS))
                if rows:
                    self._pass.count(len(rows))
                    yield rows

    def _map(self, batch: pa.RecordBatch) -> list[dict[str, Any]]:
        payments = batch.to_pylist()
        contacts = self._contact_keys(payments)
        found = []
        for row in payments:
            key = f"{self._rules.key_prefix}:{row['id']}"
            self._seen.append(key)
            mapped = map_payment(row, self._rules, self._pass.organisation)
            self._note(key, row, mapped)
            if mapped.purchase is not None:
                found.append(self._desired(key, row, mapped, contacts))
        return found

    def _note(self, key: str, row: Row, mapped: MappedPayment) -> None:
        one = self._pass
        one.issues.update(mapped.issues)
        if mapped.skipped:
            one.issues[mapped.skipped] += 1
        reason = mapped.rejected or next(iter(mapped.issues), "")
        if reason:
            one.reject(key, row, reason, _DETAILS.get(reason, _DEFAULT_DETAIL))

    def _desired(
        self, key: str, row: Row, mapped: MappedPayment, contacts: Mapping[str, str]
    ) -> dict[str, Any]:
        linked = contacts.get(row["customer_id"] or "")
        placed = {"contact_key": linked} if linked else {}
        if mapped.refund is not None:
            refund = {**mapped.refund, **placed}
            self._refunds.append(desired_row(refund_key(key), row["id"], row["version_at"], refund))
        purchase = {**(mapped.purchase or {}), **placed}
        return desired_row(key, row["id"], row["version_at"], purchase, mapped.issues)

    def _contact_keys(self, payments: Sequence[Row]) -> Mapping[str, str]:
        """Return the contacts of customers who were another source's contact before."""
        ids = {row["customer_id"] for row in payments if row["customer_id"]}
        one = self._pass
        return one.ws.ledger.links.of(one.organisation, one.stage.source, ids)
