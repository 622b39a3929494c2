"""Takes everything of one person out of the ledger.

Here: which rows are theirs, and what stays in their place: counts, and digests that name nobody.
Not here: the order of an erasure (``sync.erase``), what the file keeps of deleted rows
(``Database.compact``).
"""

import datetime as dt
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from crm_pipeline.core.records import PROVISIONAL
from crm_pipeline.core.subject import Subject
from crm_pipeline.store.ledger.bases import end_plans
from crm_pipeline.store.ledger.engine import KEYS_A_QUERY, Database
from crm_pipeline.store.ledger.schema import (
    applied,
    applied_totals,
    consents,
    facets,
    holds,
    inbox,
    links,
    organisations,
    outbox,
    outcomes,
    plans,
    pull_progress,
    recent,
    rejects,
)
from crm_pipeline.store.ledger.times import Clock, to_micros

#: Bodies of the inbox, and payloads of rejects, that are looked at together.
_LOOKED_AT = 500
_CHANNELS = ("email", "sms")
_ORIGIN = "erasure"
#: Stands for what a sync failed with before somebody was erased.
_FORGOTTEN = "What it was is forgotten: somebody was erased since."


class Erasing:
    """Finds and removes one person's rows of one organisation."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def contacts(
        self, organisation: str, object_kind: str, keys: Collection[str]
    ) -> Mapping[str, Mapping[str, str]]:
        """Return the CRMs' ids of some of our objects, by destination and key."""
        found: dict[str, dict[str, str]] = {}
        query = sa.select(applied.c.destination, applied.c.key, applied.c.crm_id)
        where = (applied.c.organisation == organisation, applied.c.object_kind == object_kind)
        with self._database.read() as connection:
            for some in _chunks(keys):
                for row in connection.execute(query.where(*where, applied.c.key.in_(some))):
                    found.setdefault(row.destination, {})[row.key] = row.crm_id
        return found

    def count(self, organisation: str, subject: Subject) -> Mapping[str, int]:
        """Return how many rows ``remove`` would take out or change, by table."""
        with self._database.read() as connection:
            found = _Rows(connection, organisation, subject)
            counts = {table.name: _count(connection, table, found) for table in _KEYED}
            numbers, others = found.events(), found.set_aside([])
            return {**counts, "inbox": len(numbers), "rejects": len(others)}

    def remove(
        self, organisation: str, subject: Subject, digests: Mapping[str, str], media: Sequence[str]
    ) -> Mapping[str, int]:
        """Take everything out in one transaction; return how many rows there were, by table.

        ``digests`` stands for each of our keys in what must go on adding up (outcomes). ``media``
        are the keys of the consent log under which the refusals are kept. Every open plan is
        superseded, and none that was made before can be applied. Safe to repeat.
        """
        now = self._clock()
        with self._database.write() as connection:
            if self._database.is_sqlite:
                connection.exec_driver_sql("PRAGMA secure_delete=ON")
            found = _Rows(connection, organisation, subject)
            numbers = found.events()
            _free_media(connection, found)
            counts = {
                "inbox": _delete(connection, inbox, inbox.c.number, numbers),
                "rejects": self._remove_rejects(connection, found, numbers),
                "outcomes": _rename(connection, found, digests),
                **{
                    table.name: _delete_keyed(connection, table, found)
                    for table in _KEYED
                    if table is not outcomes
                },
            }
            if counts["applied"]:
                self._count_again(connection, organisation)
            if media and not _has_refusals(connection, organisation, media):
                _refuse(connection, organisation, media, now)
            counts["plans"] = self._end_plans(connection, organisation, now)
            _forget_failure(connection, organisation)
        return counts

    def forget_events(self, numbers: Sequence[int]) -> None:
        """Empty the bodies of events of somebody erased; that they came stays known."""
        if not numbers:
            return
        with self._database.write() as connection:
            if self._database.is_sqlite:
                connection.exec_driver_sql("PRAGMA secure_delete=ON")
            for number in numbers:
                connection.execute(
                    sa.update(inbox)
                    .where(inbox.c.number == number)
                    .values(body=b"", entity_id="", dedup=f"erased:{number}")
                )
        self._database.empty_log()

    def _remove_rejects(
        self, connection: Connection, found: "_Rows", numbers: Sequence[int]
    ) -> int:
        names = found.set_aside([f"inbox:{number}" for number in numbers])
        for name in names:
            same = (rejects.c[column] == value for column, value in name.items())
            connection.execute(sa.delete(rejects).where(*same))
        return len(names)

    def _count_again(self, connection: Connection, organisation: str) -> None:
        query = (
            sa.select(applied.c.destination, applied.c.object_kind, sa.func.count().label("rows"))
            .where(applied.c.organisation == organisation)
            .group_by(applied.c.destination, applied.c.object_kind)
        )
        counted = {(r.destination, r.object_kind): r.rows for r in connection.execute(query)}
        ours = applied_totals.c.organisation == organisation
        for row in connection.execute(sa.select(applied_totals).where(ours)).all():
            place = row.destination, row.object_kind
            connection.execute(
                sa.update(applied_totals)
                .where(
                    ours,
                    applied_totals.c.destination == place[0],
                    applied_totals.c.object_kind == place[1],
                )
                .values(objects=counted.get(place, 0))
            )

    def _end_plans(self, connection: Connection, organisation: str, now: dt.datetime) -> int:
        query = sa.select(plans.c.destination).where(plans.c.organisation == organisation)
        return sum(
            end_plans(self._database, connection, organisation, each, by=_ORIGIN, now=now)
            for each in sorted(connection.execute(query.distinct()).scalars())
        )


