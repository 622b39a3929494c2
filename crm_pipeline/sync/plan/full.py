"""The full draft: every desired object against every acknowledged one, as set work in DuckDB.

Keys and fingerprints are compared; whole objects are read only where they differ. Creates, which
can be millions, never become Python objects.
"""

from collections.abc import Iterator

import pyarrow as pa

from crm_pipeline.core.diff import LANE_SECOND, MEDIA_FIELDS
from crm_pipeline.core.policies import PlanPolicy
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.sync.plan.draft import Draft, Identity, Tally
from crm_pipeline.sync.plan.kept import KeptValues
from crm_pipeline.sync.plan.keyed import DESIRED_TABLE, identity_of
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

_CHANGED = """
CREATE TEMP TABLE changed AS
SELECT desired.key, applied.key IS NULL AS is_new, desired.fingerprint
FROM desired LEFT JOIN applied USING (key)
WHERE applied.key IS NULL OR applied.fingerprint <> desired.fingerprint
"""
_MISSING = """
CREATE TEMP TABLE missing AS
SELECT applied.key FROM applied ANTI JOIN desired USING (key)
"""
_TOUCHED = """
CREATE TEMP TABLE touched_{medium} AS
SELECT md5({medium}) AS digest FROM desired SEMI JOIN changed USING (key) WHERE {medium} IS NOT NULL
UNION
SELECT {medium}_digest FROM applied
WHERE {medium}_digest IS NOT NULL
  AND (key IN (SELECT key FROM changed) OR key IN (SELECT key FROM missing))
"""
_LOSERS = """
CREATE TEMP TABLE losers_{medium} AS
SELECT desired.key
FROM desired JOIN (
    SELECT {medium}, min(key) AS owner FROM desired
    WHERE {medium} IS NOT NULL {only_touched}
    GROUP BY {medium} HAVING count(*) > 1
) AS shared USING ({medium})
WHERE desired.key <> shared.owner
"""
_ONLY_TOUCHED = "AND md5({medium}) IN (SELECT digest FROM touched_{medium})"
#: Contacts that did not change themselves and gain or lose a medium because its owner did.
_AFFECTED = """
INSERT INTO changed
SELECT desired.key, false, desired.fingerprint
FROM desired JOIN applied USING (key) LEFT JOIN losers_{medium} AS loser USING (key)
WHERE {medium} IS NOT NULL {only_touched}
  AND (loser.key IS NOT NULL) <> contains(applied.withheld, '"{first_field}"')
  AND desired.key NOT IN (SELECT key FROM changed)
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
SELECT changed.key, changed.fingerprint, withheld.names
FROM changed LEFT JOIN withheld USING (key) WHERE changed.is_new ORDER BY changed.key
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
        object_kind: str,
        policy: PlanPolicy,
    ) -> None:
        self._ws = ws
        self._session = session
        self._organisation = organisation
        self._destination = destination
        self._object_kind = object_kind
        self._policy = policy
        self._kept = KeptValues(ws, organisation, destination, policy)
        self._tally = Tally()

    def work_out(self) -> Draft:
        """Compare, place the shared media, and return the draft."""
        self._attach()
        self._session.execute(_CHANGED)
        self._session.execute(_MISSING)
        self._place_media()
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
            desired_batch=self._ws.lake.newest_batch(self._organisation, DESIRED_TABLE),
            identities=self._identities,
            batches=self._batches,
        )

    def _attach(self) -> None:
        session = self._session
        session.attach_current("desired", self._organisation, DESIRED_TABLE, "key")
        applied = self._ws.ledger.applied.stream(
            self._organisation, self._destination, self._object_kind
        )
        session.register("applied_stream", applied)
        session.execute("CREATE TEMP TABLE applied AS SELECT * FROM applied_stream")

    def _place_media(self) -> None:
        is_first = self._count("SELECT count(*) FROM applied") == 0
        parts = []
        for medium, names in MEDIA_FIELDS.items():
            only_touched = "" if is_first else _ONLY_TOUCHED.format(medium=medium)
            if not is_first:
                self._session.execute(_TOUCHED.format(medium=medium))
            self._session.execute(_LOSERS.format(medium=medium, only_touched=only_touched))
            if not is_first:
                self._session.execute(
                    _AFFECTED.format(medium=medium, only_touched=only_touched, first_field=names[0])
                )
            parts += [_LOST.format(name=name, medium=medium) for name in names]
        self._session.execute(_WITHHELD.format(parts=" UNION ALL ".join(parts)))

    def _updates(self) -> Iterator[list[DraftRow]]:
        self._session.execute(f"CREATE TEMP TABLE moved AS {_MOVED}")
        for batch in self._session.sql("SELECT * FROM moved"):
            for start in range(0, batch.num_rows, LOOK_UP_ROWS):
                yield self._compared(batch.slice(start, LOOK_UP_ROWS))

    def _compared(self, batch: pa.RecordBatch) -> list[DraftRow]:
        applied = self._ws.ledger.applied.get_many(
            self._organisation,
            self._destination,
            self._object_kind,
            batch.column("key").to_pylist(),
        )
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
        if self._policy.on_missing == "keep":
            return
        self._session.execute("CREATE TEMP TABLE gone AS SELECT key FROM missing ORDER BY key")
        for batch in self._session.sql("SELECT key FROM gone"):
            keys = batch.column("key").to_pylist()
            applied = self._ws.ledger.applied.get_many(
                self._organisation, self._destination, self._object_kind, keys
            )
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
                yield ("create", key, fingerprint, None, (), withheld or ())
        yield from self._stored_identities("update")

    def _stored_identities(self, kind: str) -> Iterator[Identity]:
        query = "SELECT * FROM updates WHERE kind = ? ORDER BY key"
        for batch in self._session.sql(query, (kind,)):
            for row in batch.to_pylist():
                yield identity_of(
                    DraftRow(
                        values=row, changed=tuple(row["changed"]), reason="", is_widening=False
                    )
                )

    def _batches(self) -> Iterator[pa.RecordBatch]:
        yield from self._session.sql("SELECT * FROM updates ORDER BY lane, key")
        yield from self._session.sql(_CREATES, (LANE_SECOND, self._object_kind))

    def _count(self, query: str) -> int:
        return int(self._session.value(query))
