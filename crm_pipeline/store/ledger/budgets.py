"""Call budgets, shared by every process: the generic cell rate algorithm on one row an account.

The row holds when the account is free again, and when it was last taken from, by wall clock.
"""

import sqlalchemy as sa

from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.schema import budgets
from crm_pipeline.store.ledger.times import Clock, to_micros

_MICROS = 1_000_000
#: Clocks of two hosts may differ by this much; a clock that is further behind was set back.
_SKEW = 5 * _MICROS


class Budgets:
    """Hands out calls so that all processes together stay under an account's rate."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def lease(self, account: str, calls: int, per_second: float) -> float:
        """Take ``calls`` from an account's budget; return the seconds to wait before using them.

        The calls of one lease may then go together; the next lease starts where this one ends.
        An account that was idle saves nothing up. When the clock is set back, what is owed stays
        owed and no more. Raises ValueError for a rate that is not above 0, or calls below 0.
        """
        if calls < 0 or not per_second > 0:
            raise ValueError(f"calls from 0 and a rate above 0, got {calls} and {per_second}")
        now = to_micros(self._clock())
        cost = round(calls / per_second * _MICROS)
        values = {"account": account, "free_at": now + cost, "taken_at": now}
        owed = _larger(budgets.c.free_at - _larger(budgets.c.taken_at, now, if_above=_SKEW), 0)
        statement = (
            self._database.upsert(budgets)
            .values(**values)
            .on_conflict_do_update(
                index_elements=["account"], set_={"free_at": now + owed + cost, "taken_at": now}
            )
            .returning(budgets.c.free_at)
        )
        with self._database.write() as connection:
            free_at = int(connection.execute(statement).scalar_one())
        return max(0, free_at - cost - now) / _MICROS


def _larger(
    first: "sa.ColumnElement[int]", second: int, *, if_above: int = 0
) -> "sa.ColumnElement[int]":
    """Return ``first`` when it is above ``second`` by more than ``if_above``, else ``second``."""
    return sa.case((first > second + if_above, first), else_=sa.literal(second, sa.BigInteger))