class _Rows:
    """Which rows are the person's, table by table."""

    def __init__(self, connection: Connection, organisation: str, subject: Subject) -> None:
        self.organisation = organisation
        self._connection = connection
        self._subject = subject
        # Here, for it loads the parsers of addresses and numbers, which few commands need.
        from crm_pipeline.core.tombstones import Mentions  # noqa: PLC0415

        self._mentions = Mentions(subject)
        self._names = subject.names()

    def conditions(self, table: sa.Table) -> Iterator["sa.ColumnElement[bool]"]:
        """Give the conditions that each hold for some of the person's rows of a keyed table."""
        subject, ours = self._subject, table.c.organisation == self.organisation
        if table in (applied, holds, outbox, outcomes):
            for kind, keys in subject.objects.items():
                is_kind = sa.and_(ours, table.c.object_kind == kind)
                yield from _among(table.c.key, keys, is_kind)
        elif table is recent:
            for kind, ids in subject.ids.items():
                source, _, dataset = kind.partition("/")
                place = sa.and_(ours, table.c.source == source, table.c.dataset == dataset)
                yield from _among(table.c.id, ids, place)
        else:
            yield from _among(table.c.key, subject.keys, ours)
        if table is links:
            for kind, ids in subject.ids.items():
                of_source = sa.and_(
                    ours,
                    table.c.source == kind.partition("/")[0],
                    table.c.key.not_in(subject.keys),
                )
                yield from _among(table.c.source_id, ids, of_source)

    def events(self) -> list[int]:
        """Return the numbers of the webhooks that name the person."""
        found: list[int] = []
        last = 0
        columns = (inbox.c.number, inbox.c.entity_id, inbox.c.body)
        while True:
            query = (
                sa.select(*columns)
                .where(inbox.c.organisation == self.organisation, inbox.c.number > last)
                .order_by(inbox.c.number)
                .limit(_LOOKED_AT)
            )
            rows = self._connection.execute(query).all()
            if not rows:
                return found
            last = rows[-1].number
            found += [
                row.number
                for row in rows
                if row.entity_id in self._names
                or self._mentions.is_in(bytes(row.body).decode(errors="replace"))
            ]

    def set_aside(self, further: Sequence[str]) -> list[dict[str, str]]:
        """Return the primary keys of the person's rejects, and of those with some keys."""
        names = self._names.union(further)
        query = sa.select(rejects).where(rejects.c.organisation == self.organisation)
        columns = [column.name for column in rejects.primary_key]
        return [
            {name: getattr(row, name) for name in columns}
            for row in self._connection.execute(query)
            if row.key in names
            or row.detail in self._names
            or self._mentions.is_in(row.payload)
            or self._mentions.is_in(row.key)
        ]

    def unfinished_reads(self) -> list[dict[str, str]]:
        """Return the unfinished reads whose place may name the person: links are opaque."""
        query = sa.select(pull_progress).where(pull_progress.c.organisation == self.organisation)
        return [
            {"source": row.source, "dataset": row.dataset}
            for row in self._connection.execute(query)
            if '"next_link":""' not in row.body
        ]


