"""What the lake holds of a dataset, as a set to compare with: for sweeps and very large pulls."""

import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.core.times import TIME_TYPE
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.sync.land.report import Scan
from crm_pipeline.sync.land.stamping import Stamped

_LOAD = """
CREATE OR REPLACE TEMP TABLE known AS
SELECT id, fingerprint, version_at FROM current_rows
"""
_EMPTY = """
CREATE OR REPLACE TEMP TABLE known (id VARCHAR, fingerprint VARCHAR, version_at TIMESTAMPTZ)
"""
#: ``version``: a row without a time is newer than what is known, and by no more than that.
_CHANGED = """
SELECT seen.place, seen.id, seen.fingerprint, known.id IS NULL AS is_new,
       coalesce(known.version_at > seen.version_at, false) AS is_older,
       known.version_at + INTERVAL 1 MICROSECOND AS just_newer,
       coalesce(seen.version_at, just_newer) AS version,
       greatest(known.version_at, version) AS version_at
FROM seen LEFT JOIN known ON known.id = seen.id
WHERE known.id IS NULL OR known.fingerprint <> seen.fingerprint
ORDER BY seen.place
"""
_FORGET = "DELETE FROM known WHERE id IN (SELECT id FROM changed_rows)"
_REMEMBER = "INSERT INTO known SELECT id, fingerprint, version_at FROM changed_rows"


class Changed:
    """Rows that the lake does not hold as they are. The flags have the rows' order."""

    def __init__(self, stamped: Stamped, found: pa.Table) -> None:
        places = found.column("place")
        self.rows = _with_version(stamped.rows.take(places), _array(found.column("version")))
        self.times: pa.Array = stamped.times.take(_array(places))
        self.is_new: pa.Array = _array(found.column("is_new"))
        self.is_older: pa.Array = _array(found.column("is_older"))
        self._just_newer: pa.Array = _array(found.column("just_newer"))

    def not_older(self) -> pa.Table:
        """Return the rows that are at least as new as what is known."""
        return self.rows.filter(pc.invert(self.is_older))

    def lowered(self, swept_at: dt.datetime, overlap: dt.timedelta) -> pa.Table:
        """Return the rows that a sweep shows older than before, just newer than what is known.

        No more than that: the source's clock may be behind ours, and its next change has to win.
        Not those whose known version is younger than the overlap: a source may show what its
        webhook told already only a while later.
        """
        visible = pc.less_equal(self._just_newer, pa.scalar(swept_at - overlap, TIME_TYPE))
        is_lowered = pc.and_(self.is_older, pc.fill_null(visible, False))
        return _with_version(self.rows.filter(is_lowered), self._just_newer.filter(is_lowered))


class Known:
    """The newest version of every row of a dataset, by id, in a lake session.

    ``has_rows``: the session has the view ``current_rows`` with all columns, as of the beginning.
    """

    def __init__(self, scan: Scan, session: LakeSession) -> None:
        self._session = session
        self.has_rows = scan.ws.lake.exists(scan.organisation, scan.table)
        if self.has_rows:
            session.attach_current("current_rows", scan.organisation, scan.table, "id")
            session.execute(_LOAD)
        else:
            session.execute(_EMPTY)
        self.count = int(session.value("SELECT count(*) FROM known"))

    def changed(self, stamped: Stamped) -> Changed:
        """Return the rows whose content is not what is known, and know it from now on."""
        rows = stamped.rows
        seen = pa.table(
            {
                "place": pa.array(range(rows.num_rows), pa.int64()),
                "id": rows.column("id"),
                "fingerprint": rows.column("fingerprint"),
                "version_at": rows.column("version_at"),
            }
        )
        self._session.register("seen", seen)
        found = self._session.sql(_CHANGED).read_all()
        if found.num_rows:
            self._session.register("changed_rows", found)
            self._session.execute(_FORGET)
            self._session.execute(_REMEMBER)
        return Changed(stamped, found)


def _with_version(rows: pa.Table, versions: pa.Array) -> pa.Table:
    place = rows.schema.get_field_index("version_at")
    return rows.set_column(place, rows.schema.field(place), pc.cast(versions, TIME_TYPE))


def _array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
