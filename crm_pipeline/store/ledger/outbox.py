"""Intents and receipts: what is being written to a CRM, and how every change ended.

State machine (``ARCHITECTURE.md``, Apply): an intent is ``sending`` before its call leaves; it
becomes an outcome, or ``unknown``; an unknown one is looked up and becomes an outcome or is
released. One intent an object at a time. A worker whose lease was taken over changes nothing.
"""

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crm_pipeline.core.records import Change, OutcomeKind
from crm_pipeline.errors import TryLaterError
from crm_pipeline.store.ledger.applied import fields_json, names_json
from crm_pipeline.store.ledger.engine import KEYS_A_QUERY, Database
from crm_pipeline.store.ledger.leases import Lease, require
from crm_pipeline.store.ledger.schema import applied, bases, outbox, outcomes, plans
from crm_pipeline.store.ledger.times import Clock, from_micros, to_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """A change that is about to be sent."""

    object_kind: str
    key: str
    plan_digest: str
    seq: int
    kind: str
    fingerprint: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxRow:
    """An intent without an outcome."""

    object_kind: str
    key: str
    plan_digest: str
    seq: int
    kind: str
    fingerprint: str
    state: Literal["sending", "unknown"]
    attempt: int
    intent_at: dt.datetime


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


class Outbox:
    """Writes intents and receipts; each call is one durable transaction."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def begin(
        self, organisation: str, destination: str, intents: Sequence[Intent], lease: Lease
    ) -> None:
        """Write intents down before their calls leave.

        Raises LeaseHeldError when the lease was taken over, and TryLaterError when an earlier
        write of one of the objects has no outcome yet; then nothing may be sent.
        """
        if not intents:
            return
        now = to_micros(self._clock())
        rows = [
            {
                "organisation": organisation,
                "destination": destination,
                "object_kind": intent.object_kind,
                "key": intent.key,
                "plan_digest": intent.plan_digest,
                "seq": intent.seq,
                "kind": intent.kind,
                "fingerprint": intent.fingerprint,
                "state": "sending",
                "attempt": 1,
                "generation": lease.generation,
                "intent_at": now,
                "reason": "",
            }
            for intent in intents
        ]
        with self._database.write() as connection:
            require(connection, lease)
            _require_settled(connection, organisation, destination, intents)
            connection.execute(sa.insert(outbox), rows)

    def settle(
        self, organisation: str, destination: str, receipts: Sequence[Receipt], lease: Lease
    ) -> None:
        """Write receipts down: outcomes, the applied state, and what stays unknown.

        Raises LeaseHeldError when the lease was taken over; then nothing is written, and the new
        holder looks the writes up itself.
        """
        now = to_micros(self._clock())
        ended = [receipt for receipt in receipts if receipt.outcome is not None]
        landed = [receipt for receipt in ended if receipt.outcome in ("applied", "unchanged")]
        with self._database.write() as connection:
            require(connection, lease)
            for receipt in receipts:
                if receipt.outcome is None:
                    _mark_unknown(connection, organisation, destination, receipt)
            self._write_applied(connection, organisation, destination, landed, now)
            self._write_outcomes(connection, organisation, destination, ended, now)
            _remove(
                connection,
                organisation,
                destination,
                [(receipt.change.object_kind, receipt.change.key) for receipt in ended],
            )

    def release(
        self,
        organisation: str,
        destination: str,
        plan_digest: str,
        keys: Sequence[tuple[str, str]],
        lease: Lease | None = None,
    ) -> None:
        """Take intents back whose writes surely did not happen: they are pending again.

        ``keys`` are pairs of object kind and key. Raises LeaseHeldError when the lease was taken
        over; then the intents belong to the new holder.
        """
        with self._database.write() as connection:
            if lease is not None:
                require(connection, lease)
            _remove(connection, organisation, destination, keys, plan_digest)

    def unfinished(self, organisation: str, destination: str) -> list[OutboxRow]:
        """Return the intents without an outcome, oldest first."""
        query = (
            sa.select(outbox)
            .where(outbox.c.organisation == organisation, outbox.c.destination == destination)
            .order_by(outbox.c.intent_at, outbox.c.seq)
        )
        with self._database.read() as connection:
            return [
                OutboxRow(
                    object_kind=row.object_kind,
                    key=row.key,
                    plan_digest=row.plan_digest,
                    seq=row.seq,
                    kind=row.kind,
                    fingerprint=row.fingerprint,
                    state=row.state,
                    attempt=row.attempt,
                    intent_at=from_micros(row.intent_at),
                )
                for row in connection.execute(query)
            ]

    def outcomes(
        self, organisation: str, destination: str, plan_digest: str
    ) -> Mapping[OutcomeKind, int]:
        """Return how many changes of a plan ended in each way."""
        query = (
            sa.select(outcomes.c.outcome, sa.func.count())
            .where(_plan(organisation, destination, plan_digest))
            .group_by(outcomes.c.outcome)
        )
        with self._database.read() as connection:
            return {outcome: int(count) for outcome, count in connection.execute(query)}

    def reasons(self, organisation: str, destination: str, plan_digest: str) -> Mapping[str, int]:
        """Return the reasons of a plan's rejected changes, with their numbers."""
        query = (
            sa.select(outcomes.c.reason, sa.func.count())
            .where(_plan(organisation, destination, plan_digest), outcomes.c.outcome == "rejected")
            .group_by(outcomes.c.reason)
        )
        with self._database.read() as connection:
            return {reason: int(count) for reason, count in connection.execute(query)}

    def done_keys(
        self, organisation: str, destination: str, plan_digest: str, keys: Collection[str]
    ) -> set[str]:
        """Return those of some keys that have an outcome in a plan."""
        where = _plan(organisation, destination, plan_digest)
        wanted = list(keys)
        done: set[str] = set()
        with self._database.read() as connection:
            for start in range(0, len(wanted), KEYS_A_QUERY):
                some = wanted[start : start + KEYS_A_QUERY]
                query = sa.select(outcomes.c.key).where(where, outcomes.c.key.in_(some))
                done.update(connection.execute(query).scalars())
        return done

    def _write_applied(
        self,
        connection: Connection,
        organisation: str,
        destination: str,
        receipts: Sequence[Receipt],
        now: int,
    ) -> None:
        rows = [
            {
                "organisation": organisation,
                "destination": destination,
                "object_kind": receipt.change.object_kind,
                "key": receipt.change.key,
                "crm_id": receipt.crm_id or "",
                "fingerprint": receipt.change.fingerprint,
                "fields": fields_json(receipt.change.after),
                "withheld": names_json(receipt.withheld),
                "email_digest": receipt.email_digest,
                "phone_digest": receipt.phone_digest,
                "plan_digest": receipt.plan_digest,
                "version_at": to_micros(receipt.change.version_at),
                "applied_at": now,
            }
            for receipt in receipts
        ]
        if not rows:
            return
        insert = self._database.upsert(applied)
        keys = ("organisation", "destination", "object_kind", "key")
        changed = {name: insert.excluded[name] for name in rows[0] if name not in keys}
        connection.execute(
            insert.on_conflict_do_update(index_elements=list(keys), set_=changed), rows
        )

    def _write_outcomes(
        self,
        connection: Connection,
        organisation: str,
        destination: str,
        receipts: Sequence[Receipt],
        now: int,
    ) -> None:
        rows = [
            {
                "organisation": organisation,
                "destination": destination,
                "plan_digest": receipt.plan_digest,
                "object_kind": receipt.change.object_kind,
                "key": receipt.change.key,
                "kind": receipt.change.kind,
                "outcome": receipt.outcome,
                "reason": receipt.reason,
                "attempts": receipt.attempts,
                "settled_at": now,
            }
            for receipt in receipts
        ]
        if not rows:
            return
        insert = self._database.upsert(outcomes).on_conflict_do_nothing().returning(outcomes.c.seq)
        for digest in sorted({receipt.plan_digest for receipt in receipts}):
            of_plan = [row for row in rows if row["plan_digest"] == digest]
            added = connection.execute(insert, of_plan).scalars().all()
            if added:
                _count(connection, organisation, destination, digest, len(added))
                self._move_base(connection, organisation, destination, digest, max(added))

    def _move_base(
        self, connection: Connection, organisation: str, destination: str, digest: str, seq: int
    ) -> None:
        """Note a plan's newest receipt; of the other plans the newest one is enough."""
        keys = {"organisation": organisation, "destination": destination, "plan_digest": digest}
        connection.execute(
            self._database.upsert(bases)
            .values(**keys, seq=seq)
            .on_conflict_do_update(index_elements=list(keys), set_={"seq": seq})
        )
        others = sa.and_(
            bases.c.organisation == organisation,
            bases.c.destination == destination,
            bases.c.plan_digest != digest,
        )
        newest = sa.select(sa.func.max(bases.c.seq)).where(others).scalar_subquery()
        connection.execute(sa.delete(bases).where(others, bases.c.seq < newest))


