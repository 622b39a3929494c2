"""The full draft: every desired object against every acknowledged one, as set work in DuckDB.

Keys and fingerprints are compared; whole objects are read only where they differ. Creates, which
can be millions, never become Python objects.
"""

from collections.abc import Iterator, Mapping, Sequence

import pyarrow as pa

from crm_pipeline.core.diff import LANE_SECOND, MEDIA_FIELDS
from crm_pipeline.core.media import normal_form
from crm_pipeline.core.policies import PlanPolicy
from crm_pipeline.core.ports import ObjectKind
from crm_pipeline.core.records import AppliedObject
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.sync.erase.checking import erased_of
from crm_pipeline.sync.plan.draft import Draft, Identity, Tally
from crm_pipeline.sync.plan.kept import KeptValues
from crm_pipeline.sync.plan.rows import (
    DRAFT_SCHEMA,
    Desired,
    DraftRow,
    archive_row,
    decode_fields,
    to_batch,
    update_row,
)
from crm_pipeline.sync.workspace import Workspace

#: Acknowledged objects looked up in the ledger at a time.
LOOK_UP_ROWS = 2_000
#: Above this share of changed objects every medium is looked at.
MOST_CHANGED_SHARE = 0.1
_MEDIA_SCHEMA = pa.schema([("name", pa.string()), ("medium", pa.string())])

_APPLIED = """
CREATE TEMP TABLE applied AS SELECT key, fingerprint, withheld FROM applied_stream
"""
_CHANGED = """
CREATE TEMP TABLE changed AS
SELECT desired.key, applied.key IS NULL AS is_new
FROM desired LEFT JOIN applied USING (key)
WHERE applied.key IS NULL OR ({is_mutable} AND applied.fingerprint <> desired.fingerprint)
"""
_MISSING = """
CREATE TEMP TABLE missing AS
SELECT applied.key FROM applied ANTI JOIN desired USING (key)
"""
#: The media that a changed contact takes or gives up.
_TOUCHED = """
CREATE TEMP TABLE touched_{medium} AS
SELECT {medium} AS medium FROM desired SEMI JOIN changed USING (key) WHERE {medium} IS NOT NULL
UNION
SELECT medium FROM given_up WHERE name = '{medium}'
"""
_ALL_MEMBERS = """
CREATE TEMP VIEW members_{medium} AS
SELECT key, {medium} AS medium FROM desired WHERE {medium} IS NOT NULL
"""
_MEMBERS = """
CREATE TEMP TABLE members_{medium} AS
SELECT key, {medium} AS medium FROM desired
WHERE {medium} IN (SELECT medium FROM touched_{medium})
"""
_LOSERS = """
CREATE TEMP TABLE losers_{medium} AS
SELECT key
FROM members_{medium} JOIN (
    SELECT medium, min(key) AS owner FROM members_{medium} GROUP BY medium HAVING count(*) > 1
) AS shared USING (medium)
WHERE key <> owner
"""
#: Contacts that did not change themselves and gain or lose a medium because its owner did.
_AFFECTED = """
INSERT INTO changed
SELECT key, false
FROM members_{medium} JOIN applied USING (key) LEFT JOIN losers_{medium} AS loser USING (key)
WHERE (loser.key IS NOT NULL) <> contains(applied.withheld, '"{first_field}"')
  AND key NOT IN (SELECT key FROM changed)
"""
_WITHHELD = """
CREATE TEMP TABLE withheld AS
SELECT key, list(name ORDER BY name) AS names FROM ({parts}) GROUP BY key
"""
_LOST = "SELECT key, '{name}' AS name FROM losers_{medium}"
_MOVED = """
SELECT desired.key, desired.fields, desired.fingerprint, desired.version_at, withheld.names
FROM desired SEMI JOIN (SELECT key FROM changed WHERE NOT is_new) AS moved USING (key)
LEFT JOIN withheld USING (key)
"""
_CREATE_IDENTITIES = """
SELECT key, desired.fingerprint, withheld.names
FROM desired SEMI JOIN (SELECT key FROM changed WHERE is_new) AS fresh USING (key)
LEFT JOIN withheld USING (key) ORDER BY key
"""
_CREATES = """
SELECT CAST(? AS TINYINT) AS lane, 'create' AS kind, ? AS object_kind, desired.key,
       CAST(NULL AS VARCHAR) AS crm_id, CAST(NULL AS VARCHAR) AS before, desired.fields AS after,
       CAST([] AS VARCHAR[]) AS changed, coalesce(withheld.names, []) AS withheld,
       'new' AS reason, desired.fingerprint, CAST(NULL AS VARCHAR) AS before_fingerprint,
       desired.version_at
FROM desired SEMI JOIN (SELECT key FROM changed WHERE is_new) AS fresh USING (key)
LEFT JOIN withheld USING (key)
"""


