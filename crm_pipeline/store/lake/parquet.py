"""Writes rows as one Parquet file: zstd, page checksums, and the figures for the Delta log."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from crm_pipeline.store.lake.places import Place, Sink

#: Rows of one row group: small enough to stay in memory, large enough to compress.
GROUP_ROWS = 65_536
#: The column whose limits the Delta log keeps, so that readers of new rows open new files only.
BATCH = "batch"


@dataclass(frozen=True, slots=True, kw_only=True)
class DataFile:
    """One data file as the Delta log lists it. Without ``batch`` column the limits are None."""

    name: str
    size: int
    rows: int
    min_batch: int | None
    max_batch: int | None

    def stats(self) -> str:
        """Return the statistics in Delta's JSON form."""
        stats: dict[str, object] = {"numRecords": self.rows}
        if self.min_batch is not None:
            stats["minValues"] = {BATCH: self.min_batch}
            stats["maxValues"] = {BATCH: self.max_batch}
            stats["nullCount"] = {BATCH: 0}
        return json.dumps(stats)


class _Figures:
    """Counts rows and follows the batch numbers of what passes by."""

    def __init__(self) -> None:
        self.rows = 0
        self.limits: tuple[int, int] | None = None

    def see(self, table: pa.Table) -> None:
        self.rows += table.num_rows
        if BATCH not in table.column_names:
            return
        found = pc.min_max(table.column(BATCH)).as_py()
        low, high = self.limits or (found["min"], found["max"])
        self.limits = min(low, found["min"]), max(high, found["max"])


def write_file(place: Place, folder: str, reader: pa.RecordBatchReader) -> DataFile | None:
    """Write all rows of a reader as one durable file; None when it has none."""
    groups = _row_groups(reader)
    first = next(groups, None)
    if first is None:
        return None
    figures = _Figures()

    def fill(sink: Sink) -> None:
        with pq.ParquetWriter(
            sink, first.schema, compression="zstd", compression_level=1, write_page_checksum=True
        ) as writer:
            _write_group(writer, first, figures)
            for group in groups:
                _write_group(writer, group, figures)

    name, size = place.write(folder, fill)
    low, high = figures.limits or (None, None)
    return DataFile(name=name, size=size, rows=figures.rows, min_batch=low, max_batch=high)


def _write_group(writer: pq.ParquetWriter, group: pa.Table, figures: _Figures) -> None:
    figures.see(group)
    writer.write_table(group, row_group_size=GROUP_ROWS)


def _row_groups(reader: pa.RecordBatchReader) -> Iterator[pa.Table]:
    waiting: list[pa.RecordBatch] = []
    rows = 0
    for batch in reader:
        if batch.num_rows:
            waiting.append(batch)
            rows += batch.num_rows
        if rows >= GROUP_ROWS:
            yield pa.Table.from_batches(waiting)
            waiting, rows = [], 0
    if rows:
        yield pa.Table.from_batches(waiting)
