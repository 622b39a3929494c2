"""One private DuckDB for a piece of work over the lake, in bounded memory.

Any number of results may be read and statements run in any order: DuckDB itself allows one open
result, so a result that is still being read when the next statement comes is moved to a file.
"""

import contextlib
import os
import shutil
import weakref
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import duckdb
import pyarrow as pa

from crm_pipeline.core.times import UNDATED
from crm_pipeline.store.lake.engines import Engines
from crm_pipeline.store.lake.failures import damaged, storage_calls
from crm_pipeline.store.lake.places import hold_folder

#: Rows of one batch of a result.
BATCH_ROWS = 20_000
#: How pyarrow, below DuckDB, says that a page is not what was written.
_BAD_PAGE = "CRC checksum verification failed"

Parameters = Sequence[object]

#: How landed versions of one record rank, in SQL: by the source's time, then by their batch. When
#: they landed does not count: the source's clock may be behind ours.
VERSION_RANK = (
    f"epoch_us(coalesce(version_at, TIMESTAMPTZ '{UNDATED.isoformat()}'))::HUGEINT"
    " * 1099511627776 + batch"
)


class TableReader(Protocol):
    """What a session needs from the lake to make a table visible."""

    def source(
        self, organisation: str, table: str, since_batch: int | None
    ) -> tuple[pa.Schema, "list[str] | pa.dataset.Dataset"]:
        """Return columns, and proven files or a set of rows."""
        ...


class _Parked:
    """A result that is read later: in DuckDB while nobody else needs it, then in a file."""

    def __init__(
        self,
        reader: pa.RecordBatchReader,
        spill: Path,
        reading: Callable[[], contextlib.AbstractContextManager[None]],
    ) -> None:
        self.schema = reader.schema
        self._reader: pa.RecordBatchReader | None = reader
        self._spill = spill
        self._reading = reading

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Give the batches, wherever they are by now."""
        while self._reader is not None:
            batch = self._next()
            if batch is None:
                self.close()
                return
            yield batch
        if self._spill.exists():
            yield from self._parked_batches()

    def _next(self) -> pa.RecordBatch | None:
        assert self._reader is not None  # noqa: S101
        with self._reading():
            return next(self._reader, None)

    def _parked_batches(self) -> Iterator[pa.RecordBatch]:
        with pa.OSFile(str(self._spill)) as file, pa.ipc.open_stream(file) as stream:
            yield from stream
        self._spill.unlink(missing_ok=True)

    def park(self) -> None:
        """Move the batches that nobody has read yet into the file."""
        if self._reader is None:
            return
        options = pa.ipc.IpcWriteOptions(compression="lz4")
        with (
            pa.OSFile(str(self._spill), "wb") as file,
            pa.ipc.new_stream(file, self.schema, options=options) as stream,
        ):
            while (batch := self._next()) is not None:
                stream.write_batch(batch)
        self.close()

    def close(self) -> None:
        """Give DuckDB's result back."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


