"""How far each dataset of each organisation was read, and what the last read saw.

A watermark moves in one transaction with everything that depends on it, and only if nobody moved
it meanwhile (``FAULTS.md`` I6, P20).
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from crm_pipeline.errors import LeaseHeldError
from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.schema import organisations, pull_progress, recent, watermarks
from crm_pipeline.store.ledger.texts import from_text, to_text
from crm_pipeline.store.ledger.times import Clock, from_micros, to_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark:
    """Everything visible up to ``at`` is landed. ``version`` grows with every commit.

    ``rows_known`` counts the rows of the newest complete sweep; ``swept_at`` is its end.
    """

    at: dt.datetime | None
    batch: int
    rows_known: int
    last_row_count: int
    committed_at: dt.datetime
    swept_at: dt.datetime | None
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PullProgress:
    """How far an unfinished read came: the link to go on from, and the watermark it fixed."""

    mode: str
    next_link: str
    watermark_at: dt.datetime | None
    started_at: dt.datetime
    batch: int
    pages: int
    rows: int


@dataclass(frozen=True, slots=True, kw_only=True)
class CompleteRead:
    """A read that came to its end, every row landed.

    ``recent`` are the (id, fingerprint) pairs that the next read will see again; ``rows`` counts
    the rows read.
    """

    at: dt.datetime | None
    batch: int
    rows: int
    is_sweep: bool
    recent: Iterable[tuple[str, str]]


_progress = msgspec.json.Decoder(PullProgress)


class Watermarks:
    """Reads and moves watermarks."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def get(self, organisation: str, source: str, dataset: str) -> Watermark | None:
        """Return one watermark, or None before the first complete read."""
        query = sa.select(watermarks).where(_is(watermarks, organisation, source, dataset))
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
        return None if row is None else _watermark(row)

    def get_all(self, source: str, dataset: str) -> Mapping[str, Watermark]:
        """Return the watermarks of all organisations for one dataset, in one query."""
        query = sa.select(watermarks).where(
            watermarks.c.source == source, watermarks.c.dataset == dataset
        )
        with self._database.read() as connection:
            return {row.organisation: _watermark(row) for row in connection.execute(query)}

    def recent(self, organisation: str, source: str, dataset: str) -> dict[str, str]:
        """Return the fingerprints, by id, of the rows that the next read will see again."""
        query = sa.select(recent.c.id, recent.c.fingerprint).where(
            _is(recent, organisation, source, dataset)
        )
        with self._database.read() as connection:
            return {row.id: row.fingerprint for row in connection.execute(query)}

    def remember(
        self, organisation: str, source: str, dataset: str, marks: Iterable[tuple[str, str]]
    ) -> None:
        """Add (id, mark) pairs of rows that landed between two reads, so that the next knows them.

        An id's older mark is replaced; the watermark stays.
        """
        place = {"organisation": organisation, "source": source, "dataset": dataset}
        rows = [
            {**place, "id": row_id, "fingerprint": mark} for row_id, mark in dict(marks).items()
        ]
        if not rows:
            return
        insert = self._database.upsert(recent)
        statement = insert.on_conflict_do_update(
            index_elements=["organisation", "source", "dataset", "id"],
            set_={"fingerprint": insert.excluded.fingerprint},
        )
        with self._database.write() as connection:
            connection.execute(statement, rows)

    def next_batch(self, organisation: str) -> int:
        """Return a new batch number, higher than every earlier one of the organisation."""
        statement = (
            self._database.upsert(organisations)
            .values(organisation=organisation, is_paused=False, next_batch=1)
            .on_conflict_do_update(
                index_elements=["organisation"],
                set_={"next_batch": organisations.c.next_batch + 1},
            )
            .returning(organisations.c.next_batch)
        )
        with self._database.write() as connection:
            return int(connection.execute(statement).scalar_one())

    def commit(
        self,
        organisation: str,
        source: str,
        dataset: str,
        read: CompleteRead,
        *,
        expected: Watermark | None,
    ) -> Watermark:
        """Move a watermark after everything it stands for has landed, and end the read.

        Raises LeaseHeldError when somebody moved the watermark since ``expected`` was read.
        """
        moved = _moved(expected, read, self._clock())
        place = (organisation, source, dataset)
        seen_again = ((*place, *row) for row in dict(read.recent).items())
        with self._database.write() as connection:
            statement = self._movement(place, moved, expected)
            if connection.execute(statement).one_or_none() is None:
                raise LeaseHeldError(
                    f"Another process read {source}/{dataset} of {organisation} meanwhile.",
                    not_done="The watermark was not moved; what was landed stays.",
                    remedy="Nothing to do: the next read covers both.",
                )
            _delete(connection, recent, *place)
            names = ("organisation", "source", "dataset", "id", "fingerprint")
            self._database.insert_all(connection, recent, names, seen_again)
            _delete(connection, pull_progress, *place)
        return moved

    def _movement(
        self, place: tuple[str, str, str], moved: Watermark, expected: Watermark | None
    ) -> Any:
        """Return the statement that gives one row, or none when somebody was faster."""
        values = {
            "at": to_micros(moved.at),
            "batch": moved.batch,
            "rows_known": moved.rows_known,
            "last_row_count": moved.last_row_count,
            "committed_at": to_micros(moved.committed_at),
            "swept_at": to_micros(moved.swept_at),
            "version": moved.version,
        }
        if expected is None:
            keys = dict(zip(("organisation", "source", "dataset"), place, strict=True))
            insert = self._database.upsert(watermarks).values(**keys, **values)
            return insert.on_conflict_do_nothing().returning(watermarks.c.version)
        where = sa.and_(_is(watermarks, *place), watermarks.c.version == expected.version)
        update = sa.update(watermarks).where(where).values(**values)
        return update.returning(watermarks.c.version)

    def save_progress(
        self, organisation: str, source: str, dataset: str, progress: PullProgress
    ) -> None:
        """Note how far an unfinished read came, after its rows have landed."""
        body = to_text(progress)
        statement = (
            self._database.upsert(pull_progress)
            .values(organisation=organisation, source=source, dataset=dataset, body=body)
            .on_conflict_do_update(
                index_elements=["organisation", "source", "dataset"], set_={"body": body}
            )
        )
        with self._database.write() as connection:
            connection.execute(statement)

    def load_progress(self, organisation: str, source: str, dataset: str) -> PullProgress | None:
        """Return where an unfinished read stopped, or None."""
        query = sa.select(pull_progress.c.body).where(
            _is(pull_progress, organisation, source, dataset)
        )
        with self._database.read() as connection:
            body = connection.execute(query).scalar_one_or_none()
        return None if body is None else from_text(_progress, body)

    def clear_progress(self, organisation: str, source: str, dataset: str) -> None:
        """Forget an unfinished read; the next one starts from its first page."""
        with self._database.write() as connection:
            _delete(connection, pull_progress, organisation, source, dataset)


