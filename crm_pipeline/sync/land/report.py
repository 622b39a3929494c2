"""What one pull did, and the scan that it is about."""

import datetime as dt
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import Protocol

import pyarrow as pa

from crm_pipeline.core.ports import DatasetSpec, DecodedPage, Page, SourceApi, SourceSpec
from crm_pipeline.core.pulling import PullRules
from crm_pipeline.core.records import Progress
from crm_pipeline.core.times import parse_times
from crm_pipeline.errors import SourceUnstableError
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.sync.erase.checking import erased_of
from crm_pipeline.sync.land.stamping import Origin, Stamped, stamp
from crm_pipeline.sync.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class PullReport:
    """What one pull did, in counts.

    ``rows_read`` counts rows as they came, repeated ones too; ``rows_landed`` those that were new
    or changed. ``rows_late`` were found by a sweep although an earlier scan should have had them.
    ``rows_stale`` were older than what is landed already. ``times_unreadable`` and
    ``times_in_future`` are rows whose own time cannot be right. ``added`` and ``removed`` count
    memberships of lists; ``lists_reported`` gives, for each list with which something is wrong, a
    stable reason. ``erased`` counts records of erased people, which never land again.
    """

    is_sweep: bool
    is_first: bool
    pages: int
    passes: int
    rows_read: int
    rows_landed: int
    rows_late: int
    rejects: int
    rows_stale: int
    times_unreadable: int
    times_in_future: int
    watermark_at: dt.datetime | None
    seconds: float
    added: int = 0
    removed: int = 0
    lists_reported: Mapping[str, str] = field(default_factory=dict)
    erased: int = 0


def landed_table(source: str, dataset: str) -> str:
    """Return the name of the lake table that a dataset lands in."""
    return f"landed/{source}/{dataset}"


def append_batch(ws: Workspace, organisation: str, table: str, rows: pa.Table) -> int:
    """Append stamped rows in one commit under a new batch number; return the number."""
    batch = ws.ledger.watermarks.next_batch(organisation)
    column = pa.repeat(pa.scalar(batch, pa.int64()), rows.num_rows)
    place = rows.schema.get_field_index("fingerprint") + 1
    numbered = rows.add_column(place, pa.field("batch", pa.int64()), column)
    ws.lake.append(organisation, table, numbered.to_reader())
    return batch


@dataclass(slots=True, kw_only=True)
class Tally:
    """The counts of a pull while it runs."""

    pages: int = 0
    passes: int = 0
    rows_read: int = 0
    rows_landed: int = 0
    rows_late: int = 0
    rows_stale: int = 0
    rejects: int = 0
    times_unreadable: int = 0
    times_in_future: int = 0
    added: int = 0
    removed: int = 0
    lists_reported: dict[str, str] = field(default_factory=dict)
    erased: int = 0


class Pages(Protocol):
    """What a walk from page to page needs of a source."""

    def first_page(self, dataset: str) -> Page:
        """Read the first page."""
        ...

    def next_page(self, link: str) -> Page:
        """Follow a next link unchanged."""
        ...


