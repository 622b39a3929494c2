"""Receipts: how each write to a CRM ended, and what follows from it inside one transaction.

Here: outcomes, the applied state, totals. Not here: who may settle, and when (``outbox``).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crm_pipeline.core.records import Change, OutcomeKind
from crm_pipeline.store.ledger.bases import move_base
from crm_pipeline.store.ledger.engine import KEYS_A_QUERY, Database
from crm_pipeline.store.ledger.schema import (
    applied,
    applied_totals,
    outbox,
    outcomes,
    plans,
)
from crm_pipeline.store.ledger.texts import to_text
from crm_pipeline.store.ledger.times import to_micros

_OBJECT = ("organisation", "destination", "object_kind", "key")


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """How one change ended; ``outcome`` is None while that is unknown."""

    change: Change
    plan_digest: str
    outcome: OutcomeKind | None
    crm_id: str | None
    withheld: tuple[str, ...]
    reason: str
    attempts: int
    email_digest: str | None
    phone_digest: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiptWriter:
    """Writes receipts of one organisation and destination in one transaction.

    ``now`` is in microseconds since 1970-01-01 UTC.
    """

    database: Database
    connection: Connection
    organisation: str
    destination: str
    now: int

    def write(self, receipts: Sequence[Receipt]) -> None:
        """Write everything that follows from some receipts. A repeated receipt counts once."""
        ended = [receipt for receipt in receipts if receipt.outcome is not None]
        # What is withheld is kept as well: whoever waits for a medium is found by it,
        # when its owner gives it up.
        landed = [each for each in ended if each.outcome in ("applied", "unchanged", "withheld")]
        for receipt in receipts:
            if receipt.outcome is None:
                self._mark_unknown(receipt)
        if landed:
            self._add_to_totals(landed)
            self._write_applied(landed)
        for digest in sorted({receipt.plan_digest for receipt in ended}):
            self._write_outcomes(digest, [each for each in ended if each.plan_digest == digest])
        self.remove([(each.change.object_kind, each.change.key) for each in ended])

    def remove(self, keys: Sequence[tuple[str, str]], plan_digest: str | None = None) -> None:
        """Take intents out of the outbox, those of one plan only if it is named."""
        if not keys:
            return
        statement = sa.delete(outbox).where(
            self._are_ours(outbox),
            outbox.c.object_kind == sa.bindparam("its_kind"),
            outbox.c.key == sa.bindparam("its_key"),
        )
        if plan_digest is not None:
            statement = statement.where(outbox.c.plan_digest == plan_digest)
        values = [{"its_kind": kind, "its_key": key} for kind, key in keys]
        self.connection.execute(statement, values)

    def _are_ours(self, table: sa.Table) -> "sa.ColumnElement[bool]":
        return sa.and_(
            table.c.organisation == self.organisation, table.c.destination == self.destination
        )

    def _mark_unknown(self, receipt: Receipt) -> None:
        self.connection.execute(
            sa.update(outbox)
            .where(
                self._are_ours(outbox),
                outbox.c.object_kind == receipt.change.object_kind,
                outbox.c.key == receipt.change.key,
            )
            .values(state="unknown", reason=receipt.reason, attempt=receipt.attempts)
        )

    def _add_to_totals(self, receipts: Sequence[Receipt]) -> None:
        """Count the objects that the applied state does not hold yet."""
        new = {(receipt.change.object_kind, receipt.change.key) for receipt in receipts}
        keys = sorted({key for _, key in new})
        for start in range(0, len(keys), KEYS_A_QUERY):
            query = sa.select(applied.c.object_kind, applied.c.key).where(
                self._are_ours(applied),
                applied.c.object_kind.in_({kind for kind, _ in new}),
                applied.c.key.in_(keys[start : start + KEYS_A_QUERY]),
            )
            new -= {(row.object_kind, row.key) for row in self.connection.execute(query)}
        for kind, objects in Counter(kind for kind, _ in new).items():
            self.connection.execute(
                self.database.upsert(applied_totals)
                .values(
                    organisation=self.organisation,
                    destination=self.destination,
                    object_kind=kind,
                    objects=objects,
                )
                .on_conflict_do_update(
                    index_elements=_OBJECT[:3],
                    set_={"objects": applied_totals.c.objects + objects},
                )
            )

    def _write_applied(self, receipts: Sequence[Receipt]) -> None:
        rows = [
            {
                "organisation": self.organisation,
                "destination": self.destination,
                "object_kind": receipt.change.object_kind,
                "key": receipt.change.key,
                "crm_id": receipt.crm_id or "",
                "fingerprint": receipt.change.fingerprint,
                "fields": to_text(receipt.change.after),
                "withheld": to_text(receipt.withheld),
                "email_digest": receipt.email_digest,
                "phone_digest": receipt.phone_digest,
                "plan_digest": receipt.plan_digest,
                "version_at": to_micros(receipt.change.version_at),
                "applied_at": self.now,
            }
            for receipt in receipts
        ]
        insert = self.database.upsert(applied)
        changed = {name: insert.excluded[name] for name in rows[0] if name not in _OBJECT}
        statement = insert.on_conflict_do_update(index_elements=_OBJECT, set_=changed)
        self.connection.execute(statement, rows)

    def _write_outcomes(self, digest: str, receipts: Sequence[Receipt]) -> None:
        rows = [
            {
                "organisation": self.organisation,
                "destination": self.destination,
                "plan_digest": digest,
                "object_kind": receipt.change.object_kind,
                "key": receipt.change.key,
                "kind": receipt.change.kind,
                "outcome": receipt.outcome,
                "reason": receipt.reason,
                "attempts": receipt.attempts,
                "settled_at": self.now,
            }
            for receipt in receipts
        ]
        insert = self.database.upsert(outcomes).on_conflict_do_nothing().returning(outcomes.c.seq)
        added = self.connection.execute(insert, rows).scalars().all()
        if added:
            self._add_to_plan(digest, len(added))
            move_base(
                self.database,
                self.connection,
                self.organisation,
                self.destination,
                by=digest,
                object_kind=receipts[0].change.object_kind,
            )

    def _add_to_plan(self, digest: str, settled: int) -> None:
        self.connection.execute(
            sa.update(plans)
            .where(self._are_ours(plans), plans.c.digest == digest)
            .values(settled=plans.c.settled + settled)
        )