def _require_settled(
    connection: Connection, organisation: str, destination: str, intents: Sequence[Intent]
) -> None:
    """A write without an outcome is looked up, never sent again or replaced (I7)."""
    waiting: set[tuple[str, str]] = set()
    for start in range(0, len(intents), KEYS_A_QUERY):
        keys = [intent.key for intent in intents[start : start + KEYS_A_QUERY]]
        query = sa.select(outbox.c.object_kind, outbox.c.key).where(
            outbox.c.organisation == organisation,
            outbox.c.destination == destination,
            outbox.c.key.in_(keys),
        )
        waiting.update((row.object_kind, row.key) for row in connection.execute(query))
    number = len(waiting & {(intent.object_kind, intent.key) for intent in intents})
    if number:
        raise TryLaterError(
            f"{number:,} earlier writes of {organisation} to {destination} have no outcome yet.",
            not_done="Nothing was sent.",
            remedy="Run again: they are looked up first.",
        )


def _count(
    connection: Connection, organisation: str, destination: str, digest: str, added: int
) -> None:
    connection.execute(
        sa.update(plans)
        .where(
            plans.c.organisation == organisation,
            plans.c.destination == destination,
            plans.c.digest == digest,
        )
        .values(settled=plans.c.settled + added)
    )


def _mark_unknown(
    connection: Connection, organisation: str, destination: str, receipt: Receipt
) -> None:
    connection.execute(
        sa.update(outbox)
        .where(
            outbox.c.organisation == organisation,
            outbox.c.destination == destination,
            outbox.c.object_kind == receipt.change.object_kind,
            outbox.c.key == receipt.change.key,
        )
        .values(state="unknown", reason=receipt.reason, attempt=receipt.attempts)
    )


def _remove(
    connection: Connection,
    organisation: str,
    destination: str,
    keys: Sequence[tuple[str, str]],
    plan_digest: str | None = None,
) -> None:
    if not keys:
        return
    statement = sa.delete(outbox).where(
        outbox.c.organisation == organisation,
        outbox.c.destination == destination,
        outbox.c.object_kind == sa.bindparam("its_kind"),
        outbox.c.key == sa.bindparam("its_key"),
    )
    if plan_digest is not None:
        statement = statement.where(outbox.c.plan_digest == plan_digest)
    connection.execute(statement, [{"its_kind": kind, "its_key": key} for kind, key in keys])


def _plan(organisation: str, destination: str, plan_digest: str) -> "sa.ColumnElement[bool]":
    return sa.and_(
        outcomes.c.organisation == organisation,
        outcomes.c.destination == destination,
        outcomes.c.plan_digest == plan_digest,
    )
