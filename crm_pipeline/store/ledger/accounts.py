"""Which CRM account the applied state of an organisation belongs to, and letting go of one."""

from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crm_pipeline.errors import TryLaterError
from crm_pipeline.store.ledger.bases import end_plans
from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.plans import OPEN_STATES
from crm_pipeline.store.ledger.schema import (
    accounts,
    applied,
    applied_totals,
    bases,
    holds,
    outbox,
    plans,
    positions,
)
from crm_pipeline.store.ledger.times import Clock

#: Stands in ``bases`` like a plan that wrote something: every plan made before is stale.
_MOVED = "moved-account"


class Accounts:
    """One account for each organisation and destination, named by a digest."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def of(self, organisation: str, destination: str) -> str | None:
        """Return the account that the state belongs to, or None when nobody has said so."""
        with self._database.read() as connection:
            return _account(connection, organisation, destination)

    def claim(self, organisation: str, destination: str, account: str) -> str:
        """Return the account that the state belongs to; take ``account`` while there is no state.

        State that is older than this table belongs to the first account that claims it.
        """
        known = self.of(organisation, destination)
        if known == account:
            return known
        with self._database.write() as connection:
            known = _account(connection, organisation, destination)
            if known is not None and _has_state(connection, organisation, destination):
                return known
            connection.execute(
                self._database.upsert(accounts)
                .values(organisation=organisation, destination=destination, account=account)
                .on_conflict_do_update(
                    index_elements=["organisation", "destination"], set_={"account": account}
                )
            )
        return account

    def counts(self, organisation: str, destination: str) -> Mapping[str, int]:
        """Return what ``forget`` would let go of: ``objects``, ``plans``; and ``unknown``."""
        with self._database.read() as connection:
            return _counts(connection, organisation, destination)

    def forget(self, organisation: str, destination: str) -> Mapping[str, int]:
        """Let go of everything that one account acknowledged, in one transaction.

        Acknowledged objects go, with the starting point of plans; open plans are superseded and
        no older plan can be applied again, approved or not. Outcomes and consents stay.
        Raises TryLaterError (nothing was changed) while writes have no outcome.
        """
        with self._database.write() as connection:
            counts = _counts(connection, organisation, destination)
            if counts["unknown"]:
                raise TryLaterError(
                    f"{counts['unknown']:,} writes of {organisation} to {destination} have no"
                    " outcome yet.",
                    not_done="Nothing was changed.",
                )
            end_plans(
                self._database, connection, organisation, destination, by=_MOVED, now=self._clock()
            )
            for table in (applied, applied_totals, accounts, holds):
                connection.execute(sa.delete(table).where(_of(table, organisation, destination)))
            connection.execute(
                sa.delete(positions).where(
                    positions.c.organisation == organisation,
                    sa.or_(
                        positions.c.stage == f"plan:{destination}",
                        positions.c.stage.startswith(f"plan:{destination}:", autoescape=True),
                    ),
                )
            )
        return counts


def _of(table: sa.Table, organisation: str, destination: str) -> "sa.ColumnElement[bool]":
    return sa.and_(table.c.organisation == organisation, table.c.destination == destination)


def _account(connection: Connection, organisation: str, destination: str) -> str | None:
    query = sa.select(accounts.c.account).where(_of(accounts, organisation, destination))
    found: str | None = connection.execute(query).scalar_one_or_none()
    return found


def _has_state(connection: Connection, organisation: str, destination: str) -> bool:
    """Whether anything was ever sent: a receipt, an acknowledged object or an open intent."""
    return any(
        connection.execute(
            sa.select(sa.literal(1)).where(_of(table, organisation, destination)).limit(1)
        ).first()
        for table in (bases, applied, outbox)
    )


def _counts(connection: Connection, organisation: str, destination: str) -> Mapping[str, int]:
    def count(table: sa.Table, condition: "sa.ColumnElement[bool] | None" = None) -> int:
        query = sa.select(sa.func.count()).where(_of(table, organisation, destination))
        if condition is not None:
            query = query.where(condition)
        return int(connection.execute(query).scalar_one())

    return {
        "objects": count(applied),
        "plans": count(plans, plans.c.status.in_(OPEN_STATES)),
        "unknown": count(outbox),
    }
