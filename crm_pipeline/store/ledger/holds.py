"""What an undo took back, so that no plan writes it again before a person has said so.

One row an object: which values of which fields, by their digests. ``sync.undo`` writes it,
``sync.apply`` asks, a retry of the reject releases it.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa

from crm_pipeline.store.ledger.engine import KEYS_A_QUERY, Database
from crm_pipeline.store.ledger.schema import holds
from crm_pipeline.store.ledger.texts import from_text, to_text
from crm_pipeline.store.ledger.times import Clock, to_micros

_values = msgspec.json.Decoder(dict[str, str])


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """The values of one object that were undone: a digest of each, by field."""

    undo_digest: str
    fields: Mapping[str, str]


class Holds:
    """Holds of one kind of object in one destination, by key."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def put(
        self,
        organisation: str,
        destination: str,
        object_kind: str,
        undo_digest: str,
        fields: Mapping[str, Mapping[str, str]],
    ) -> None:
        """Hold what an undo takes back, by key. What an earlier undo held of them is over."""
        rows = [
            {
                "organisation": organisation,
                "destination": destination,
                "object_kind": object_kind,
                "key": key,
                "undo_digest": undo_digest,
                "fields": to_text(values),
                "held_at": to_micros(self._clock()),
            }
            for key, values in fields.items()
        ]
        if not rows:
            return
        insert = self._database.upsert(holds)
        names = ("undo_digest", "fields", "held_at")
        statement = insert.on_conflict_do_update(
            index_elements=["organisation", "destination", "object_kind", "key"],
            set_={name: insert.excluded[name] for name in names},
        )
        with self._database.write() as connection:
            connection.execute(statement, rows)

    def of(
        self, organisation: str, destination: str, object_kind: str, keys: Collection[str]
    ) -> dict[str, Hold]:
        """Return what is held of some objects, by key."""
        where = _of(organisation, destination, object_kind)
        found: dict[str, Hold] = {}
        with self._database.read() as connection:
            for some in _chunks(keys):
                query = sa.select(holds).where(where, holds.c.key.in_(some))
                for row in connection.execute(query):
                    values = from_text(_values, row.fields)
                    found[row.key] = Hold(undo_digest=row.undo_digest, fields=values)
        return found

    def release(
        self, organisation: str, destination: str, object_kind: str, keys: Collection[str]
    ) -> int:
        """Let plans write again what was undone of some objects; return how many were held."""
        where = _of(organisation, destination, object_kind)
        released = 0
        with self._database.write() as connection:
            for some in _chunks(keys):
                statement = sa.delete(holds).where(where, holds.c.key.in_(some))
                released += connection.execute(statement).rowcount
        return released


def _of(organisation: str, destination: str, object_kind: str) -> "sa.ColumnElement[bool]":
    return sa.and_(
        holds.c.organisation == organisation,
        holds.c.destination == destination,
        holds.c.object_kind == object_kind,
    )


def _chunks(keys: Collection[str]) -> Iterator[list[str]]:
    listed = list(keys)
    for start in range(0, len(listed), KEYS_A_QUERY):
        yield listed[start : start + KEYS_A_QUERY]
