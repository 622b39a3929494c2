"""How many webhooks wait, by organisation: one query that reads an index."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crm_pipeline.store.ledger.schema import inbox
from crm_pipeline.store.ledger.times import from_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class InboxCounts:
    """What waits for one organisation.

    ``pending`` holds postponed events too; ``is_due`` says whether one can be drained now.
    ``oldest`` is when the pending event that came first was received, ``newest`` the number of
    the pending one that came last.
    """

    pending: int = 0
    failed: int = 0
    is_due: bool = False
    oldest: dt.datetime | None = None
    newest: int = 0


def read_counts(connection: Connection, now: int) -> Mapping[str, InboxCounts]:
    """Return what waits at a moment, in microseconds; nobody for whom nothing does."""
    counted: dict[str, InboxCounts] = {}
    for row in connection.execute(_COUNTS, {"now": now}):
        known = counted.get(row.organisation, InboxCounts())
        is_pending = row.state == "pending"
        counted[row.organisation] = InboxCounts(
            pending=row.events if is_pending else known.pending,
            failed=known.failed if is_pending else row.events,
            is_due=bool(row.is_due) if is_pending else known.is_due,
            oldest=from_micros(row.received_at) if is_pending else known.oldest,
            newest=row.last if is_pending else known.newest,
        )
    return counted


def _counts() -> "sa.Select[tuple[str, str, int, bool, int, int]]":
    totals = (
        sa.select(
            inbox.c.state,
            inbox.c.organisation,
            sa.func.count().label("events"),
            sa.func.min(inbox.c.number).label("first"),
            sa.func.max(inbox.c.number).label("last"),
        )
        .where(inbox.c.state.in_(["pending", "failed"]))
        .group_by(inbox.c.state, inbox.c.organisation)
        .subquery()
    )
    ready = inbox.alias()
    is_due = sa.exists().where(
        ready.c.state == totals.c.state,
        ready.c.organisation == totals.c.organisation,
        ready.c.not_before <= sa.bindparam("now", type_=sa.BigInteger),
    )
    return sa.select(
        totals.c.organisation,
        totals.c.state,
        totals.c.events,
        is_due.label("is_due"),
        inbox.c.received_at,
        totals.c.last,
    ).join(inbox, inbox.c.number == totals.c.first)


_COUNTS = _counts()
