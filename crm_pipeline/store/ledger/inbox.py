"""The inbox: webhooks as they came, durable before they are answered, until they are drained.

State machine: an event is ``pending`` until the drain settles it as ``done``, or it fails too often
and is parked as ``failed``; an operator's ``retry`` makes it ``pending`` again. The same event
delivered again is counted and nothing else, whatever its state. Bodies are personal data.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import sqlalchemy as sa

from crm_pipeline.core.records import Reject
from crm_pipeline.store.ledger.engine import KEYS_A_QUERY, Database
from crm_pipeline.store.ledger.inbox_counts import InboxCounts, read_counts
from crm_pipeline.store.ledger.rejects import MAX_KEY_LENGTH, Rejects, storable
from crm_pipeline.store.ledger.schema import inbox, rejects
from crm_pipeline.store.ledger.times import Clock, from_micros, to_micros

#: The stage under which a parked event is shown among the rejects.
REJECT_STAGE: Literal["land"] = "land"
#: How the key of such a reject begins; the event's number follows.
REJECT_KEY = "inbox:"
#: Tries before an event is parked, unless the drain says otherwise.
MAX_ATTEMPTS = 8

#: Deleted in one transaction: webhooks that come meanwhile wait for it.
_PURGED = 2_000

_Name = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One webhook as it came. ``dedup`` names the event: equal names are one event.

    ``body`` is what was received, byte for byte; it is personal data.
    """

    organisation: str
    source: str
    event: str
    entity_id: str
    dedup: str
    body: bytes
    received_at: dt.datetime

    def __repr__(self) -> str:
        """Name the event, never what it says."""
        return f"Received({self.organisation}, {self.source}, {self.event})"


@dataclass(frozen=True, slots=True)
class Appended:
    """Where an event is kept, and whether it was not known before."""

    number: int
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxRow:
    """One event to drain. ``attempts`` counts the tries that were postponed."""

    number: int
    organisation: str
    source: str
    event: str
    entity_id: str
    body: bytes
    received_at: dt.datetime
    deliveries: int
    attempts: int

    def __repr__(self) -> str:
        """Name the event, never what it says."""
        return f"InboxRow({self.number}, {self.organisation}, {self.source}, {self.event})"


