"""The outbox: what is being written to a CRM, and how every change of a plan ended.

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

from crm_pipeline.core.records import OutcomeKind
from crm_pipeline.errors import TryLaterError
from crm_pipeline.store.ledger.engine import KEYS_A_QUERY, Database
from crm_pipeline.store.ledger.leases import Lease, require
from crm_pipeline.store.ledger.receipts import Receipt, ReceiptWriter
from crm_pipeline.store.ledger.schema import outbox, outcomes
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
class Outcome:
    """How one change ended: what it was, the CRM's answer, after how many tries, and when."""

    kind: str
    outcome: OutcomeKind
    reason: str
    attempts: int
    settled_at: dt.datetime


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
        if not receipts:
            return
        with self._database.write() as connection:
            require(connection, lease)
            self._writer(connection, organisation, destination).write(receipts)

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
            self._writer(connection, organisation, destination).remove(keys, plan_digest)

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

    def outcome(
        self, organisation: str, destination: str, plan_digest: str, object_kind: str, key: str
    ) -> Outcome | None:
        """Return how one change of a plan ended, or None."""
        query = sa.select(outcomes).where(
            _plan(organisation, destination, plan_digest),
            outcomes.c.object_kind == object_kind,
            outcomes.c.key == key,
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return Outcome(
            kind=row.kind,
            outcome=row.outcome,
            reason=row.reason,
            attempts=row.attempts,
            settled_at=from_micros(row.settled_at),
        )

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

    def _writer(self, connection: Connection, organisation: str, destination: str) -> ReceiptWriter:
        return ReceiptWriter(
            database=self._database,
            connection=connection,
            organisation=organisation,
            destination=destination,
            now=to_micros(self._clock()),
        )


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


def _plan(organisation: str, destination: str, plan_digest: str) -> "sa.ColumnElement[bool]":
    return sa.and_(
        outcomes.c.organisation == organisation,
        outcomes.c.destination == destination,
        outcomes.c.plan_digest == plan_digest,
    )