def _moved(known: Watermark | None, read: CompleteRead, now: dt.datetime) -> Watermark:
    """Return the watermark after a read; a first read is as good as a sweep."""
    is_sweep = read.is_sweep or known is None
    return Watermark(
        at=read.at,
        batch=read.batch,
        rows_known=read.rows if is_sweep or known is None else known.rows_known,
        last_row_count=read.rows,
        committed_at=now,
        swept_at=now if is_sweep or known is None else known.swept_at,
        version=(known.version if known else 0) + 1,
    )


def _delete(
    connection: Connection, table: sa.Table, organisation: str, source: str, dataset: str
) -> None:
    connection.execute(sa.delete(table).where(_is(table, organisation, source, dataset)))


def _is(table: sa.Table, organisation: str, source: str, dataset: str) -> "sa.ColumnElement[bool]":
    return sa.and_(
        table.c.organisation == organisation,
        table.c.source == source,
        table.c.dataset == dataset,
    )


def _watermark(row: "Row[tuple[object, ...]]") -> Watermark:
    return Watermark(
        at=from_micros(row.at),
        batch=row.batch,
        rows_known=row.rows_known,
        last_row_count=row.last_row_count,
        committed_at=from_micros(row.committed_at),
        swept_at=from_micros(row.swept_at),
        version=row.version,
    )
