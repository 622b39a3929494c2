"""Each organisation's switch and state: paused, last success, what is pending."""

import datetime as dt
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import sqlalchemy as sa

from crm_pipeline.store.ledger.engine import KEYS_A_QUERY, Database
from crm_pipeline.store.ledger.inbox_counts import InboxCounts, read_counts
from crm_pipeline.store.ledger.leases import is_dead
from crm_pipeline.store.ledger.plans import OPEN_STATES
from crm_pipeline.store.ledger.schema import (
    leases,
    organisations,
    outbox,
    plans,
    rejects,
    watermarks,
)
from crm_pipeline.store.ledger.times import Clock, from_micros, to_micros

#: How the leases of syncs are named, before the organisation.
SYNC_LEASE = "sync:"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationStatus:
    """What ``status --json`` shows of one organisation.

    ``inbox_pending`` counts webhooks that are not drained yet, ``outbox_pending`` changes of the
    newest plans that have no outcome yet, ``unknown`` those that may have been written;
    ``oldest_pending_seconds`` is the age of the oldest such webhook or plan.
    ``watermarks`` maps ``<source>/<dataset>`` to a time or None. ``broken_off`` is not 0 when the
    process of the newest sync died: then it is a number that no other such sync has.
    """

    organisation: str
    is_paused: bool = False
    inbox_pending: int = 0
    outbox_pending: int = 0
    unknown: int = 0
    rejected: int = 0
    watermarks: Mapping[str, dt.datetime | None] = field(default_factory=dict)
    last_success: dt.datetime | None = None
    failed_at: dt.datetime | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    oldest_pending_seconds: float | None = None
    broken_off: int = 0


class Organisations:
    """Reads and writes the state of organisations."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def set_paused(self, organisation: str, *, is_paused: bool) -> None:
        """Pause or resume an organisation: a paused one is neither read nor written."""
        self._set(organisation, is_paused=is_paused)

    def is_paused(self, organisation: str) -> bool:
        """Whether an operator paused the organisation."""
        query = sa.select(organisations.c.is_paused).where(
            organisations.c.organisation == organisation
        )
        with self._database.read() as connection:
            return bool(connection.execute(query).scalar_one_or_none())

    def paused(self) -> frozenset[str]:
        """Return every paused organisation."""
        query = sa.select(organisations.c.organisation).where(organisations.c.is_paused)
        with self._database.read() as connection:
            return frozenset(connection.execute(query).scalars())

    def record_success(self, organisation: str) -> None:
        """Note that a sync went through; an earlier failure is over."""
        now = to_micros(self._clock())
        self._set(
            organisation,
            last_success=now,
            failed_at=None,
            failure_code=None,
            failure_message=None,
        )

    def record_failure(self, organisation: str, code: str, message: str) -> None:
        """Note that a sync failed. ``message`` holds no personal data."""
        now = to_micros(self._clock())
        self._set(organisation, failed_at=now, failure_code=code, failure_message=message)

    def status(self, organisation: str) -> OrganisationStatus:
        """Return the state of one organisation, known or not."""
        return self.status_all([organisation])[organisation]

    def status_all(self, slugs: Collection[str]) -> Mapping[str, OrganisationStatus]:
        """Return the states of many organisations in a fixed number of queries."""

        def of(table: sa.Table) -> "sa.ColumnElement[bool]":
            return table.c.organisation.in_(slugs) if len(slugs) <= KEYS_A_QUERY else sa.true()

        with self._database.read() as connection:
            query = sa.select(organisations).where(of(organisations))
            known = {row.organisation: row for row in connection.execute(query)}
            rejected = _counts(connection, rejects, of(rejects))
            unknown = _counts(connection, outbox, of(outbox))
            marks: dict[str, dict[str, dt.datetime | None]] = {}
            for mark in connection.execute(sa.select(watermarks).where(of(watermarks))):
                name = f"{mark.source}/{mark.dataset}"
                marks.setdefault(mark.organisation, {})[name] = from_micros(mark.at)
            pending = _pending(connection, of(plans))
            now = to_micros(self._clock())
            broken_off = _broken_off(connection, now)
            waiting = read_counts(connection, now)
        states = {}
        for slug in slugs:
            row = known.get(slug)
            open_changes, planned_at = pending.get(slug, (0, None))
            hooks = waiting.get(slug, InboxCounts())
            oldest = min((at for at in (planned_at, to_micros(hooks.oldest)) if at), default=None)
            states[slug] = OrganisationStatus(
                organisation=slug,
                is_paused=bool(row and row.is_paused),
                inbox_pending=hooks.pending,
                outbox_pending=open_changes,
                unknown=unknown.get(slug, 0),
                rejected=rejected.get(slug, 0),
                watermarks=marks.get(slug, {}),
                last_success=from_micros(row.last_success) if row else None,
                failed_at=from_micros(row.failed_at) if row else None,
                failure_code=row.failure_code if row else None,
                failure_message=row.failure_message if row else None,
                oldest_pending_seconds=None if oldest is None else (now - oldest) / 1_000_000,
                broken_off=broken_off.get(slug, 0),
            )
        return states

    def _set(self, organisation: str, **values: object) -> None:
        defaults = {"is_paused": False, "next_batch": 0}
        statement = (
            self._database.upsert(organisations)
            .values(organisation=organisation, **{**defaults, **values})
            .on_conflict_do_update(index_elements=["organisation"], set_=values)
        )
        with self._database.write() as connection:
            connection.execute(statement)


def _counts(
    connection: sa.Connection, table: sa.Table, where: "sa.ColumnElement[bool]"
) -> dict[str, int]:
    query = (
        sa.select(table.c.organisation, sa.func.count()).where(where).group_by(table.c.organisation)
    )
    return {organisation: int(count) for organisation, count in connection.execute(query)}


def _broken_off(connection: sa.Connection, now: int) -> dict[str, int]:
    """Return the generations of the leases of syncs whose process died, by organisation.

    Whoever ends gives its lease back (``until`` 0), so that few rows are looked at.
    """
    held = sa.select(leases).where(leases.c.until > 0, leases.c.name.startswith(SYNC_LEASE))
    return {
        lease.name.removeprefix(SYNC_LEASE): int(lease.generation)
        for lease in connection.execute(held)
        if lease.until <= now or is_dead(lease.owner)
    }


def _pending(
    connection: sa.Connection, where: "sa.ColumnElement[bool]"
) -> dict[str, tuple[int, int]]:
    """Open changes and the creation time of the oldest plan that has some, by organisation."""
    query = (
        sa.select(
            plans.c.organisation,
            sa.func.sum(plans.c.size - plans.c.settled),
            sa.func.min(plans.c.created_at),
        )
        .where(where, plans.c.status.in_(OPEN_STATES), plans.c.size > plans.c.settled)
        .group_by(plans.c.organisation)
    )
    return {slug: (int(left), int(oldest)) for slug, left, oldest in connection.execute(query)}
