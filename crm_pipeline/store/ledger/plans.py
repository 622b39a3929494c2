"""Plan headers, their status, and who approved them."""

import builtins
import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Row

from crm_pipeline.core.records import PlanHeader
from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.schema import approvals, outbox, plans, rejects
from crm_pipeline.store.ledger.texts import from_text, to_text
from crm_pipeline.store.ledger.times import Clock, from_micros, to_micros

#: ``partly``: an apply ended early and can be taken up again. ``superseded``: a newer plan exists.
PlanStatus = Literal["planned", "guarded", "applying", "partly", "applied", "superseded"]
_header = msgspec.json.Decoder(PlanHeader)
OPEN_STATES: tuple[PlanStatus, ...] = ("planned", "guarded", "applying", "partly")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredPlan:
    """A plan's header and what became of it."""

    header: PlanHeader
    status: PlanStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """A person's yes to exactly one plan, until ``expires_at``."""

    approved_by: str
    approved_at: dt.datetime
    expires_at: dt.datetime


class Plans:
    """Keeps plan headers; their changes are in the lake."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def save(self, header: PlanHeader, status: PlanStatus) -> None:
        """Keep a plan as the newest of its organisation, destination and kind of object.

        Older plans of the kind that were not applied to the end are superseded. A plan that exists
        already becomes the newest again, with its new starting point.
        """
        of = _of(header.organisation, header.destination)
        values = {
            "created_at": to_micros(header.created_at),
            "status": status,
            "size": header.size,
            "header": to_text(header),
        }
        with self._database.write() as connection:
            highest = connection.execute(sa.select(sa.func.max(plans.c.number)).where(of))
            number = int(highest.scalar_one_or_none() or 0) + 1
            connection.execute(
                sa.update(plans)
                .where(
                    of,
                    plans.c.object_kind == header.object_kind,
                    plans.c.digest != header.digest,
                    plans.c.status.in_(OPEN_STATES),
                )
                .values(status="superseded")
            )
            statement = self._database.upsert(plans).values(
                organisation=header.organisation,
                destination=header.destination,
                digest=header.digest,
                object_kind=header.object_kind,
                number=number,
                settled=0,
                **values,
            )
            connection.execute(
                statement.on_conflict_do_update(
                    index_elements=["organisation", "destination", "digest"],
                    set_={**values, "number": number},
                )
            )

    def get(self, organisation: str, destination: str, digest: str) -> StoredPlan | None:
        """Return one plan by its whole digest, or None."""
        return next(iter(self._select(organisation, destination, plans.c.digest == digest)), None)

    def find(
        self, organisation: str, destination: str, beginning: str
    ) -> "builtins.list[StoredPlan]":
        """Return the plans whose digest begins so, newest first."""
        return self._select(
            organisation,
            destination,
            sa.func.substr(plans.c.digest, 1, len(beginning)) == beginning,
        )

    def latest(
        self, organisation: str, destination: str, object_kind: str | None = None
    ) -> StoredPlan | None:
        """Return the newest plan, of one kind of object or of any, or None."""
        is_kind = sa.true() if object_kind is None else plans.c.object_kind == object_kind
        return next(iter(self._select(organisation, destination, is_kind, 1)), None)

    def newest(self, organisation: str, destination: str) -> "builtins.list[StoredPlan]":
        """Return the newest plan of each kind of object, in the order of the kinds' names."""
        of = _of(organisation, destination)
        highest = sa.select(sa.func.max(plans.c.number)).where(of).group_by(plans.c.object_kind)
        found = self._select(organisation, destination, plans.c.number.in_(highest))
        return sorted(found, key=lambda stored: stored.header.object_kind)

    def list(
        self, organisation: str, destination: str, limit: int = 20
    ) -> "builtins.list[StoredPlan]":
        """Return the newest plans, newest first."""
        return self._select(organisation, destination, sa.true(), limit)

    def _select(
        self,
        organisation: str,
        destination: str,
        condition: "sa.ColumnElement[bool]",
        limit: int | None = None,
    ) -> "builtins.list[StoredPlan]":
        query = (
            sa.select(plans.c.header, plans.c.status)
            .where(_of(organisation, destination), condition)
            .order_by(plans.c.number.desc())
            .limit(limit)
        )
        with self._database.read() as connection:
            return [_plan(row) for row in connection.execute(query)]

    def closed_before(
        self, organisation: str, destination: str, before: dt.datetime
    ) -> "builtins.list[str]":
        """Return the digests of plans from before a moment that nothing goes back to.

        Not the newest of a kind, none that is open, has changes on their way, or one set aside.
        """
        of = _of(organisation, destination)
        newest = sa.select(sa.func.max(plans.c.number)).where(of).group_by(plans.c.object_kind)
        sending = sa.exists().where(
            outbox.c.organisation == plans.c.organisation,
            outbox.c.destination == plans.c.destination,
            outbox.c.plan_digest == plans.c.digest,
        )
        refused = sa.exists().where(
            rejects.c.organisation == plans.c.organisation,
            rejects.c.plan_digest == plans.c.digest,
        )
        query = sa.select(plans.c.digest).where(
            of,
            plans.c.created_at < to_micros(before),
            plans.c.status.not_in(OPEN_STATES),
            plans.c.number.not_in(newest),
            ~sending,
            ~refused,
        )
        with self._database.read() as connection:
            return [*connection.execute(query).scalars()]

    def set_status(
        self, organisation: str, destination: str, digest: str, status: PlanStatus
    ) -> None:
        """Note what became of a plan."""
        statement = (
            sa.update(plans)
            .where(_of(organisation, destination), plans.c.digest == digest)
            .values(status=status)
        )
        with self._database.write() as connection:
            connection.execute(statement)

    def approve(
        self,
        organisation: str,
        destination: str,
        digest: str,
        *,
        by: str,
        expires_at: dt.datetime,
    ) -> None:
        """Note a person's approval of exactly this plan."""
        values = {
            "approved_by": by,
            "approved_at": to_micros(self._clock()),
            "expires_at": to_micros(expires_at),
        }
        statement = (
            self._database.upsert(approvals)
            .values(organisation=organisation, destination=destination, digest=digest, **values)
            .on_conflict_do_update(
                index_elements=["organisation", "destination", "digest"], set_=values
            )
        )
        with self._database.write() as connection:
            connection.execute(statement)

    def approval(self, organisation: str, destination: str, digest: str) -> Approval | None:
        """Return the approval of a plan, expired or not, or None."""
        query = sa.select(approvals).where(
            approvals.c.organisation == organisation,
            approvals.c.destination == destination,
            approvals.c.digest == digest,
        )
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        if row is None:
            return None
        return Approval(
            approved_by=row.approved_by,
            approved_at=from_micros(row.approved_at),
            expires_at=from_micros(row.expires_at),
        )


def _of(organisation: str, destination: str) -> "sa.ColumnElement[bool]":
    return sa.and_(plans.c.organisation == organisation, plans.c.destination == destination)


def _plan(row: "Row[*tuple[Any, ...]]") -> StoredPlan:
    header = from_text(_header, row.header)
    return StoredPlan(header=header, status=row.status)