#: Tables whose rows are found by key; the inbox and rejects are searched.
_KEYED: tuple[sa.Table, ...] = (
    applied, consents, facets, holds, links, outbox, outcomes, pull_progress, recent,
)  # fmt: skip


def _count(connection: Connection, table: sa.Table, found: _Rows) -> int:
    if table is pull_progress:
        return len(found.unfinished_reads())
    return sum(
        int(connection.execute(sa.select(sa.func.count()).where(where)).scalar_one())
        for where in found.conditions(table)
    )


def _delete_keyed(connection: Connection, table: sa.Table, found: _Rows) -> int:
    if table is not pull_progress:
        return sum(
            connection.execute(sa.delete(table).where(where)).rowcount
            for where in found.conditions(table)
        )
    names = found.unfinished_reads()
    for name in names:
        same = (table.c[column] == value for column, value in name.items())
        connection.execute(
            sa.delete(table).where(table.c.organisation == found.organisation, *same)
        )
    return len(names)


def _rename(connection: Connection, found: _Rows, digests: Mapping[str, str]) -> int:
    """Give outcomes names that tell nobody: a plan's outcomes must go on adding up."""
    renamed = 0
    for where in list(found.conditions(outcomes)):
        query = sa.select(outcomes.c.seq, outcomes.c.key).where(where)
        for row in connection.execute(query).all():
            connection.execute(
                sa.update(outcomes).where(outcomes.c.seq == row.seq).values(key=digests[row.key])
            )
            renamed += 1
    return renamed


def _free_media(connection: Connection, found: _Rows) -> None:
    """Let the next full plan give the person's media to whoever of ours did without them.

    Nobody else changed, so that nothing but another fingerprint would make a plan look.
    """
    digests = (applied.c.email_digest, applied.c.phone_digest)
    freed: set[str] = set()
    for where in found.conditions(applied):
        for row in connection.execute(sa.select(*digests).where(where)):
            freed.update(each for each in row if each)
    without = sa.and_(applied.c.organisation == found.organisation, applied.c.withheld != "[]")
    for column in digests:
        for where in _among(column, freed, without):
            connection.execute(sa.update(applied).where(where).values(fingerprint=PROVISIONAL))


def _forget_failure(connection: Connection, organisation: str) -> None:
    """Forget the words of the last failure: they may name a contact by an id of the CRM's."""
    connection.execute(
        sa.update(organisations)
        .where(
            organisations.c.organisation == organisation,
            organisations.c.failure_message.is_not(None),
        )
        .values(failure_message=_FORGOTTEN)
    )


def _delete(
    connection: Connection, table: sa.Table, column: "sa.Column[Any]", values: Sequence[int]
) -> int:
    return sum(
        connection.execute(sa.delete(table).where(column.in_(some))).rowcount
        for some in _chunks(values)
    )


def _has_refusals(connection: Connection, organisation: str, keys: Sequence[str]) -> bool:
    query = sa.select(sa.literal(1)).where(
        consents.c.organisation == organisation, consents.c.key.in_(keys[:KEYS_A_QUERY])
    )
    return connection.execute(query.limit(1)).first() is not None


def _refuse(
    connection: Connection, organisation: str, keys: Sequence[str], now: dt.datetime
) -> None:
    moment = to_micros(now)
    rows = [
        {
            "organisation": organisation,
            "key": key,
            "channel": channel,
            "is_granted": False,
            "at": moment,
            "seen_at": moment,
            "origin": _ORIGIN,
        }
        for key in keys
        for channel in _CHANNELS
    ]
    connection.execute(sa.insert(consents), rows)


def _among(
    column: "sa.Column[Any]", values: Collection[str], where: "sa.ColumnElement[bool]"
) -> Iterator["sa.ColumnElement[bool]"]:
    for some in _chunks(values):
        yield sa.and_(where, column.in_(some))


def _chunks(values: Collection[Any]) -> Iterator[list[Any]]:
    listed = list(values)
    for start in range(0, len(listed), KEYS_A_QUERY):
        yield listed[start : start + KEYS_A_QUERY]
