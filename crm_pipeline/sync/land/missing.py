"""Who is no longer in a source's list: what complete sweeps did not see, one after another.

Here: the table ``missing/<source>/<dataset>``, replaced whole by each complete sweep. Not here:
what follows from it (``sync.resolve`` leaves people out, a plan's ``on_missing`` decides).
"""

import datetime as dt

import pyarrow as pa

from crm_pipeline.core.times import TIME_TYPE
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.sync.land.report import Scan, landed_table
from crm_pipeline.sync.workspace import Workspace

MISSING_SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("missing_since", TIME_TYPE),
        ("sweeps", pa.int64()),
        ("batch", pa.int64()),
    ]
)

#: Rows that were landed after the sweep that missed them have come back.
_STILL_AWAY = """
CREATE OR REPLACE TEMP TABLE away AS
SELECT missed.id, missed.missing_since, missed.sweeps
FROM missed LEFT JOIN (
    SELECT id, max(batch) AS batch FROM {versions} SEMI JOIN missed USING (id) GROUP BY id
) AS landed USING (id)
WHERE landed.batch IS NULL OR landed.batch <= missed.batch
"""
_UNSEEN = """
SELECT known.id, coalesce(away.missing_since, CAST(? AS TIMESTAMPTZ)) AS missing_since,
       coalesce(away.sweeps, 0) + CAST(? AS BIGINT) AS sweeps, CAST(? AS BIGINT) AS batch
FROM known ANTI JOIN sighted USING (id) LEFT JOIN away USING (id)
WHERE away.id IS NOT NULL OR CAST(? AS BIGINT) > 0
"""


def missing_table(source: str, dataset: str) -> str:
    """Return the name of the lake table with the ids that sweeps did not see."""
    return f"missing/{source}/{dataset}"


def attach_away(
    ws: Workspace,
    session: LakeSession,
    organisation: str,
    source: str,
    dataset: str,
    *,
    versions: str | None = None,
) -> None:
    """Make ``away`` (id, missing_since, sweeps) visible: ids that are missing as of now.

    ``versions`` is a view of landed rows that is attached already; without it they are attached.
    """
    table = missing_table(source, dataset)
    if ws.lake.exists(organisation, table):
        session.attach("missed", organisation, table)
    else:
        session.register("missed", MISSING_SCHEMA.empty_table())
    if versions is None:
        versions = "landed_versions"
        session.attach(versions, organisation, landed_table(source, dataset))
    session.execute(_STILL_AWAY.format(versions=versions))


class Sightings:
    """The ids that a sweep has seen, in its lake session (bounded memory, spills to disk).

    ``known`` is a table of that session with all known ids.
    """

    def __init__(self, scan: Scan, session: LakeSession) -> None:
        self._scan = scan
        self._session = session
        session.execute("CREATE OR REPLACE TEMP TABLE sighted (id VARCHAR)")

    def see(self, rows: pa.Table) -> None:
        """Note the ids of some rows."""
        self._session.register("sighted_rows", rows.select(["id"]))
        self._session.execute("INSERT INTO sighted SELECT id FROM sighted_rows")

    def record(self, started_at: dt.datetime, *, is_certain: bool) -> None:
        """Replace the table, the sweep being complete.

        A sweep that met records without an id is not certain: they may be anybody. Whoever it saw
        is back, and nobody's count is raised.
        """
        scan, session = self._scan, self._session
        lake, table = scan.ws.lake, missing_table(scan.source, scan.dataset)
        attach_away(scan.ws, session, scan.organisation, scan.source, scan.dataset)
        step = int(is_certain)
        count = f"SELECT count(*) FROM ({_UNSEEN})"  # noqa: S608
        is_empty = not session.value(count, (started_at, step, 0, step))
        if is_empty and not lake.row_count(scan.organisation, table):
            return
        batch = scan.ws.ledger.watermarks.next_batch(scan.organisation)
        rows = session.sql(_UNSEEN, (started_at, step, batch, step))
        reader = pa.RecordBatchReader.from_batches(
            MISSING_SCHEMA, (each.cast(MISSING_SCHEMA) for each in rows)
        )
        lake.replace(scan.organisation, table, reader)
