"""Gives rows the columns that landing adds: version, time, origin, page, fingerprint."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import md5
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.core.pulling import latest_plausible
from crm_pipeline.core.times import TIME_TYPE, UNDATED, parse_times
from crm_pipeline.store.lake import LakeSession

Origin = Literal["pull", "sweep", "hook"]

#: Between the columns, and for a null: control characters that no name holds. (If one ever does,
#: only a change between two such spellings of one row would go unseen.)
_SEPARATOR = "\x1f"
_NULL = "\x1e"
_BOOLEANS = {True: "true", False: "false"}


@dataclass(frozen=True, slots=True)
class Stamped:
    """Rows ready to land, but for their batch. ``times`` are the source's own, not capped."""

    rows: pa.Table
    times: pa.Array
    unreadable: int
    in_future: int

    def filter(self, mask: pa.Array) -> "Stamped":
        """Return the rows for which ``mask`` is true."""
        return Stamped(
            self.rows.filter(mask), self.times.filter(mask), self.unreadable, self.in_future
        )


def stamp(
    pages: Sequence[tuple[pa.RecordBatch, str]],
    *,
    version_column: str,
    origin: Origin,
    landed_at: dt.datetime,
    session: LakeSession | None,
) -> Stamped:
    """Return pages (rows and digest) as one table with the columns that landing adds.

    The version is the source's own time in ``version_column``; one that lies in the future counts
    as the moment of landing, so that the row's next update still wins. A row without a time has no
    version and ranks lowest. Rows by the ten thousand take their fingerprints from
    DuckDB when there is a session.
    """
    table = pa.Table.from_batches([rows for rows, _ in pages])
    read = parse_times(_whole(table.column(version_column)))
    now = pa.scalar(landed_at, TIME_TYPE)
    future = pc.fill_null(
        pc.greater(read.values, pa.scalar(latest_plausible(landed_at), TIME_TYPE)), False
    )
    prints = _set_fingerprints(table, session) if session else fingerprints(table)
    count = table.num_rows
    added = {
        "version_at": pc.if_else(future, now, read.values),
        "landed_at": pa.repeat(now, count),
        "origin": pa.repeat(pa.scalar(origin), count),
        "page_digest": pa.chunked_array(
            [pa.repeat(pa.scalar(digest), rows.num_rows) for rows, digest in pages], pa.string()
        ),
        "fingerprint": prints,
    }
    columns = {"id": table.column("id"), **added}
    columns |= {name: table.column(name) for name in table.column_names if name != "id"}
    return Stamped(pa.table(columns), read.values, read.unreadable, pc.sum(future).as_py() or 0)


def fingerprints(table: pa.Table) -> pa.Array:
    """Return the fingerprint of each row's content, in Python: for some hundreds of rows."""
    columns = [_texts(column) for name, column in _content(table)]
    return pa.array(
        [
            md5(_SEPARATOR.join(values).encode(), usedforsecurity=False).hexdigest()
            for values in zip(*columns, strict=True)
        ],
        pa.string(),
    )


def _set_fingerprints(table: pa.Table, session: LakeSession) -> pa.ChunkedArray:
    """Return the same fingerprints, worked out by DuckDB."""
    texts = ", ".join(f'coalesce("{name}"::VARCHAR, chr(30))' for name, _ in _content(table))
    session.register("unstamped", table)
    query = f"SELECT md5(concat_ws(chr(31), {texts})) AS fingerprint FROM unstamped"  # noqa: S608
    prints = session.sql(query).read_all().column("fingerprint")
    session.unregister("unstamped")
    return prints


def _content(table: pa.Table) -> list[tuple[str, pa.ChunkedArray]]:
    return [(name, table.column(name)) for name in table.column_names if name != "id"]


def _texts(column: pa.ChunkedArray) -> list[str]:
    values = column.to_pylist()
    if pa.types.is_boolean(column.type):
        return [_NULL if value is None else _BOOLEANS[value] for value in values]
    return [_NULL if value is None else str(value) for value in values]


def keep_newest(stamped: Stamped) -> Stamped:
    """Return each id once, in its newest version; of equal versions the one read last."""
    ids = stamped.rows.column("id")
    if pc.count_distinct(ids).as_py() == stamped.rows.num_rows:
        return stamped
    best: dict[str, tuple[dt.datetime, int]] = {}
    versions = zip(
        ids.to_pylist(),
        stamped.rows.column("version_at").to_pylist(),
        strict=True,
    )
    for place, (row_id, version) in enumerate(versions):
        rank = version or UNDATED
        if row_id not in best or rank >= best[row_id][0]:
            best[row_id] = (rank, place)
    chosen = {place for _, place in best.values()}
    return stamped.filter(pa.array([place in chosen for place in range(stamped.rows.num_rows)]))


def _whole(column: pa.ChunkedArray) -> pa.Array:
    combined = column.combine_chunks()
    return pa.concat_arrays(combined.chunks) if isinstance(combined, pa.ChunkedArray) else combined