class LakeSession:
    """Tables of the lake and rows of ours, joined by SQL. Made by ``Lake.session``."""

    def __init__(self, tables: TableReader, spill_folder: str, engines: Engines) -> None:
        self._tables = tables
        self._spill = Path(spill_folder)
        self._remove_spill = weakref.finalize(
            self, _remove_held, spill_folder, hold_folder(spill_folder)
        )
        self._open: _Parked | None = None
        self._results = 0
        self._attached: list[str] = []
        self._engines = engines
        self._engine = engines.take(self._spill / "duckdb")
        self._connection = self._engine.cursor()
        self._connection.execute("SET TimeZone = 'UTC'")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session: its tables, results and files are gone."""
        if self._open is not None:
            self._open.close()
            self._open = None  # result and session hold each other
        if self._remove_spill.alive:
            self._connection.close()
            self._engines.give_back(self._engine, self._spill / "duckdb")
            self._remove_spill()

    def attach(
        self, name: str, organisation: str, table: str, since_batch: int | None = None
    ) -> pa.Schema:
        """Make a table visible as the view ``name``: all rows, or those after a batch.

        Returns its columns. Every file is proven first. Raises LakeDamagedError, TableUnknownError.
        """
        schema, source = self._tables.source(organisation, table, since_batch)
        self._attached.append(f"{organisation}/{table}")
        where = "" if since_batch is None else f" WHERE batch > {int(since_batch)}"
        if isinstance(source, list):
            rows = f"read_parquet([{_literals(source)}], union_by_name = true)"
            missing = "" if source else self._register_empty(f"{name}_files", schema)
            rows = missing or rows
        else:
            self.register(f"{name}_files", source)
            rows = f"{name}_files"
        columns = ", ".join(f'"{column}"' for column in schema.names)
        self.execute(
            f"CREATE OR REPLACE TEMP VIEW {name} AS SELECT {columns} FROM {rows}{where}"  # noqa: S608
        )
        return schema

    def attach_current(
        self,
        name: str,
        organisation: str,
        table: str,
        key_column: str,
        since_batch: int | None = None,
    ) -> None:
        """Make the newest version of each key visible as the view ``name``.

        The newest has the highest ``version_at`` (none is lower than any), then the highest batch;
        tables without ``landed_at`` go by batch alone.
        """
        versions, newest = f"{name}_versions", f"{name}_newest"
        schema = self.attach(versions, organisation, table, since_batch)
        rank = VERSION_RANK if "landed_at" in schema.names else "batch"
        self.execute(
            f"CREATE OR REPLACE TEMP TABLE {newest} AS SELECT {key_column}, max({rank}) AS rank,"  # noqa: S608
            f" count(*) AS versions FROM {versions} GROUP BY {key_column}"
        )
        view = f"SELECT * FROM {versions}"  # noqa: S608
        if self.value(f"SELECT count(*) FROM {newest} WHERE versions > 1"):  # noqa: S608
            view = (
                f"SELECT v.* FROM {versions} AS v JOIN {newest} AS n"  # noqa: S608
                f" ON v.{key_column} = n.{key_column} AND ({rank}) = n.rank"
            )
        self.execute(f"CREATE OR REPLACE TEMP VIEW {name} AS {view}")

    def register(self, name: str, rows: Any) -> None:
        """Make an Arrow table, batch, reader or dataset visible as ``name``."""
        self._free()
        self._connection.register(name, rows)

    def unregister(self, name: str) -> None:
        """Let go of rows that were registered."""
        self._free()
        self._connection.unregister(name)

    def sql(self, query: str, parameters: Parameters = ()) -> pa.RecordBatchReader:
        """Return a query's rows, worked out while they are read."""
        self._free()
        self._results += 1
        spill = self._spill / f"result-{self._results}.arrows"
        with self._reading():
            relation = self._connection.sql(query, params=list(parameters) or None)
            self._open = _Parked(relation.to_arrow_reader(BATCH_ROWS), spill, self._reading)
        return pa.RecordBatchReader.from_batches(self._open.schema, self._open.batches())

    def execute(self, query: str, parameters: Parameters = ()) -> None:
        """Run a statement that gives no rows."""
        self._free()
        with self._reading():
            self._connection.execute(query, list(parameters) or None).fetchall()

    def value(self, query: str, parameters: Parameters = ()) -> Any:
        """Return the first column of a query's only row."""
        self._free()
        with self._reading():
            rows = self._connection.execute(query, list(parameters) or None).fetchall()
        return rows[0][0] if rows else None

    def _free(self) -> None:
        if self._open is not None:
            self._open.park()
            self._open = None

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        """Name the tables when object storage fails, or a page of it is not what was written."""
        tables = ", ".join(self._attached)
        with storage_calls(tables):
            try:
                yield
            except (duckdb.Error, OSError, pa.ArrowException) as error:
                if _BAD_PAGE not in str(error):
                    raise
                raise damaged(tables, "a page's checksum does not fit") from error

    def _register_empty(self, name: str, schema: pa.Schema) -> str:
        self.register(name, schema.empty_table())
        return name


def _remove_held(folder: str, descriptor: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(descriptor)


def _literals(paths: Sequence[str]) -> str:
    return ", ".join("'" + path.replace("'", "''") + "'" for path in paths)
