"""Erasures and what stays of them: tombstones, which name nobody.

Here: the state of each erasure, step by step. Not here: removing rows (``erasing``), and what the
steps are (``sync.erase``).
"""

import builtins
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Row

from crm_pipeline.core.subject import Subject
from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.schema import erasures, tombstones
from crm_pipeline.store.ledger.texts import from_text, to_text
from crm_pipeline.store.ledger.times import Clock, from_micros, to_micros

Counts = Mapping[str, int]
_steps = msgspec.json.Decoder(dict[str, dict[str, int]])
_subject = msgspec.json.Decoder(Subject)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stone:
    """One tombstone: kind of identifier and digest, made with the key of this name."""

    kind: str
    digest: str
    key_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure:
    """One erasure. ``steps`` holds what each finished step did; ``subject`` goes with the last."""

    organisation: str
    id: str
    started_at: dt.datetime
    completed_at: dt.datetime | None
    steps: Mapping[str, dict[str, int]]
    subject: Subject | None

    @property
    def is_complete(self) -> bool:
        """Whether every step is done."""
        return self.completed_at is not None


class Tombstones:
    """Keeps erasures and tombstones; each call is one durable transaction."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def of(self, organisation: str) -> "builtins.list[Stone]":
        """Return every tombstone of an organisation."""
        return self._stones(organisation, sa.true())

    def digests(self, organisation: str) -> tuple[dict[str, str], frozenset[str]]:
        """Return the kind of each digest of an organisation, and the names of the keys."""
        columns = (tombstones.c.digest, tombstones.c.kind, tombstones.c.key_name)
        query = sa.select(*columns).where(tombstones.c.organisation == organisation)
        with self._database.read() as connection:
            rows = connection.execute(query).all()
        return {row[0]: row[1] for row in rows}, frozenset(row[2] for row in rows)

    def made_by(self, organisation: str, erasure_id: str) -> "builtins.list[Stone]":
        """Return the tombstones that one erasure made."""
        return self._stones(organisation, tombstones.c.erasure == erasure_id)

    def _stones(self, organisation: str, where: "sa.ColumnElement[bool]") -> "builtins.list[Stone]":
        query = sa.select(tombstones).where(tombstones.c.organisation == organisation, where)
        with self._database.read() as connection:
            return [
                Stone(kind=row.kind, digest=row.digest, key_name=row.key_name)
                for row in connection.execute(query)
            ]

    def begin(
        self, organisation: str, erasure_id: str, subject: Subject, stones: Sequence[Stone]
    ) -> None:
        """Open an erasure and write its tombstones, at once: nothing comes in from here on.

        A tombstone that exists stays as it is. Safe to repeat.
        """
        now = to_micros(self._clock())
        values = {
            "organisation": organisation,
            "id": erasure_id,
            "started_at": now,
            "completed_at": None,
            "steps": "{}",
            "body": to_text(subject),
        }
        rows = [
            {
                "organisation": organisation,
                "digest": stone.digest,
                "kind": stone.kind,
                "key_name": stone.key_name,
                "erasure": erasure_id,
                "erased_at": now,
            }
            for stone in stones
        ]
        with self._database.write() as connection:
            known = self._database.upsert(erasures).on_conflict_do_nothing()
            connection.execute(known, values)
            if rows:
                connection.execute(self._database.upsert(tombstones).on_conflict_do_nothing(), rows)

    def finish_step(self, erasure: Erasure, step: str, counts: Counts) -> Erasure:
        """Note that a step is done, and what it did; return the erasure as it is now."""
        steps = {**erasure.steps, step: dict(counts)}
        self._set(erasure, steps=to_text(steps))
        return self._again(erasure)

    def reopen_step(self, erasure: Erasure, step: str) -> Erasure:
        """Note that a step has to be done again."""
        steps = {name: counts for name, counts in erasure.steps.items() if name != step}
        self._set(erasure, steps=to_text(steps))
        return self._again(erasure)

    def forget_subject(self, erasure: Erasure) -> Erasure:
        """Forget who the person was. What is left of the text is removed by ``compact``."""
        self._set(erasure, body="")
        return self._again(erasure)

    def complete(self, erasure: Erasure) -> Erasure:
        """Note that every step is done."""
        self._set(erasure, completed_at=to_micros(self._clock()))
        return self._again(erasure)

    def get(self, organisation: str, erasure_id: str) -> Erasure | None:
        """Return one erasure, or None."""
        found = self._select(organisation, erasures.c.id == erasure_id)
        return found[0] if found else None

    def list(self, organisation: str, *, is_open: bool = False) -> "builtins.list[Erasure]":
        """Return an organisation's erasures, oldest first; the open ones only when asked."""
        return self._select(
            organisation, erasures.c.completed_at.is_(None) if is_open else sa.true()
        )

    def compact(self) -> bool:
        """Remove what deleted rows left behind; see ``Database.compact``."""
        return self._database.compact()

    def _again(self, erasure: Erasure) -> Erasure:
        found = self.get(erasure.organisation, erasure.id)
        assert found is not None  # noqa: S101  just written
        return found

    def _set(self, erasure: Erasure, **values: object) -> None:
        with self._database.write() as connection:
            connection.execute(
                sa.update(erasures)
                .where(erasures.c.organisation == erasure.organisation, erasures.c.id == erasure.id)
                .values(**values)
            )

    def _select(
        self, organisation: str, where: "sa.ColumnElement[bool]"
    ) -> "builtins.list[Erasure]":
        query = (
            sa.select(erasures)
            .where(erasures.c.organisation == organisation, where)
            .order_by(erasures.c.started_at, erasures.c.id)
        )
        with self._database.read() as connection:
            return [_erasure(row) for row in connection.execute(query)]


def _erasure(row: "Row[tuple[object, ...]]") -> Erasure:
    steps: dict[str, dict[str, int]] = from_text(_steps, row.steps)
    return Erasure(
        organisation=row.organisation,
        id=row.id,
        started_at=from_micros(row.started_at),
        completed_at=from_micros(row.completed_at),
        steps=steps,
        subject=from_text(_subject, row.body) if row.body else None,
    )
