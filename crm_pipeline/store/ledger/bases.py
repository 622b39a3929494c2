"""How often the state of a destination has moved: the number that a plan starts from.

Each receipt moves it, and so does whatever makes all plans of before worthless. It only ever grows,
so that the same changes, planned again after one of them was refused, are another plan.
"""

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.plans import OPEN_STATES
from crm_pipeline.store.ledger.schema import approvals, bases, plans
from crm_pipeline.store.ledger.times import to_micros

#: Stands for the kind of object where all kinds have moved.
ALL_KINDS = ""


def move_base(
    database: Database,
    connection: Connection,
    organisation: str,
    destination: str,
    *,
    by: str,
    object_kind: str = ALL_KINDS,
) -> None:
    """Move the base of a kind, or of all. ``by`` is the digest of the plan, or what else did it.

    Of what others did before, the newest is kept for each kind.
    """
    ours = _of(bases, organisation, destination)
    newest = connection.execute(sa.select(sa.func.max(bases.c.seq)).where(ours))
    seq = int(newest.scalar_one_or_none() or 0) + 1
    keys = {"organisation": organisation, "destination": destination, "plan_digest": by}
    connection.execute(
        database.upsert(bases)
        .values(**keys, object_kind=object_kind, seq=seq)
        .on_conflict_do_update(index_elements=list(keys), set_={"seq": seq})
    )
    others = sa.and_(ours, bases.c.object_kind == object_kind, bases.c.plan_digest != by)
    kept = sa.select(sa.func.max(bases.c.seq)).where(others).scalar_subquery()
    connection.execute(sa.delete(bases).where(others, bases.c.seq < kept))


def end_plans(
    database: Database,
    connection: Connection,
    organisation: str,
    destination: str,
    *,
    by: str,
    now: dt.datetime,
) -> int:
    """Supersede every open plan, end every approval, make each plan of before stale.

    Returns how many plans were open. ``by`` says what did it.
    """
    closed = connection.execute(
        sa.update(plans)
        .where(_of(plans, organisation, destination), plans.c.status.in_(OPEN_STATES))
        .values(status="superseded")
    ).rowcount
    ends = to_micros(now)
    connection.execute(
        sa.update(approvals)
        .where(_of(approvals, organisation, destination), approvals.c.expires_at > ends)
        .values(expires_at=ends)
    )
    move_base(database, connection, organisation, destination, by=by)
    return closed


def _of(table: sa.Table, organisation: str, destination: str) -> "sa.ColumnElement[bool]":
    return sa.and_(table.c.organisation == organisation, table.c.destination == destination)
