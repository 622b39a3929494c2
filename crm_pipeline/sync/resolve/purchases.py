"""Purchases and refunds: landed payments and rules in; what should exist in the CRM out.

Each payment makes at most one purchase and one refund, whichever of its versions came first. What
makes none is counted by its reason; what a person has to look at is set aside.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import msgspec
import pyarrow as pa

from crm_pipeline.core.purchases import MappedPayment, PurchaseRules, map_payment, refund_key
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.sync.resolve.passes import GROUP_ROWS, Pass, Stage
from crm_pipeline.sync.resolve.sample_purchases import SamplePurchases, sample_purchases
from crm_pipeline.sync.resolve.samples import SOURCE as SAMPLES
from crm_pipeline.sync.resolve.tables import ResolveReport, desired_row, merged
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


@dataclass(frozen=True, slots=True, kw_only=True)
class PurchasingRules:
    """What makes purchases: payments, samples, or both. None: not this one."""

    payments: PurchaseRules | None = None
    samples: SamplePurchases | None = None

    @property
    def version(self) -> str:
        """Return a short name of the rules: another one after every change to them."""
        return blake2b(msgspec.json.encode(self, order="sorted"), digest_size=6).hexdigest()


def resolve_purchases(
    ws: Workspace, organisation: str, rules: PurchasingRules, *, is_full: bool
) -> ResolveReport:
    """Bring ``desired/purchases`` and ``desired/refunds`` up to what landed.

    The caller holds the organisation's lease. A stage advances only after both tables are durably
    written, so a killed pass is repeated. Payments and samples write one table: when one of them
    is made anew, both are.
    """
    passes = list(_passes(ws, organisation, rules))
    due = [one for one in passes if one.begin(is_full=is_full)]
    if any(one.is_full for one in due):
        due = [one for one in passes if one.begin(is_full=True)]
    for place, one in enumerate(due):
        if one.stage.source == SAMPLES and rules.samples is not None:
            with ws.lake.session() as session:
                groups = sample_purchases(one, session, rules.samples)
                one.write(PURCHASES, groups, is_replacing=place == 0)
            one.end(())
        elif rules.payments is not None:
            _Payments(one, rules.payments).resolve()
    return merged([one.report() for one in passes])


def _passes(ws: Workspace, organisation: str, rules: PurchasingRules) -> Iterator[Pass]:
    wanted = (("loke", "payments", rules.payments), (SAMPLES, "orders", rules.samples))
    for source, dataset, chosen in wanted:
        if chosen is not None:
            stage = Stage(
                name=f"resolve:purchases:{source}",
                source=source,
                dataset=dataset,
                table=PURCHASES,
                version=rules.version,
            )
            yield Pass(ws, organisation, stage)


class _Payments:
    def __init__(self, one: Pass, rules: PurchaseRules) -> None:
        self._pass = one
        self._rules = rules
        self._refunds: list[dict[str, Any]] = []
        self._seen: list[str] = []

    def resolve(self) -> None:
        """Write the purchases and the refunds of the fresh payments."""
        one = self._pass
        with one.ws.lake.session() as session:
            one.write(PURCHASES, self._groups(session))
        refunds = (
            self._refunds[start : start + GROUP_ROWS]
            for start in range(0, len(self._refunds), GROUP_ROWS)
        )
        one.write(REFUNDS, refunds)
        one.end(self._seen)

    def _groups(self, session: LakeSession) -> Iterator[list[dict[str, Any]]]:
        for batch in session.sql(self._pass.current(session, COLUMNS)):
            for start in range(0, batch.num_rows, GROUP_ROWS):
                rows = self._map(batch.slice(start, GROUP_ROWS))
                if rows:
                    self._pass.count(len(rows))
                    yield rows

    def _map(self, batch: pa.RecordBatch) -> list[dict[str, Any]]:
        kept = self._pass.erased.kept(self._pass.stage.source, self._pass.stage.dataset, batch)
        self._pass.left_out(batch.num_rows, kept.num_rows)
        payments = kept.to_pylist()
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
