"""The lake as the use cases see it: append, replace, read, compact."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import pyarrow as pa
import pyarrow.dataset as ds

from crm_pipeline.core.ports import Clock
from crm_pipeline.store.lake.checking import FileCheck, remote_dataset
from crm_pipeline.store.lake.engines import Engines
from crm_pipeline.store.lake.erasing import Eraser
from crm_pipeline.store.lake.failures import LakeUnavailableError, storage_calls, storage_failure
from crm_pipeline.store.lake.parquet import DataFile, write_file
from crm_pipeline.store.lake.places import LocalPlace, RemotePlace, place_for
from crm_pipeline.store.lake.session import LakeSession
from crm_pipeline.store.lake.snapshots import Snapshots
from crm_pipeline.store.lake.tables import Mode, Table

#: A spill folder this old belongs to a process that was killed.
_SPILL_AGE = dt.timedelta(days=2)
#: What one session may hold in memory; more goes to its folder.
DEFAULT_MEMORY = "256MB"
#: History is kept this long, unless told otherwise.
DEFAULT_RETENTION_HOURS = 168


class Lake:
    """All tables of all organisations below one folder or URL. Thread-safe."""

    def __init__(
        self,
        root_url: str,
        *,
        clock: Clock,
        storage_options: Mapping[str, str] | None = None,
        memory: str = DEFAULT_MEMORY,
    ) -> None:
        self._place = place_for(root_url, storage_options)
        self._clock = clock
        self._engines = Engines(memory)
        self._check = FileCheck()
        self._snapshots = Snapshots(self._place)

    def append(self, organisation: str, table: str, reader: pa.RecordBatchReader) -> int:
        """Add all rows of a reader in one atomic commit; return how many there were.

        No rows, no commit. Raises LakeUnavailableError (nothing was added) when the storage does
        not take them, LakeBusyError when another process is in the way.
        """
        return self._write(organisation, table, reader, "append")

    def replace(self, organisation: str, table: str, reader: pa.RecordBatchReader) -> int:
        """Put the rows of a reader in place of a table's rows, in one atomic commit.

        Readers that have begun go on with the old rows, which stay until ``vacuum``.
        """
        return self._write(organisation, table, reader, "overwrite")

    def exists(self, organisation: str, table: str) -> bool:
        """Whether anybody has written the table."""
        return self._snapshots.exists(organisation, table)

    def version(self, organisation: str, table: str) -> int:
        """Return the number of the table's newest commit."""
        return self._snapshots.get(organisation, table).version

    def row_count(self, organisation: str, table: str, *, since_batch: int | None = None) -> int:
        """Return the rows of all versions, from the log; 0 for a table that nobody has written.

        With ``since_batch``: rows of later batches (files that hold earlier ones too are read).
        """
        found = self._snapshots.find(organisation, table)
        if found is None:
            return 0
        files = _since(found.files, since_batch)
        if since_batch is None or all((file.min_batch or 0) > since_batch for file in files):
            return sum(file.rows for file in files)
        with self.session() as session:
            session.attach("counted", organisation, table, since_batch)
            return int(session.value("SELECT count(*) FROM counted"))

    def file_count(self, organisation: str, table: str) -> int:
        """Return how many data files a table has; 0 when nobody has written it."""
        found = self._snapshots.find(organisation, table)
        return len(found.files) if found is not None else 0

    def size_bytes(self, organisation: str, table: str) -> int:
        """Return the bytes of the table's current files; 0 when nobody has written it."""
        found = self._snapshots.find(organisation, table)
        return sum(file.size for file in found.files) if found is not None else 0

    def newest_batch(self, organisation: str, table: str) -> int:
        """Return the highest batch number in a table, from the log; 0 when there is none."""
        found = self._snapshots.find(organisation, table)
        files = found.files if found is not None else ()
        return max((file.max_batch or 0 for file in files), default=0)

    def files(self, organisation: str, table: str, *, since_batch: int | None = None) -> list[str]:
        """Return the current data files that can hold rows after a batch, proven when local."""
        found = self._snapshots.get(organisation, table)
        return self._paths(f"{organisation}/{table}", _since(found.files, since_batch))

    def source(
        self, organisation: str, table: str, since_batch: int | None
    ) -> tuple[pa.Schema, list[str] | ds.Dataset]:
        """Return a table's columns, and its proven files or (object storage) its rows."""
        found, folder = self._snapshots.get(organisation, table), f"{organisation}/{table}"
        files = _since(found.files, since_batch)
        if isinstance(self._place, RemotePlace):
            with storage_calls(folder):
                return found.schema, remote_dataset(self._place, folder, files, found.schema)
        return found.schema, self._paths(folder, files)

    def session(self) -> LakeSession:
        """Return a private DuckDB to be used in a ``with`` block."""
        return LakeSession(self, self._place.spill_folder(), self._engines)

    def scan(
        self,
        organisation: str,
        table: str,
        *,
        columns: Sequence[str] | None = None,
        where: str | None = None,
        parameters: Sequence[object] = (),
        since_batch: int | None = None,
    ) -> pa.RecordBatchReader:
        """Return rows of all versions that meet a condition in SQL, in bounded memory.

        ``where`` and ``columns`` are ours, never a person's input; values go into ``parameters``.
        """
        names = ", ".join(f'"{name}"' for name in columns) if columns else "*"
        condition = f" WHERE {where}" if where else ""
        session = self.session()
        return _closing(
            session,
            lambda: session.attach("scanned", organisation, table, since_batch),
            f"SELECT {names} FROM scanned{condition}",  # noqa: S608
            parameters,
        )

    def current(
        self, organisation: str, table: str, key_column: str, *, since_batch: int | None = None
    ) -> pa.RecordBatchReader:
        """Return the newest version of each key (see ``LakeSession.attach_current``)."""
        session = self.session()
        return _closing(
            session,
            lambda: session.attach_current("newest", organisation, table, key_column, since_batch),
            "SELECT * FROM newest",
            (),
        )

    def compact(
        self,
        organisation: str,
        table: str,
        key_column: str,
        *,
        keep: Literal["current", "all"] = "current",
    ) -> int:
        """Fold a table's files into one; ``keep`` is ``current`` or ``all`` versions.

        Returns the rows that stayed. Raises LakeBusyError when rows came in meanwhile.
        """
        target = self._table(organisation, table)
        target.open()  # the commit replaces exactly what is read below, not what comes later
        rows = (
            self.current(organisation, table, key_column)
            if keep == "current"
            else self.scan(organisation, table)
        )
        return self._commit(target, rows, "overwrite")

    def keep(
        self, organisation: str, table: str, query: str, parameters: Sequence[object] = ()
    ) -> int:
        """Put what a query over the view ``stored`` gives in place of all rows; return how many.

        The query is ours, never a person's input. Raises LakeBusyError when rows came in meanwhile.
        """
        target = self._table(organisation, table)
        target.open()  # as in ``compact``
        session = self.session()
        rows = _closing(
            session, lambda: session.attach("stored", organisation, table), query, parameters
        )
        return self._commit(target, rows, "overwrite")

    def vacuum(
        self,
        organisation: str,
        table: str,
        *,
        retention_hours: int = DEFAULT_RETENTION_HOURS,
    ) -> int:
        """Delete files that no version of the last hours needs; return how many there were.

        Entries of the log go after 30 days, once a checkpoint holds what they say.
        """
        opened = self._table(organisation, table)
        delta = opened.open()
        with storage_calls(f"{organisation}/{table}"):
            # Looked at first: the library logs a vacuum even when it deletes nothing.
            deleted = delta.vacuum(retention_hours, enforce_retention_duration=False)
            if isinstance(self._place, LocalPlace):  # it lists those that are gone already, too
                folder = self._place.root / opened.folder
                deleted = [name for name in deleted if (folder / name).exists()]
            if deleted:
                version = delta.version()
                delta.vacuum(retention_hours, dry_run=False, enforce_retention_duration=False)
                opened.keep_log_short(version)
            delta.cleanup_metadata()
        self._place.settle_log(f"{organisation}/{table}")
        if isinstance(self._place, LocalPlace):
            self._place.sweep_spills((self._clock() - _SPILL_AGE).timestamp())
        return len(deleted)

    def eraser(self) -> Eraser:
        """Return what takes rows out of tables for ever."""
        return Eraser(self._place, self._check, self._clock)

    def _paths(self, folder: str, files: Sequence[DataFile]) -> list[str]:
        if isinstance(self._place, LocalPlace):
            return [self._check.prove(self._place, folder, file) for file in files]
        return [f"{self._place.uri(folder)}/{file.name}" for file in files]

    def _table(self, organisation: str, table: str) -> Table:
        return Table(self._place, organisation, table)

    def _write(
        self, organisation: str, table: str, reader: pa.RecordBatchReader, mode: Mode
    ) -> int:
        target = self._table(organisation, table)
        target.ensure(reader.schema)
        return self._commit(target, reader, mode)

    def _commit(self, target: Table, reader: pa.RecordBatchReader, mode: Mode) -> int:
        file = self._store(target.folder, reader)
        if file is None and mode == "append":
            return 0
        target.commit(file, reader.schema, mode, int(self._clock().timestamp() * 1000))
        return 0 if file is None else file.rows

    def _store(self, folder: str, reader: pa.RecordBatchReader) -> DataFile | None:
        try:
            file = write_file(self._place, folder, reader)
        except OSError as error:
            raise storage_failure(folder, error) or LakeUnavailableError(
                f"The storage did not take rows for the table {folder} ({type(error).__name__}).",
                not_done="None of them was added.",
                remedy="Look at space and reach of the lake, then run again.",
            ) from error
        if file is not None and isinstance(self._place, LocalPlace):
            self._check.trust(self._place.root / folder / file.name)
        return file


def _since(files: Sequence[DataFile], since_batch: int | None) -> list[DataFile]:
    if since_batch is None:
        return list(files)
    return [file for file in files if file.max_batch is None or file.max_batch > since_batch]


def _closing(
    session: LakeSession, prepare: Callable[[], None], query: str, parameters: Sequence[object]
) -> pa.RecordBatchReader:
    """Return a query's rows; the session ends with them, or when nobody wants more."""
    try:
        prepare()
        reader = session.sql(query, parameters)
    except BaseException:
        session.close()
        raise

    def batches() -> Iterator[pa.RecordBatch]:
        with session:
            yield from reader

    return pa.RecordBatchReader.from_batches(reader.schema, batches())