class Scan:
    """One dataset of one organisation while it is pulled: where it goes and what it came to."""

    def __init__(
        self,
        ws: Workspace,
        organisation: str,
        source: SourceSpec,
        api: SourceApi,
        dataset: str,
        rules: PullRules,
    ) -> None:
        self.ws = ws
        self.organisation = organisation
        self.source = source.name
        self.source_spec = source
        self.spec: DatasetSpec = source.datasets[dataset]
        self.api = api
        self.pages: Pages = api
        self.rules = rules
        self.table = landed_table(source.name, dataset)
        self.started_at = ws.clock()
        self.tally = Tally()
        self.erased = erased_of(ws, organisation)
        self._page_rows: list[int] = []

    def part(self, pages: Pages) -> "Scan":
        """Return the same scan for one part of the dataset, which is read from ``pages``."""
        part = copy(self)
        part.pages = pages
        part._page_rows = []
        return part

    @property
    def dataset(self) -> str:
        """The dataset's name."""
        return self.spec.name

    @property
    def names(self) -> tuple[str, str, str]:
        """Organisation, source and dataset: how the ledger names the scan."""
        return self.organisation, self.source, self.dataset

    def decode(self, page: Page) -> DecodedPage:
        """Return a page as columns, without erased people."""
        return self.sift(self.api.decode(self.dataset, page))

    def sift(self, decoded: DecodedPage) -> DecodedPage:
        """Return what was read without erased people, and count them."""
        sifted, erased = self.erased.page(self.source, self.dataset, decoded)
        self.tally.erased += erased
        return sifted

    def times_of(self, rows: pa.RecordBatch) -> pa.Array:
        """Return the source's own time of each row's version; null where there is none."""
        return parse_times(rows.column(self.spec.version_column)).values

    def stamp(
        self,
        pages: Sequence[tuple[pa.RecordBatch, str]],
        *,
        origin: Origin,
        landed_at: dt.datetime,
        session: LakeSession | None,
    ) -> Stamped:
        """Return pages of the dataset with the columns that landing adds (see ``stamping``)."""
        return stamp(
            pages,
            version_column=self.spec.version_column,
            origin=origin,
            landed_at=landed_at,
            session=session,
        )

    def begin_pass(self) -> None:
        """Count a pass through the list."""
        self.tally.passes += 1
        self._page_rows = []

    def take(self, decoded: DecodedPage, *, is_again: bool = False) -> None:
        """Count a page and set its unusable records aside."""
        self.tally.pages += 1
        self.tally.rows_read += decoded.row_count
        self.tally.rejects += len(decoded.rejects)
        if not is_again:
            self._page_rows.append(decoded.row_count)
        self.ws.ledger.rejects.add(self.organisation, self.source, decoded.rejects)
        self.ws.report_progress(
            Progress(stage="pull", done=self.tally.rows_read, total=None, unit="rows")
        )

    @property
    def pass_rows(self) -> int:
        """Rows that this pass has read."""
        return sum(self._page_rows)

    @property
    def pass_pages(self) -> int:
        """Pages that this pass has read."""
        return len(self._page_rows)

    @property
    def is_last_page_full(self) -> bool:
        """Whether the newest page has as many rows as a page that is not the last."""
        *before, last = self._page_rows
        return last >= (max(before) if before else self.spec.page_size) > 0

    def land(self, rows: pa.Table) -> int:
        """Append rows in one commit under a new batch number; return the number (0: no rows)."""
        if not rows.num_rows:
            return 0
        batch = append_batch(self.ws, self.organisation, self.table, rows)
        self.tally.rows_landed += rows.num_rows
        return batch

    def unstable(self, happened: str) -> SourceUnstableError:
        """Return the error of a scan that cannot be trusted; what was landed stays."""
        return SourceUnstableError(
            f"{self.source}/{self.dataset} of {self.organisation}: {happened}",
            not_done="What was read is kept, nobody was removed, and the watermark was not moved.",
            remedy="Run again; if it stays, ask the vendor.",
        )

    def report(
        self, *, is_sweep: bool, is_first: bool, watermark_at: dt.datetime | None
    ) -> PullReport:
        """Return the counts as they are now."""
        tally = self.tally
        return PullReport(
            is_sweep=is_sweep,
            is_first=is_first,
            pages=tally.pages,
            passes=tally.passes,
            rows_read=tally.rows_read,
            rows_landed=tally.rows_landed,
            rows_late=tally.rows_late,
            rows_stale=tally.rows_stale,
            rejects=tally.rejects,
            times_unreadable=tally.times_unreadable,
            times_in_future=tally.times_in_future,
            watermark_at=watermark_at,
            seconds=(self.ws.clock() - self.started_at).total_seconds(),
            added=tally.added,
            removed=tally.removed,
            lists_reported=dict(tally.lists_reported),
            erased=tally.erased,
        )
