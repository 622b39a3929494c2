"""Whole scans: the first load, and sweeps that are repeated until they add nothing.

A page is fetched, the one before it decoded and the group before that written, all at once, in
three threads and in memory bounded by two groups of pages.
"""

import datetime as dt
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Self

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.core.pulling import (
    is_settled,
    is_suspiciously_short,
    next_watermark,
    stop_floor,
)
from crm_pipeline.core.times import TIME_TYPE
from crm_pipeline.errors import SourceUnstableError
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.store.ledger import CompleteRead, PullProgress, Watermark
from crm_pipeline.sync.land.ending import NOTES, check_emptiness, check_end, walk_to_end
from crm_pipeline.sync.land.known import Changed, Known
from crm_pipeline.sync.land.missing import Sightings
from crm_pipeline.sync.land.recent import Recent
from crm_pipeline.sync.land.report import PullReport, Scan
from crm_pipeline.sync.land.stamping import Origin, Stamped, keep_newest
from crm_pipeline.sync.land.walking import Step, ahead, collector_off

FIRST_LOAD = "first_load"
#: An unfinished first load older than this starts anew: its link may lead anywhere by now.
_PROGRESS_LIFE = dt.timedelta(days=1)

Group = list[tuple[pa.RecordBatch, str]]


def first_load(scan: Scan) -> PullReport:
    """Read everything once, going on where a killed load stopped, and set the watermark."""
    progress = _usable_progress(scan)
    try:
        return _load(scan, progress)
    except SourceUnstableError:
        if progress is None:
            raise
        scan.ws.ledger.watermarks.clear_progress(*scan.names)
        return _load(scan, None)


def _load(scan: Scan, progress: PullProgress | None) -> PullReport:
    with _Pass.opened(scan, origin="pull", progress=progress) as one:
        one.run(start=progress.next_link if progress else None)
        check_end(scan, None, is_resumed=progress is not None)
        rows = scan.pass_rows + (progress.rows if progress else 0)
        if rows == 0 and one.known_rows:
            raise scan.unstable(f"it gave no rows; {one.known_rows:,} are known.")
        at = one.fixed if scan.spec.reading == "newest_first" else scan.started_at
        one.commit(None, at, rows, is_sweep=False)
    return scan.report(is_sweep=True, is_first=True, watermark_at=at)


def read_whole(scan: Scan, watermark: Watermark) -> PullReport:
    """Read every page once and land what is new or differs. Nobody is taken for gone.

    The watermark is the time of this reading; a list that is suddenly empty has to be so twice.
    """
    with _Pass.opened(scan, origin="pull", expected=watermark) as one:
        one.run(start=None)
        check_end(scan, watermark)
        check_emptiness(scan, watermark)
        one.commit(watermark, scan.started_at, scan.pass_rows, is_sweep=True)
    return scan.report(is_sweep=True, is_first=False, watermark_at=scan.started_at)


def sweep(scan: Scan, watermark: Watermark) -> PullReport:
    """Read everything until passes in a row find nothing that an earlier one should have had.

    Rows changed since the pass before are ordinary changes and do not count. Known ids that no
    pass has seen are recorded as missing, after the watermark: a killed sweep marks nobody.
    """
    rules = scan.rules
    late: list[int] = []
    with _Pass.opened(scan, origin="sweep", expected=watermark) as one:
        while not is_settled(late, rules.clean_sweeps):
            if len(late) >= rules.max_sweeps:
                raise scan.unstable(f"{len(late)} whole scans each found rows that others missed.")
            late.append(one.run(start=None))
            check_end(scan, watermark)
            if is_suspiciously_short(scan.pass_rows, watermark.rows_known, rules.min_share):
                known = watermark.rows_known
                raise scan.unstable(f"it gave {scan.pass_rows:,} rows; {known:,} are known.")
        at = one.fixed or watermark.at
        one.commit(watermark, at, scan.pass_rows, is_sweep=True)
        one.record_missing()
    return scan.report(is_sweep=True, is_first=False, watermark_at=at)


def _usable_progress(scan: Scan) -> PullProgress | None:
    progress = scan.ws.ledger.watermarks.load_progress(*scan.names)
    if progress is None or progress.mode in NOTES:
        return None
    is_young = scan.started_at - progress.started_at < _PROGRESS_LIFE
    return progress if is_young else None


