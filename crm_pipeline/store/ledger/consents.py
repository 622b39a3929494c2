"""The consent log: every explicit answer, append only. What follows from it is ``core.consent``."""

from collections.abc import Collection, Mapping, Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Row

from crm_pipeline.core.records import ConsentRecord
from crm_pipeline.store.ledger.engine import KEYS_A_QUERY, Database
from crm_pipeline.store.ledger.schema import consents
from crm_pipeline.store.ledger.times import from_micros, to_micros


class Consents:
    """Appends answers and reads a person's answers back."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, organisation: str, records: Sequence[ConsentRecord]) -> None:
        """Add answers in one transaction. Nothing is ever changed or removed."""
        rows = (
            (
                organisation,
                record.key,
                record.channel,
                record.is_granted,
                to_micros(record.at),
                to_micros(record.seen_at),
                record.origin,
            )
            for record in records
        )
        names = ("organisation", "key", "channel", "is_granted", "at", "seen_at", "origin")
        with self._database.write() as connection:
            self._database.insert_all(connection, consents, names, rows)

    def of(self, organisation: str, keys: Collection[str]) -> Mapping[str, list[ConsentRecord]]:
        """Return all answers of some people by key, in the order in which they were recorded."""
        wanted = list(keys)
        found: dict[str, list[ConsentRecord]] = {}
        with self._database.read() as connection:
            for start in range(0, len(wanted), KEYS_A_QUERY):
                query = (
                    sa.select(consents)
                    .where(
                        consents.c.organisation == organisation,
                        consents.c.key.in_(wanted[start : start + KEYS_A_QUERY]),
                    )
                    .order_by(consents.c.number)
                )
                for row in connection.execute(query):
                    found.setdefault(row.key, []).append(_record(row))
        return found

    def count(self, organisation: str) -> int:
        """Return how many answers an organisation's log holds."""
        query = sa.select(sa.func.count()).where(consents.c.organisation == organisation)
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one())


def _record(row: "Row[tuple[object, ...]]") -> ConsentRecord:
    return ConsentRecord(
        key=row.key,
        channel=row.channel,
        is_granted=bool(row.is_granted),
        at=from_micros(row.at),
        seen_at=from_micros(row.seen_at),
        origin=row.origin,
    )
