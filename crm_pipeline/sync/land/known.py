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
SELECT id, fingerprint, coalesce(version_at, landed_at) AS rank FROM current_rows
"""
_EMPTY = "CREATE OR REPLACE TEMP TABLE known (id VARCHAR, fingerprint VARCHAR, rank TIMESTAMPTZ)"
_CHANGED = """
SELECT seen.place, known.id IS NULL AS is_new,
       coalesce(known.rank > seen.rank, false) AS is_older, known.rank AS known_rank
FROM seen LEFT JOIN known ON known.id = seen.id
WHERE known.id IS NULL OR known.fingerprint <> seen.fingerprint
ORDER BY seen.place
"""
_FORGET = "DELETE FROM known WHERE id IN (SELECT id FROM changed_rows)"
_REMEMBER = "INSERT INTO known SELECT id, fingerprint, rank FROM changed_rows"


class Changed:
    """Rows that the lake does not hold as they are. The flags have the rows' order."""

    def __init__(self, stamped: Stamped, found: pa.Table) -> None:
        places = found.column("place")
        self.rows: pa.Table = stamped.rows.take(places)
        self.times: pa.Array = stamped.times.take(_array(places))
        self.is_new: pa.Array = _array(found.column("is_new"))
        self.is_older: pa.Array = _array(found.column("is_older"))
        self._known_rank: pa.Array = _array(found.column("known_rank"))

    def not_older(self) -> pa.Table:
        """Return the rows that are at least as new as what is known."""
        return self.rows.filter(pc.invert(self.is_older))

    def lowered(self, swept_at: dt.datetime, overlap: dt.timedelta) -> pa.Table:
        """Return the rows that a sweep shows older than before, just newer than what is known.

        No more than that: the source's clock may be behind ours, and its next change has to win.
        Not those whose known version is younger than the overlap: a source may show what its
        webhook told already only a while later.
        """
        visible = pc.less(self._known_rank, pa.scalar(swept_at - overlap, TIME_TYPE))
        is_lowered = pc.and_(self.is_older, pc.fill_null(visible, False))
        rows = self.rows.filter(is_lowered)
        known = self._known_rank.filter(is_lowered)
        a_moment = pa.scalar(dt.timedelta(microseconds=1), pa.duration("us"))
        version = pc.add(pc.cast(known, TIME_TYPE), a_moment)
        place = rows.schema.get_field_index("version_at")
        return rows.set_column(place, rows.schema.field(place), version)


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
        rank = pc.coalesce(rows.column("version_at"), rows.column("landed_at"))
        seen = pa.table(
            {
                "place": pa.array(range(rows.num_rows), pa.int64()),
                "id": rows.column("id"),
                "fingerprint": rows.column("fingerprint"),
                "rank": rank,
            }
        )
        self._session.register("seen", seen)
        found = self._session.sql(_CHANGED).read_all()
        if found.num_rows:
            self._session.register("changed_rows", seen.take(found.column("place")))
            self._session.execute(_FORGET)
            self._session.execute(_REMEMBER)
        return Changed(stamped, found)


def _array(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
