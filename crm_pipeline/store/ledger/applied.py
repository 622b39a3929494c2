"""What each CRM acknowledged, per object: the applied state."""

import itertools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Row

from crm_pipeline.core.records import AppliedObject, FieldValue
from crm_pipeline.store.ledger.bases import ALL_KINDS
from crm_pipeline.store.ledger.engine import KEYS_A_QUERY, Database
from crm_pipeline.store.ledger.schema import applied, applied_totals, bases
from crm_pipeline.store.ledger.streaming import stream_text
from crm_pipeline.store.ledger.texts import from_text
from crm_pipeline.store.ledger.times import from_micros

if TYPE_CHECKING:
    import pyarrow as pa

#: The columns of ``stream``, all of them strings; ``withheld`` is a JSON list of field names.
STREAM_COLUMNS = ("key", "crm_id", "fingerprint", "withheld", "email_digest", "phone_digest")
_fields = msgspec.json.Decoder(dict[str, FieldValue])
_names = msgspec.json.Decoder(tuple[str, ...])

#: Without statistics SQLite takes an organisation's objects for nine, and would read them all
#: rather than look a thousand digests up: 5.5 s among a million. CROSS JOIN keeps the order.
_MEDIA_IN_SQLITE = {
    name: sa.text(
        "SELECT applied.key, email_digest, phone_digest"  # noqa: S608  our own two words
        f" FROM json_each(:digests) AS wanted CROSS JOIN applied INDEXED BY applied_{name}"
        " WHERE organisation = :organisation AND destination = :destination"
        f" AND {name}_digest = wanted.value AND object_kind = :object_kind"
    )
    for name in ("email", "phone")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedMedia:
    """One of our objects that carries a medium with a looked-up digest."""

    key: str
    email_digest: str | None
    phone_digest: str | None


class Applied:
    """Reads the applied state. It is written by ``Outbox.settle`` only."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_many(
        self, organisation: str, destination: str, object_kind: str, keys: Collection[str]
    ) -> dict[str, AppliedObject]:
        """Return the acknowledged objects of some keys; unknown keys are left out."""
        where = _of(organisation, destination, object_kind)
        found: dict[str, AppliedObject] = {}
        with self._database.read() as connection:
            for some in _chunks(keys):
                query = sa.select(applied).where(where, applied.c.key.in_(some))
                found |= {row.key: _object(row) for row in connection.execute(query)}
        return found

    def count(self, organisation: str, destination: str, object_kind: str) -> int:
        """Return how many objects the CRM has acknowledged."""
        query = sa.select(applied_totals.c.objects).where(
            applied_totals.c.organisation == organisation,
            applied_totals.c.destination == destination,
            applied_totals.c.object_kind == object_kind,
        )
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one_or_none() or 0)

    def base(
        self,
        organisation: str,
        destination: str,
        object_kind: str | None = None,
        *,
        except_plan: str = "",
    ) -> int:
        """Return the number of the newest receipt, of one kind of object or of any.

        The receipts of one plan can be left out.
        """
        query = sa.select(sa.func.max(bases.c.seq)).where(
            bases.c.organisation == organisation,
            bases.c.destination == destination,
            bases.c.plan_digest != except_plan,
        )
        if object_kind is not None:
            query = query.where(bases.c.object_kind.in_((object_kind, ALL_KINDS)))
        with self._database.read() as connection:
            return int(connection.execute(query).scalar_one_or_none() or 0)

    def by_media(
        self, organisation: str, destination: str, object_kind: str, digests: Collection[str]
    ) -> list[AppliedMedia]:
        """Return our objects that carry one of some media, by digest."""
        found: dict[str, AppliedMedia] = {}
        with self._database.read() as connection:
            for some in _chunks(digests):
                for name in ("email", "phone"):
                    query = self._media_query(name, organisation, destination, object_kind, some)
                    for row in connection.execute(query):
                        found[row.key] = AppliedMedia(
                            key=row.key,
                            email_digest=row.email_digest,
                            phone_digest=row.phone_digest,
                        )
        return list(found.values())

    def _media_query(
        self, name: str, organisation: str, destination: str, object_kind: str, digests: list[str]
    ) -> "sa.Executable":
        if self._database.is_sqlite:
            values = (organisation, destination, object_kind, msgspec.json.encode(digests).decode())
            names = ("organisation", "destination", "object_kind", "digests")
            return _MEDIA_IN_SQLITE[name].bindparams(**dict(zip(names, values, strict=True)))
        columns = (applied.c.key, applied.c.email_digest, applied.c.phone_digest)
        where = _of(organisation, destination, object_kind)
        return sa.select(*columns).where(where, applied.c[f"{name}_digest"].in_(digests))

    def stream(
        self, organisation: str, destination: str, object_kind: str
    ) -> "pa.RecordBatchReader":
        """Return keys, fingerprints and media of all objects as Arrow, in bounded memory.

        The columns are STREAM_COLUMNS. The reader holds a connection until it is read to its end
        or closed, and sees the state of the moment in which its first batch is read.
        """
        columns = [applied.c[name] for name in STREAM_COLUMNS]
        return stream_text(
            self._database,
            sa.select(*columns).where(_of(organisation, destination, object_kind)),
            STREAM_COLUMNS,
        )


def _chunks(values: Collection[str]) -> Iterator[list[str]]:
    rest = iter(values)
    while some := list(itertools.islice(rest, KEYS_A_QUERY)):
        yield some


def _of(organisation: str, destination: str, object_kind: str) -> "sa.ColumnElement[bool]":
    return sa.and_(
        applied.c.organisation == organisation,
        applied.c.destination == destination,
        applied.c.object_kind == object_kind,
    )


def _object(row: "Row[tuple[object, ...]]") -> AppliedObject:
    fields: dict[str, FieldValue] = from_text(_fields, row.fields)
    return AppliedObject(
        key=row.key,
        crm_id=row.crm_id,
        fingerprint=row.fingerprint,
        fields=fields,
        withheld=from_text(_names, row.withheld),
        plan_digest=row.plan_digest,
        version_at=from_micros(row.version_at),
        applied_at=from_micros(row.applied_at),
    )
