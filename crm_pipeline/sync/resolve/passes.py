"""What resolving has in common for every kind that is made row by row from one landed dataset.

Here: how far it came, full or incremental, batches, setting records aside. Not here: what a record
becomes (``purchases``, ``memberships``, ``products``).
"""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa

from crm_pipeline.core.records import Progress, Reject
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.sync.erase.checking import Erased, erased_of
from crm_pipeline.sync.land.report import landed_table
from crm_pipeline.sync.resolve.tables import DESIRED_SCHEMA, ResolveReport, to_desired
from crm_pipeline.sync.workspace import Workspace

Row = Mapping[str, Any]
#: Rows of desired objects written as one batch.
GROUP_ROWS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage of resolving: its name in the ledger, what it reads, and what it writes.

    ``version`` names the rules: objects made by other rules are made anew.
    """

    name: str
    source: str
    dataset: str
    table: str
    version: str


@dataclass(slots=True)
class Pass:
    """One pass of a stage for one organisation while it runs."""

    ws: Workspace
    organisation: str
    stage: Stage
    is_full: bool = False
    position: int = 0
    newest: int = 0
    batch: int = 0
    rows: int = 0
    issues: Counter[str] = field(default_factory=Counter)
    rejects: dict[str, Reject] = field(default_factory=dict)
    erased: Erased = field(init=False)

    def __post_init__(self) -> None:
        """Learn who was erased: a lake that was put back from before may hold them."""
        self.erased = erased_of(self.ws, self.organisation)

    @property
    def landed(self) -> str:
        """The lake table that is read."""
        return landed_table(self.stage.source, self.stage.dataset)

    def begin(self, *, is_full: bool) -> bool:
        """Find out what there is to do; return whether there is anything."""
        ws, organisation = self.ws, self.organisation
        self.position = ws.ledger.stages.position(organisation, self.stage.name)
        self.newest = ws.lake.newest_batch(organisation, self.landed)
        if not self.newest:
            return False
        is_same = ws.ledger.stages.is_made_by(organisation, self.stage.name, self.stage.version)
        self.is_full = is_full or not is_same
        if self.newest <= self.position and not self.is_full:
            return False
        self.batch = ws.ledger.watermarks.next_batch(organisation)
        return True

    def current(self, session: LakeSession, columns: Sequence[str], where: str = "") -> str:
        """Make the newest version of each fresh record visible; return the query for them."""
        since = None if self.is_full else self.position
        session.attach_current("fresh", self.organisation, self.landed, "id", since)
        names = ", ".join(f'"{name}"' for name in columns)
        return f"SELECT {names} FROM fresh {where}"  # noqa: S608  our own names

    def write(
        self,
        table: str,
        groups: Iterator[Sequence[dict[str, Any]]],
        *,
        is_replacing: bool = True,
    ) -> None:
        """Write desired objects: replace the table in a full pass, else append to it.

        A table that several stages share is replaced by the first of them only.
        """
        lake = self.ws.lake
        is_anew = self.is_full and is_replacing
        put = lake.replace if is_anew else lake.append
        first = next(groups, None)
        if first is None and not (is_anew and lake.exists(self.organisation, table)):
            return
        put(self.organisation, table, self._reader(first or (), groups))

    def _reader(
        self, first: Sequence[dict[str, Any]], groups: Iterator[Sequence[dict[str, Any]]]
    ) -> pa.RecordBatchReader:
        def batches() -> Iterator[pa.RecordBatch]:
            yield to_desired(first, self.stage.version, self.batch)
            for rows in groups:
                yield to_desired(rows, self.stage.version, self.batch)

        return pa.RecordBatchReader.from_batches(DESIRED_SCHEMA, batches())

    def count(self, rows: int) -> None:
        """Count objects and tell how far the pass is."""
        self.rows += rows
        self.ws.report_progress(
            Progress(stage="resolve", done=self.rows, total=None, unit=self.stage.dataset)
        )

    def left_out(self, before: int, after: int) -> None:
        """Count records of erased people that were left out."""
        if before > after:
            self.issues["erased"] += before - after

    def reject(self, key: str, row: Row, reason: str, detail: str) -> None:
        """Set a record aside for a person to look at."""
        self.rejects[key] = Reject(
            stage="resolve",
            dataset=self.stage.dataset,
            key=key,
            reason=reason,
            detail=detail,
            payload=msgspec.json.encode(row).decode(),
        )

    def end(self, seen: Collection[str]) -> ResolveReport:
        """Store what was set aside, forget what is fine by now, and note how far the pass came."""
        ws, organisation, party = self.ws, self.organisation, self.stage.source
        ws.ledger.rejects.add(organisation, party, list(self.rejects.values()))
        names = ws.ledger.rejects.names(organisation, party, "resolve")
        once = {key for dataset, key in names if dataset == self.stage.dataset}
        fine = once.intersection(seen) - self.rejects.keys()
        if fine:
            ws.ledger.rejects.clear(organisation, party, "resolve", fine, self.stage.dataset)
        ws.ledger.stages.set_made_by(organisation, self.stage.name, self.stage.version)
        ws.ledger.stages.advance(organisation, self.stage.name, self.newest)
        return self.report()

    def report(self) -> ResolveReport:
        """Return what the pass did so far."""
        exists = self.batch and self.ws.lake.exists(self.organisation, self.stage.table)
        return ResolveReport(
            is_full=self.is_full,
            rows=self.rows,
            rejects=len(self.rejects),
            consents=0,
            issues=dict(self.issues.most_common()),
            batch=self.batch,
            size_bytes=self.ws.lake.size_bytes(self.organisation, self.stage.table)
            if exists
            else 0,
            seconds=0.0,
        )
