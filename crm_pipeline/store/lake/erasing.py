"""Takes rows out of tables for ever: new files without them, and no old file left.

Here: which files hold such rows, rewriting those alone, deleting what is no longer current. Not
here: whose rows they are (``sync.erase``). Deleting the history ends time travel to before.
"""

import os
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.fs as pafs
import pyarrow.parquet as pq

from crm_pipeline.core.ports import Clock
from crm_pipeline.store.lake.checking import FileCheck
from crm_pipeline.store.lake.failures import (
    LakeUnavailableError,
    storage_calls,
    storage_failure,
)
from crm_pipeline.store.lake.parquet import DataFile, write_file
from crm_pipeline.store.lake.places import LocalPlace, Place, RemotePlace, sync_directory
from crm_pipeline.store.lake.tables import Table

_LOG = "_delta_log"
#: Rows looked at together.
_BATCH_ROWS = 65_536

#: Values by column: a row fits when each of its columns has one of them.
Condition = Mapping[str, Collection[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class RowsToErase:
    """Which rows are to go: those that fit one condition, or hold one of some texts in a column.

    A condition on a column that a file does not have fits no row of it.
    """

    conditions: Sequence[Condition] = ()
    texts: Mapping[str, Collection[str]] = field(default_factory=dict)

    def mask(self, rows: pa.Table) -> pa.ChunkedArray:
        """Return, for each row, whether it has to go."""
        found = [self._fits(rows, condition) for condition in self.conditions]
        found += [
            pc.match_substring(rows.column(column), text)
            for column, texts in self.texts.items()
            if column in rows.column_names
            for text in texts
        ]
        nothing = pa.chunked_array([pa.repeat(pa.scalar(False), rows.num_rows)])
        return reduce(pc.or_, (pc.fill_null(each, False) for each in found), nothing)

    @staticmethod
    def _fits(rows: pa.Table, condition: Condition) -> pa.ChunkedArray:
        everything = pa.chunked_array([pa.repeat(pa.scalar(bool(condition)), rows.num_rows)])
        if any(column not in rows.column_names for column in condition):
            return pc.invert(everything) if condition else everything
        return reduce(
            pc.and_,
            (
                pc.is_in(rows.column(column), pa.array(sorted(values), pa.string()))
                for column, values in condition.items()
            ),
            everything,
        )


class Eraser:
    """Finds and removes rows in the tables of an organisation, and files that held them."""

    def __init__(self, place: Place, check: FileCheck, clock: Clock) -> None:
        self._place = place
        self._check = check
        self._clock = clock

    def tables(self, organisation: str) -> list[str]:
        """Return the names of all tables of an organisation, in order."""
        if isinstance(self._place, LocalPlace):
            root = self._place.root / organisation
            found = {str(log.parent.relative_to(root)) for log in root.glob(f"**/{_LOG}")}
        else:
            with storage_calls(organisation):
                paths = self._files_below(organisation, is_deep=True)
            found = {path.partition(f"/{_LOG}/")[0] for path in paths if f"/{_LOG}/" in path}
        return sorted(found)

    def count(self, organisation: str, table: str, rows: RowsToErase) -> int:
        """Return how many rows of the newest version fit."""
        opened = Table(self._place, organisation, table)
        if not opened.exists():
            return 0
        files = opened.files()
        return sum(self._count_in(opened.folder, file, rows) for file in files)

    def erase(self, organisation: str, table: str, rows: RowsToErase) -> int:
        """Rewrite the files with such rows, in one atomic commit; return how many rows went.

        Raises LakeBusyError when another process changed the same files, LakeDamagedError when a
        file is not what was written, LakeUnavailableError when the storage does not take the new.
        """
        opened = Table(self._place, organisation, table)
        erased = 0
        removed: list[DataFile] = []
        written: list[DataFile] = []
        for file in opened.files():
            count = self._count_in(opened.folder, file, rows)
            if count:
                erased += count
                removed.append(file)
                written += self._rewritten(opened, file, rows)
        if removed:
            opened.exchange(removed, written, int(self._clock().timestamp() * 1000))
        return erased

    def drop_history(self, organisation: str, table: str) -> int:
        """Delete every data file that is not current, half-written ones too; return how many.

        No other process may write the table meanwhile: its file would not be current yet.
        """
        opened = Table(self._place, organisation, table)
        current = {file.name for file in opened.files()}
        if not isinstance(self._place, LocalPlace):
            with storage_calls(opened.folder):
                old = set(self._files_below(opened.folder, is_deep=False)) - current
                files = self._filesystem(opened.folder)
                for name in sorted(old):
                    files.delete_file(name)
            return len(old)
        folder = self._place.root / opened.folder
        old = {each.name for each in os.scandir(folder) if each.is_file()} - current
        for name in sorted(old):
            (folder / name).unlink(missing_ok=True)
        sync_directory(folder)
        return len(old)

    def remove_dead_spills(self) -> int:
        """Remove what killed processes had put on the local disk; return how many folders."""
        return self._place.remove_dead_spills() if isinstance(self._place, LocalPlace) else 0

    def _count_in(self, folder: str, file: DataFile, rows: RowsToErase) -> int:
        with storage_calls(folder), self._opened(folder, file) as parquet:
            return sum(
                pc.sum(rows.mask(each)).as_py() or 0 for each in _tables(parquet, _columns(rows))
            )

    def _rewritten(self, table: Table, file: DataFile, rows: RowsToErase) -> list[DataFile]:
        with storage_calls(table.folder), self._opened(table.folder, file) as parquet:
            kept = (each.filter(pc.invert(rows.mask(each))) for each in _tables(parquet, None))
            batches = (batch for each in kept for batch in each.to_batches())
            reader = pa.RecordBatchReader.from_batches(parquet.schema_arrow, batches)
            try:
                new = write_file(self._place, table.folder, reader)
            except OSError as error:
                raise storage_failure(table.folder, error) or LakeUnavailableError(
                    f"The storage did not take rows for the table {table.folder}"
                    f" ({type(error).__name__}).",
                    not_done="Nothing of the table was erased.",
                    remedy="Look at space and reach of the lake, then run again.",
                ) from error
        return [] if new is None else [new]

    def _opened(self, folder: str, file: DataFile) -> pq.ParquetFile:
        if isinstance(self._place, LocalPlace):
            path = self._check.prove(self._place, folder, file)
            return pq.ParquetFile(Path(path), page_checksum_verification=True)
        source = self._filesystem(folder).open_input_file(file.name)
        return pq.ParquetFile(source, page_checksum_verification=True)

    def _filesystem(self, folder: str) -> pafs.FileSystem:
        assert isinstance(self._place, RemotePlace)  # noqa: S101  local files are reached by path
        return self._place.filesystem(folder)

    def _files_below(self, folder: str, *, is_deep: bool) -> list[str]:
        selector = pafs.FileSelector("", recursive=is_deep, allow_not_found=True)
        found = self._filesystem(folder).get_file_info(selector)
        return [each.path for each in found if each.type == pafs.FileType.File]


def _columns(rows: RowsToErase) -> frozenset[str]:
    return frozenset().union(rows.texts, *rows.conditions)


def _tables(parquet: pq.ParquetFile, wanted: Collection[str] | None) -> Iterator[pa.Table]:
    names = parquet.schema_arrow.names
    columns = names if wanted is None else [name for name in names if name in wanted]
    if not columns:
        return
    for batch in parquet.iter_batches(_BATCH_ROWS, columns=columns):
        yield pa.Table.from_batches([batch])