class Inbox:
    """Keeps events. The drain works under the organisation's sync lease: it is the one claimant."""

    def __init__(self, database: Database, clock: Clock, rejects: Rejects) -> None:
        self._database = database
        self._clock = clock
        self._rejects = rejects

    def append(self, rows: Sequence[Received]) -> list[Appended]:
        """Store a group of events in one durable transaction; one answer a row, in their order.

        An event that is known (organisation, source, ``dedup``) is counted in ``deliveries``.
        When this raises, nothing of the group was stored, or nobody knows: nothing may be
        acknowledged. Raises TryLaterError, ConfigurationError, LedgerDamagedError.
        """
        if not rows:
            return []
        names = [_name(each) for each in rows]
        times = Counter(names)
        first = dict(zip(reversed(names), reversed(rows), strict=True))
        # In the order of their names, so that two receivers never wait for each other in a circle.
        values = [_values(name, first[name], times[name]) for name in sorted(first)]
        insert = self._database.upsert(inbox)
        statement = insert.on_conflict_do_update(
            index_elements=["organisation", "source", "dedup"],
            set_={"deliveries": inbox.c.deliveries + insert.excluded.deliveries},
        ).returning(*_NAME, inbox.c.number, inbox.c.deliveries)
        with self._database.write() as connection:
            stored = {
                (row.organisation, row.source, row.dedup): row
                for row in connection.execute(statement, values)
            }
        answers = []
        for name in names:
            row = stored[name]
            is_new = row.deliveries == times[name] and name in first
            answers.append(Appended(row.number, is_new))
            first.pop(name, None)
        return answers

    def claim(
        self,
        organisation: str,
        limit: int,
        now: dt.datetime | None = None,
        *,
        source: str | None = None,
    ) -> list[InboxRow]:
        """Return pending events that are due, lowest number first; ``limit`` of them at most.

        Nothing is marked: who claims holds the organisation's sync lease. An event that was
        acknowledged before another was sent has the lower number.
        """
        moment = to_micros(now or self._clock())
        query = (
            sa.select(inbox)
            .where(
                inbox.c.state == "pending",
                inbox.c.organisation == organisation,
                inbox.c.not_before <= moment,
            )
            .order_by(inbox.c.number)
            .limit(limit)
        )
        if source is not None:
            query = query.where(inbox.c.source == source)
        with self._database.read() as connection:
            return [_row(each) for each in connection.execute(query)]

    def settle(
        self, numbers: Sequence[int], state: Literal["done", "failed"], reason: str = ""
    ) -> None:
        """End pending events in one transaction. A failed one is shown among the rejects.

        ``reason`` is a stable code, without personal data. Events that are not pending stay as
        they are. An event that is done is no reject any more.
        """
        if state == "failed":
            self._reject(numbers, reason)
        else:
            self._clear(numbers)
        now = to_micros(self._clock())
        with self._database.write() as connection:
            for some in _slices(numbers):
                connection.execute(
                    sa.update(inbox)
                    .where(inbox.c.number.in_(some), inbox.c.state == "pending")
                    .values(state=state, reason=storable(reason), settled_at=now)
                )

    def postpone(
        self,
        numbers: int | Sequence[int],
        until: dt.datetime,
        reason: str,
        *,
        max_attempts: int = MAX_ATTEMPTS,
    ) -> int:
        """Leave pending events for later and count the try; return how many were parked instead.

        The try that makes ``max_attempts`` parks an event: it is ``failed``, shown as a reject.
        """
        some = [numbers] if isinstance(numbers, int) else list(numbers)
        last = self._with_attempts(some, max_attempts - 1)
        kept = sorted(set(some) - set(last))
        with self._database.write() as connection:
            for part in _slices(some):
                connection.execute(
                    sa.update(inbox)
                    .where(inbox.c.number.in_(part), inbox.c.state == "pending")
                    .values(
                        attempts=inbox.c.attempts + 1,
                        not_before=to_micros(until),
                        reason=storable(reason),
                    )
                )
        if last:
            self.settle(last, "failed", reason)
        return len(some) - len(kept)

    def retry(self, organisation: str, numbers: Collection[int] | None = None) -> int:
        """Make parked events of an organisation pending again; return how many.

        ``numbers`` names them; None is all.
        """
        failed = sa.and_(inbox.c.state == "failed", inbox.c.organisation == organisation)
        with self._database.write() as connection:
            parked = connection.execute(sa.select(inbox.c.number).where(failed)).scalars()
            chosen = [each for each in parked if numbers is None or each in numbers]
            for some in _slices(chosen):
                connection.execute(
                    sa.update(inbox)
                    .where(failed, inbox.c.number.in_(some))
                    .values(state="pending", attempts=0, not_before=0, settled_at=None)
                )
        self._clear(chosen)
        return len(chosen)

    def states(self, numbers: Sequence[int]) -> Mapping[int, str]:
        """Return the states of some events: ``pending``, ``done`` or ``failed``."""
        found: dict[int, str] = {}
        with self._database.read() as connection:
            for some in _slices(numbers):
                query = sa.select(inbox.c.number, inbox.c.state).where(inbox.c.number.in_(some))
                found |= {row.number: row.state for row in connection.execute(query)}
        return found

    def waiting(self, organisation: str | None = None) -> Mapping[str, int]:
        """Return how many events are pending, by organisation; those with none are left out."""
        query = (
            sa.select(inbox.c.organisation, sa.func.count())
            .where(inbox.c.state == "pending")
            .group_by(inbox.c.organisation)
        )
        if organisation is not None:
            query = query.where(inbox.c.organisation == organisation)
        with self._database.read() as connection:
            return {slug: int(count) for slug, count in connection.execute(query)}

    def oldest(self, organisation: str | None = None) -> dt.datetime | None:
        """Return when the pending event that came first was received, or None."""
        first = sa.select(sa.func.min(inbox.c.number)).where(inbox.c.state == "pending")
        if organisation is not None:
            first = first.where(inbox.c.organisation == organisation)
        query = sa.select(inbox.c.received_at).where(inbox.c.number == first.scalar_subquery())
        with self._database.read() as connection:
            return from_micros(connection.execute(query).scalar_one_or_none())

    def counts(self) -> Mapping[str, InboxCounts]:
        """Return what waits, by organisation, in one query that reads an index only.

        Organisations for which nothing is pending or failed are left out.
        """
        with self._database.read() as connection:
            return read_counts(connection, to_micros(self._clock()))

    def purge(self, done_before: dt.datetime, organisation: str | None = None) -> int:
        """Delete events that were done with before a time, of one or of all; return how many.

        So are events that were parked and whose reject somebody has struck off the list. A replay
        of one that was purged is stored as if it were new; applying it changes nothing, because
        its version is not newer.
        """
        where = _is_old(done_before, organisation)
        some = sa.select(inbox.c.number).where(where).order_by(inbox.c.number).limit(_PURGED)
        statement = sa.delete(inbox).where(inbox.c.number.in_(some))
        purged = 0
        while True:
            with self._database.write() as connection:
                count = connection.execute(statement).rowcount
            purged += count
            if count < _PURGED:
                return purged

    def organisations(self) -> list[str]:
        """Return whose events are kept, in order."""
        query = sa.select(inbox.c.organisation).distinct().order_by(inbox.c.organisation)
        with self._database.read() as connection:
            return [*connection.execute(query).scalars()]

    def count_old(self, done_before: dt.datetime, organisation: str) -> int:
        """Return how many events ``purge`` would delete."""
        where = _is_old(done_before, organisation)
        query = sa.select(sa.func.count()).select_from(inbox).where(where)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())

    def _with_attempts(self, numbers: Sequence[int], least: int) -> list[int]:
        found: list[int] = []
        with self._database.read() as connection:
            for some in _slices(numbers):
                query = sa.select(inbox.c.number).where(
                    inbox.c.number.in_(some), inbox.c.state == "pending", inbox.c.attempts >= least
                )
                found += connection.execute(query).scalars()
        return found

    def _reject(self, numbers: Sequence[int], reason: str) -> None:
        """Show events among the rejects; before they are parked, so that a crash hides none."""
        by_party: dict[tuple[str, str], list[Reject]] = {}
        with self._database.read() as connection:
            for some in _slices(numbers):
                query = sa.select(inbox).where(inbox.c.number.in_(some), inbox.c.state == "pending")
                for row in connection.execute(query):
                    by_party.setdefault((row.organisation, row.source), []).append(
                        Reject(
                            stage=REJECT_STAGE,
                            dataset=row.event,
                            key=_reject_key(row.number),
                            reason=reason,
                            detail=row.entity_id,
                            payload=row.body.decode(errors="replace"),
                        )
                    )
        for (organisation, source), found in by_party.items():
            self._rejects.add(organisation, source, found)

    def _clear(self, numbers: Sequence[int]) -> None:
        by_party: dict[tuple[str, str], list[str]] = {}
        with self._database.read() as connection:
            for some in _slices(numbers):
                # Only one that failed before can be among the rejects.
                query = sa.select(inbox.c.number, inbox.c.organisation, inbox.c.source).where(
                    inbox.c.number.in_(some), inbox.c.reason != ""
                )
                for row in connection.execute(query):
                    keys = by_party.setdefault((row.organisation, row.source), [])
                    keys.append(_reject_key(row.number))
        for (organisation, source), keys in by_party.items():
            self._rejects.clear(organisation, source, REJECT_STAGE, keys)


