"""Call budgets, shared by every process: the generic cell rate algorithm on one row an account."""

import sqlalchemy as sa

from crm_pipeline.core.ports import Clock
from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.schema import budgets
from crm_pipeline.store.ledger.times import to_micros

_MICROS = 1_000_000


class Budgets:
    """Hands out calls so that all processes together stay under an account's rate."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def lease(self, account: str, calls: int, per_second: float) -> float:
        """Take ``calls`` from an account's budget; return the seconds to wait before using them.

        The calls of one lease may then go together; the next lease starts where this one ends.
        An account that was idle saves nothing up.
        """
        now = to_micros(self._clock())
        cost = round(calls / per_second * _MICROS)
        insert = self._database.upsert(budgets).values(account=account, free_at=now + cost)
        later = sa.case((budgets.c.free_at > now, budgets.c.free_at), else_=now)
        statement = insert.on_conflict_do_update(
            index_elements=["account"], set_={"free_at": later + cost}
        ).returning(budgets.c.free_at)
        with self._database.write() as connection:
            free_at = int(connection.execute(statement).scalar_one())
        return max(0, free_at - cost - now) / _MICROS