class _Pass:
    """One or more passes through a whole list, with their threads and their DuckDB."""

    def __init__(
        self,
        scan: Scan,
        session: LakeSession,
        *,
        origin: Origin,
        expected: Watermark | None,
        progress: PullProgress | None,
    ) -> None:
        self._scan = scan
        self._session = session
        self._origin: Origin = origin
        self._base = expected.at if expected else None
        self._progress = progress
        self._is_first = expected is None
        self._known = self._load_known()
        self._is_newest_first = scan.spec.reading == "newest_first"
        is_sweep = self._is_newest_first and expected is not None and self._known is not None
        self._sightings = Sightings(scan, session) if is_sweep else None
        self.known_rows = self._known.count if self._known else 0
        self.fixed = progress.watermark_at if progress else None
        self._batch = progress.batch if progress else expected.batch if expected else 0
        self._recent = Recent(None)
        self._lowered: list[Changed] = []
        self._late = 0
        self._stack = ExitStack()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="pull-write")
        self._writing: Future[None] | None = None

    @classmethod
    def opened(
        cls,
        scan: Scan,
        *,
        origin: Origin,
        expected: Watermark | None = None,
        progress: PullProgress | None = None,
    ) -> Self:
        """Return a pass with a lake session of its own, which it closes."""
        with ExitStack() as stack:
            session = stack.enter_context(scan.ws.lake.session())
            one = cls(scan, session, origin=origin, expected=expected, progress=progress)
            one._stack = stack.pop_all()
        return one

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._writer.shutdown(wait=True)
        self._stack.close()

    def _load_known(self) -> Known | None:
        """What the lake holds; None when it holds nothing, so that nothing has to be compared."""
        scan = self._scan
        if scan.ws.lake.row_count(scan.organisation, scan.table) == 0:
            return None
        return Known(scan, self._session)

    def run(self, start: str | None) -> int:
        """Read from ``start`` to the end and land; return how many rows were found too late."""
        self._scan.begin_pass()
        self._late = 0
        self._recent = Recent(None)
        group: Group = []
        pass_fixed: dt.datetime | None = None
        with collector_off():
            for step in walk_to_end(self._scan, start, reading=ahead):
                decoded = self._scan.decode(step.page)
                self._scan.take(decoded)
                if step.link is None:
                    pass_fixed = self._fix(decoded.rows, step)
                group.append((decoded.rows, step.page.digest))
                if len(group) >= self._scan.rules.group_pages:
                    self._write(group, step)
                    group = []
            self._write(group, None)
            self._finish()
        if start is None:
            self._base, self.fixed = pass_fixed or self._base, pass_fixed
        return self._late

    def _fix(self, rows: pa.RecordBatch, step: Step) -> dt.datetime | None:
        times = self._scan.times_of(rows).to_pylist()
        fixed = next_watermark(times, step.page.server_date or self._scan.started_at)
        self._recent = Recent(stop_floor(fixed, self._scan.rules.overlap))
        if self._is_first:
            self.fixed = fixed
        return fixed

    def _write(self, group: Group, step: Step | None) -> None:
        """Hand a group to the writer as soon as it is done with the one before."""
        self._await_writer()
        if group:
            pages, rows = self._scan.pass_pages, self._scan.pass_rows
            self._writing = self._writer.submit(self._land, group, step, pages, rows)

    def _await_writer(self) -> None:
        if self._writing is not None:
            self._writing.result()
            self._writing = None

    def _land(self, group: Group, step: Step | None, pages: int, rows: int) -> None:
        """Append a group's new and changed rows; in a first load, note how far it came."""
        landed_at = self._scan.ws.clock()
        stamped = keep_newest(
            self._scan.stamp(group, origin=self._origin, landed_at=landed_at, session=self._session)
        )
        self._scan.tally.times_unreadable += stamped.unreadable
        self._scan.tally.times_in_future += stamped.in_future
        self._recent.see(stamped.rows, stamped.times)
        self._batch = self._scan.land(self._changed(stamped)) or self._batch
        if self._is_first and step is not None and step.page.next_link is not None:
            self._save_progress(step.page.next_link, pages, rows)

    def _changed(self, stamped: Stamped) -> pa.Table:
        if self._known is None:
            return stamped.rows
        if self._sightings is not None:
            self._sightings.see(stamped.rows)
        changed = self._known.changed(stamped)
        if self._is_newest_first:
            self._count_late(changed)
        if pc.any(changed.is_older).as_py():
            self._lowered.append(changed)
        return changed.not_older()

    def _count_late(self, changed: Changed) -> None:
        """Count the rows that the pass before should have had."""
        late = pc.is_null(changed.times)
        if self._base is not None:
            base = pa.scalar(self._base, TIME_TYPE)
            at_base = pc.and_(pc.equal(changed.times, base), changed.is_new)
            missed = pc.or_(pc.less(changed.times, base), at_base)
            late = pc.or_(late, pc.fill_null(missed, False))
        count = pc.sum(late).as_py() or 0
        self._late += count
        self._scan.tally.rows_late += count

    def _finish(self) -> None:
        """Wait for the writer; then, the scan being complete, take older versions as true."""
        self._await_writer()
        lowered, self._lowered = self._lowered, []
        for changed in lowered:
            rows = changed.lowered(self._scan.started_at, self._scan.rules.overlap)
            self._scan.tally.rows_stale += pc.sum(changed.is_older).as_py() - rows.num_rows
            self._batch = self._scan.land(rows) or self._batch

    def _save_progress(self, link: str, pages: int, rows: int) -> None:
        before = self._progress
        self._scan.ws.ledger.watermarks.save_progress(
            *self._scan.names,
            PullProgress(
                mode=FIRST_LOAD,
                next_link=link,
                watermark_at=self.fixed,
                started_at=before.started_at if before else self._scan.started_at,
                batch=self._batch,
                pages=pages + (before.pages if before else 0),
                rows=rows + (before.rows if before else 0),
            ),
        )

    def commit(
        self, expected: Watermark | None, at: dt.datetime | None, rows: int, *, is_sweep: bool
    ) -> None:
        """Move the watermark, now that everything is durably landed."""
        read = CompleteRead(
            at=at,
            batch=self._batch,
            rows=rows,
            is_sweep=is_sweep,
            recent=self._recent.marks.items(),
        )
        self._scan.ws.ledger.watermarks.commit(*self._scan.names, read, expected=expected)

    def record_missing(self) -> None:
        """Record the known ids that were not seen, the sweep being complete and committed."""
        if self._sightings is not None:
            is_certain = not self._scan.tally.rejects
            self._sightings.record(self._scan.started_at, is_certain=is_certain)