_NAME = (inbox.c.organisation, inbox.c.source, inbox.c.dedup)


def _name(received: Received) -> _Name:
    dedup = storable(received.dedup, MAX_KEY_LENGTH)
    return received.organisation, received.source, dedup


def _values(name: _Name, received: Received, deliveries: int) -> dict[str, object]:
    organisation, source, dedup = name
    return {
        "organisation": organisation,
        "source": source,
        "event": storable(received.event, MAX_KEY_LENGTH),
        "entity_id": storable(received.entity_id, MAX_KEY_LENGTH),
        "dedup": dedup,
        "body": received.body,
        "received_at": to_micros(received.received_at),
        "deliveries": deliveries,
        "state": "pending",
        "attempts": 0,
        "not_before": 0,
        "reason": "",
    }


def _row(row: "sa.Row[tuple[object, ...]]") -> InboxRow:
    return InboxRow(
        number=row.number,
        organisation=row.organisation,
        source=row.source,
        event=row.event,
        entity_id=row.entity_id,
        body=bytes(row.body),
        received_at=from_micros(row.received_at),
        deliveries=row.deliveries,
        attempts=row.attempts,
    )


def _is_old(done_before: dt.datetime, organisation: str | None) -> "sa.ColumnElement[bool]":
    is_shown = sa.exists().where(
        rejects.c.organisation == inbox.c.organisation,
        rejects.c.stage == REJECT_STAGE,
        rejects.c.key == sa.literal(REJECT_KEY) + sa.cast(inbox.c.number, sa.Text),
    )
    is_over = sa.or_(inbox.c.state == "done", sa.and_(inbox.c.state == "failed", ~is_shown))
    is_of = sa.true() if organisation is None else inbox.c.organisation == organisation
    return sa.and_(is_over, inbox.c.settled_at < to_micros(done_before), is_of)


def _slices(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(numbers), KEYS_A_QUERY):
        yield numbers[start : start + KEYS_A_QUERY]


def _reject_key(number: int) -> str:
    return f"{REJECT_KEY}{number}"