class FullDraft:
    """Works one full draft out in one lake session."""

    def __init__(
        self,
        ws: Workspace,
        session: LakeSession,
        organisation: str,
        destination: str,
        kind: ObjectKind,
        policy: PlanPolicy,
    ) -> None:
        self._ws = ws
        self._session = session
        self._organisation = organisation
        self._destination = destination
        self._kind = kind
        self._object_kind = kind.name
        self._policy = policy
        self._kept = KeptValues(ws, organisation, destination, policy)
        self._tally = Tally()

    def work_out(self) -> Draft:
        """Compare, place the shared media, and return the draft."""
        self._attach()
        self._session.execute(_CHANGED.format(is_mutable=not self._kind.is_immutable))
        self._session.execute(_MISSING)
        self._place_media()
        self._leave_out_erased()
        self._session.register("updates_empty", DRAFT_SCHEMA.empty_table())
        self._session.execute("CREATE TEMP TABLE updates AS SELECT * FROM updates_empty")
        self._store(self._updates())
        self._store(self._archives())
        creates = self._count("SELECT count(*) FROM changed WHERE is_new")
        desired = self._count("SELECT count(*) FROM desired")
        compared = sum(self._tally.kinds.values()) - self._tally.kinds["archive"]
        counts = {**self._tally.kinds, "create": creates, "unchanged": desired - creates - compared}
        reasons = {**({"new": creates} if creates else {}), **self._tally.reasons}
        return Draft(
            counts=counts,
            field_counts=dict(self._tally.fields.most_common()),
            reason_counts=reasons,
            consent_widened=self._tally.widened,
            desired=desired,
            desired_batch=self._ws.lake.newest_batch(self._organisation, self._kind.table),
            identities=self._identities,
            batches=self._batches,
        )

    def _attach(self) -> None:
        session = self._session
        session.attach("written", self._organisation, self._kind.table)
        if session.value("SELECT min(batch) = max(batch) FROM written"):
            session.execute("CREATE TEMP VIEW desired AS SELECT * FROM written")
        else:
            session.attach_current("desired", self._organisation, self._kind.table, "key")
        applied = self._ws.ledger.applied.stream(
            self._organisation, self._destination, self._object_kind
        )
        session.register("applied_stream", applied)
        session.execute(_APPLIED)
        session.unregister("applied_stream")

    def _leave_out_erased(self) -> None:
        """Plan nothing of erased people.

        Their erasure may be under way, or the lake may have been put back from before it.
        """
        erased = erased_of(self._ws, self._organisation)
        for table in ("changed", "missing") if erased else ():
            reader = self._session.sql(f"SELECT key FROM {table}")  # noqa: S608
            keys = (key for batch in reader for key in batch.column("key").to_pylist())
            found = [key for key in keys if erased.has_object(key)]
            self._session.register("erased_keys", pa.table({"key": pa.array(found, pa.string())}))
            self._session.execute(
                f"DELETE FROM {table} WHERE key IN (SELECT key FROM erased_keys)"  # noqa: S608
            )

    def _place_media(self) -> None:
        is_most = self._is_most_changed()
        if not is_most:
            self._session.register("given_up", self._given_up())
        parts = []
        for medium, names in MEDIA_FIELDS.items():
            if is_most:
                self._session.execute(_ALL_MEMBERS.format(medium=medium))
            else:
                self._session.execute(_TOUCHED.format(medium=medium))
                self._session.execute(_MEMBERS.format(medium=medium))
            self._session.execute(_LOSERS.format(medium=medium))
            self._session.execute(_AFFECTED.format(medium=medium, first_field=names[0]))
            parts += [_LOST.format(name=name, medium=medium) for name in names]
        self._session.execute(_WITHHELD.format(parts=" UNION ALL ".join(parts)))

    def _is_most_changed(self) -> bool:
        """Whether looking at every medium is cheaper than finding out which are touched."""
        moved = self._count("SELECT count(*) FROM changed WHERE NOT is_new")
        known = self._count("SELECT count(*) FROM applied")
        return moved > known * MOST_CHANGED_SHARE or known == 0

    def _given_up(self) -> pa.Table:
        """The media that changed contacts had so far, by the ledger's account."""
        rows: list[dict[str, str]] = []
        for batch in self._session.sql("SELECT key FROM changed WHERE NOT is_new"):
            for start in range(0, batch.num_rows, LOOK_UP_ROWS):
                keys = batch.column("key").slice(start, LOOK_UP_ROWS).to_pylist()
                for known in self._applied(keys).values():
                    texts = ((name, normal_form(name, known.fields)) for name in MEDIA_FIELDS)
                    rows += [{"name": name, "medium": text} for name, text in texts if text]
        return pa.Table.from_pylist(rows, schema=_MEDIA_SCHEMA)

    def _applied(self, keys: Sequence[str]) -> Mapping[str, AppliedObject]:
        return self._ws.ledger.applied.get_many(
            self._organisation, self._destination, self._object_kind, keys
        )

    def _updates(self) -> Iterator[list[DraftRow]]:
        self._session.execute(f"CREATE TEMP TABLE moved AS {_MOVED}")
        for batch in self._session.sql("SELECT * FROM moved"):
            for start in range(0, batch.num_rows, LOOK_UP_ROWS):
                yield self._compared(batch.slice(start, LOOK_UP_ROWS))

    def _compared(self, batch: pa.RecordBatch) -> list[DraftRow]:
        applied = self._applied(batch.column("key").to_pylist())
        rows = []
        for row in batch.to_pylist():
            wanted = Desired(
                key=row["key"],
                fields=decode_fields(row["fields"]),
                fingerprint=row["fingerprint"],
                version_at=row["version_at"],
                withheld=tuple(row["names"] or ()),
            )
            kept = self._kept.of(wanted.key)
            known = applied[wanted.key]
            policies = self._policy.field_policies
            rows.append(update_row(self._object_kind, wanted, known, kept, policies))
        return rows

    def _archives(self) -> Iterator[list[DraftRow]]:
        if self._policy.on_missing == "keep" or "archive" not in self._kind.calls_for:
            return
        self._session.execute("CREATE TEMP TABLE gone AS SELECT key FROM missing ORDER BY key")
        for batch in self._session.sql("SELECT key FROM gone"):
            keys = batch.column("key").to_pylist()
            applied = self._applied(keys)
            rows = [archive_row(self._object_kind, applied[key]) for key in keys]
            yield [row for row in rows if row.changed]

    def _store(self, chunks: Iterator[list[DraftRow]]) -> None:
        for rows in chunks:
            self._tally.add(rows)
            self._session.register("chunk", pa.Table.from_batches([to_batch(rows)], DRAFT_SCHEMA))
            self._session.execute("INSERT INTO updates SELECT * FROM chunk")

    def _identities(self) -> Iterator[Identity]:
        yield from self._stored_identities("archive")
        for batch in self._session.sql(_CREATE_IDENTITIES):
            keys, prints, names = (column.to_pylist() for column in batch.columns)
            for key, fingerprint, withheld in zip(keys, prints, names, strict=True):
                yield Identity(
                    kind="create",
                    key=key,
                    crm_id=None,
                    desired=fingerprint,
                    after=fingerprint,
                    before=None,
                    withheld=withheld or (),
                )
        yield from self._stored_identities("update")

    def _stored_identities(self, kind: str) -> Iterator[Identity]:
        query = "SELECT * FROM updates WHERE kind = ? ORDER BY key"
        for batch in self._session.sql(query, (kind,)):
            yield from map(Identity.of, batch.to_pylist())

    def _batches(self) -> Iterator[pa.RecordBatch]:
        yield from self._session.sql("SELECT * FROM updates ORDER BY lane, key")
        yield from self._session.sql(_CREATES, (LANE_SECOND, self._object_kind))

    def _count(self, query: str) -> int:
        return int(self._session.value(query))
