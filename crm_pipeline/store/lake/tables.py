"""One Delta table: its log, its files, its commits.

Data files are written by us (the Delta library cannot write page checksums) and entered into the
log with their limits of ``batch``. A log that is cut, empty or holds an unknown action is damage:
the library would read past some of it and return fewer rows.
"""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
from deltalake import DeltaTable, Schema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, PostCommitHookProperties, RemoveAction

from crm_pipeline.store.lake.failures import (
    LakeBusyError,
    TableUnknownError,
    damaged,
    storage_calls,
    storage_failure,
)
from crm_pipeline.store.lake.parquet import DataFile
from crm_pipeline.store.lake.places import LocalPlace, Place

#: Log entries after which a checkpoint is written, so that opening a table stays fast.
CHECKPOINT_EVERY = 20

_NO_HOOKS = PostCommitHookProperties(create_checkpoint=False, cleanup_expired_logs=False)
_ACTIONS = frozenset(
    ("add", "remove", "metaData", "protocol", "commitInfo", "txn", "domainMetadata")
)

Mode = Literal["append", "overwrite"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """A version of a table: its number, its columns, its data files, oldest first."""

    version: int
    schema: pa.Schema
    files: tuple[DataFile, ...]


class Table:
    """One table of one organisation, as of the moment it was opened."""

    def __init__(self, place: Place, organisation: str, table: str) -> None:
        self._place = place
        self.folder = f"{organisation}/{table}"
        self._delta: DeltaTable | None = None

    def exists(self) -> bool:
        """Whether anybody has written the table."""
        with storage_calls(self.folder):
            return bool(
                DeltaTable.is_deltatable(
                    self._place.uri(self.folder), storage_options=self._place.storage_options
                )
            )

    def open(self) -> DeltaTable:
        """Return the table at its newest version.

        Raises TableUnknownError when nobody has written it, LakeDamagedError when its log is not
        whole.
        """
        if self._delta is None:
            if isinstance(self._place, LocalPlace):
                _check_log(self._place.root / self.folder / "_delta_log", self.folder)
            self._delta = self._load()
        return self._delta

    def _load(self) -> DeltaTable:
        try:
            return DeltaTable(
                self._place.uri(self.folder), storage_options=self._place.storage_options
            )
        except TableNotFoundError as error:
            raise TableUnknownError(f"Nobody has written the table {self.folder}.") from error
        except (DeltaError, OSError, ValueError) as error:
            failure = None
            if not isinstance(self._place, LocalPlace):
                failure = storage_failure(self.folder, error)
            raise failure or damaged(self.folder, "its log cannot be read") from error

    def snapshot(self) -> Snapshot:
        """Return what the table is, as of the moment it was opened."""
        version = int(self.open().version())
        return Snapshot(version=version, schema=self.schema(), files=tuple(self.files()))

    def schema(self) -> pa.Schema:
        """Return the columns of the table."""
        return pa.schema(self.open().schema())

    def files(self) -> list[DataFile]:
        """Return the data files of the table, oldest first."""
        actions = pa.table(self.open().get_add_actions(flatten=True))
        names = set(actions.column_names)
        rows = actions.sort_by("modification_time").to_pylist()
        has_limits = "min.batch" in names
        return [
            DataFile(
                name=row["path"],
                size=row["size_bytes"],
                rows=row["num_records"],
                min_batch=row["min.batch"] if has_limits else None,
                max_batch=row["max.batch"] if has_limits else None,
            )
            for row in rows
        ]

    def commit(
        self, file: DataFile | None, schema: pa.Schema, mode: Mode, written_at_ms: int
    ) -> None:
        """Enter a data file into the log, at once and as a whole.

        Raises LakeBusyError when another process changed the table in a way that does not fit.
        """
        actions: list[AddAction | RemoveAction] = []
        if file is not None:
            actions.append(_add_action(file, written_at_ms))
        self._enter(actions, mode, schema)

    def _enter(
        self, actions: list[AddAction | RemoveAction], mode: Mode, schema: pa.Schema
    ) -> None:
        with storage_calls(self.folder):
            self._enter_calls(actions, mode, schema)

    def _enter_calls(
        self, actions: list[AddAction | RemoveAction], mode: Mode, schema: pa.Schema
    ) -> None:
        delta = self.open()
        version = delta.version()
        try:
            delta.create_write_transaction(
                actions, mode, schema, post_commithook_properties=_NO_HOOKS
            )
            delta.update_incremental()
        except CommitFailedError as error:
            raise LakeBusyError(
                f"Another process changed the table {self.folder} at the same time.",
                not_done="Our rows were not added.",
                remedy="Run again.",
            ) from error
        finally:
            self._place.settle_log(self.folder)
        self.keep_log_short(version)

    def keep_log_short(self, version: int) -> None:
        """Write a checkpoint when one is due since a version of the table."""
        delta = self.open()
        if delta.version() // CHECKPOINT_EVERY > version // CHECKPOINT_EVERY:
            delta.create_checkpoint()
            self._place.settle_log(self.folder)

    def exchange(
        self, removed: Sequence[DataFile], added: Sequence[DataFile], written_at_ms: int
    ) -> None:
        """Put files in place of others, at once and as a whole. The others are not deleted.

        Raises LakeBusyError when another process changed one of them.
        """
        actions: list[AddAction | RemoveAction] = [
            RemoveAction(
                path=file.name,
                data_change=True,
                deletion_timestamp=written_at_ms,
                size=file.size,
                partition_values={},
            )
            for file in removed
        ]
        actions += [_add_action(file, written_at_ms) for file in added]
        self._enter(actions, "append", self.schema())

    def ensure(self, schema: pa.Schema) -> None:
        """Create the table, or give it the columns that it lacks."""
        with storage_calls(self.folder):
            self._ensure(schema)

    def _ensure(self, schema: pa.Schema) -> None:
        self._place.prepare(self.folder)
        if not self.exists():
            DeltaTable.create(
                self._place.uri(self.folder),
                Schema.from_arrow(schema),
                mode="ignore",
                storage_options=self._place.storage_options,
            )
            self._place.settle_log(self.folder)
        known = set(self.schema().names)
        missing = [field for field in schema if field.name not in known]
        if missing:
            fields = Schema.from_arrow(pa.schema(missing)).fields
            self.open().alter.add_columns(fields)
            self._place.settle_log(self.folder)
            self._delta = None


def _add_action(file: DataFile, written_at_ms: int) -> AddAction:
    return AddAction(
        path=file.name,
        size=file.size,
        partition_values={},
        modification_time=written_at_ms,
        data_change=True,
        stats=file.stats(),
    )


def _check_log(log: Path, table: str) -> None:
    """Refuse a log with an entry that the library would pass over in silence."""
    if not log.is_dir():
        return
    tail = tail_of(log)
    checkpoint = {each[:20] for each in tail if ".checkpoint." in each}
    for name in tail:
        if not name.endswith(".json") or name[:20] in checkpoint:
            continue
        try:
            text = (log / name).read_bytes()
            actions = [json.loads(line) for line in text.splitlines() if line.strip()]
            is_whole = bool(actions) and all(action.keys() <= _ACTIONS for action in actions)
        except (ValueError, AttributeError, OSError):
            is_whole = False
        if not is_whole:
            raise damaged(table, f"the entry {name} of its log is cut or altered")


def tail_of(log: Path) -> list[str]:
    """Return the names of a log's newest checkpoint and of its entries from there on, in order."""
    names = sorted(each for each in os.listdir(log) if each[:20].isdigit())
    newest = max((each[:20] for each in names if ".checkpoint." in each), default="")
    return [each for each in names if each[:20] >= newest]
