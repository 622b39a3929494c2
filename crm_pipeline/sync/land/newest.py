"""The incremental pull: from the newest row down to what is known."""

import datetime as dt

import pyarrow as pa

from crm_pipeline.core.ports import DecodedPage
from crm_pipeline.core.pulling import (
    is_suspiciously_short,
    may_stop,
    next_watermark,
    stop_floor,
)
from crm_pipeline.store.ledger import CompleteRead, Watermark
from crm_pipeline.sync.land.ending import check_end, walk_to_end
from crm_pipeline.sync.land.known import Known
from crm_pipeline.sync.land.recent import Recent, fresh_mask, is_known, is_stale, marks_of
from crm_pipeline.sync.land.report import PullReport, Scan
from crm_pipeline.sync.land.stamping import Stamped, keep_newest
from crm_pipeline.sync.land.walking import Step

#: More new rows than this are compared with the lake as a set, not one by one; so are rows without
#: a time, which have to rank above what the lake holds of them.
SET_ROWS = 5_000


def pull_newest(scan: Scan, watermark: Watermark) -> PullReport:
    """Land what is new since a watermark and move it. A quiet one reads one page, writes nothing.

    What webhooks have landed already moves the watermark too, or each pull would read further.

    Pages after the first are rare here, so the walk is careful: it reads each page again after
    its successor, which finds rows that a deletion moved over the border between them.
    """
    return _Newest(scan, watermark).pull()


class _Newest:
    def __init__(self, scan: Scan, watermark: Watermark) -> None:
        self._scan = scan
        self._watermark = watermark
        self._floor = stop_floor(watermark.at, scan.rules.overlap)
        self._known = scan.ws.ledger.watermarks.recent(*scan.names)
        self._fixed: dt.datetime | None = None
        self._stamped: list[Stamped] = []
        self._waiting: list[tuple[pa.RecordBatch, str]] = []
        self._batch = 0

    def pull(self) -> PullReport:
        """Read, land, commit."""
        self._scan.begin_pass()
        has_ended = self._read()
        self._land()
        if has_ended:
            self._check_whole()
        at = _later(self._fixed, self._watermark.at)
        if self._batch or at != self._watermark.at:
            self._commit(at)
        return self._scan.report(is_sweep=False, is_first=False, watermark_at=at)

    def _read(self) -> bool:
        """Read down to the floor; return whether the list ended before it."""
        for step in walk_to_end(self._scan, is_careful=True):
            decoded = self._scan.decode(step.page)
            self._scan.take(decoded, is_again=step.is_again)
            times = self._scan.times_of(decoded.rows)
            self._keep(decoded, times, step)
            if step.is_again:
                continue
            if step.link is None:
                self._fix(times, step)
            if may_stop(times.to_pylist(), self._floor):
                return False
        return True

    def _fix(self, times: pa.Array, step: Step) -> None:
        now = step.page.server_date or self._scan.started_at
        self._fixed = next_watermark(times.to_pylist(), now)

    def _keep(self, decoded: DecodedPage, times: pa.Array, step: Step) -> None:
        fresh = decoded.rows.filter(fresh_mask(times, self._floor))
        if fresh.num_rows:
            self._waiting.append((fresh, step.page.digest))
        if len(self._waiting) >= self._scan.rules.group_pages:
            self._land()

    def _land(self) -> None:
        """Append what differs from what is known of it."""
        if not self._waiting:
            return
        landed_at = self._scan.started_at
        stamped = keep_newest(
            self._scan.stamp(self._waiting, origin="pull", landed_at=landed_at, session=None)
        )
        self._waiting = []
        self._scan.tally.times_unreadable += stamped.unreadable
        self._scan.tally.times_in_future += stamped.in_future
        new = self._drop_recent(stamped)
        is_set = new.rows.num_rows > SET_ROWS or new.rows.column("version_at").null_count > 0
        rows = self._drop_landed(new) if is_set else new.rows
        self._batch = self._scan.land(rows) or self._batch
        self._stamped.append(stamped)

    def _drop_recent(self, stamped: Stamped) -> Stamped:
        mask = []
        for row_id, mark in marks_of(stamped.rows):
            known = self._known.get(row_id)
            is_old = is_stale(mark, known)
            self._scan.tally.rows_stale += is_old
            mask.append(not is_old and not is_known(mark, known))
        return stamped.filter(pa.array(mask, pa.bool_()))

    def _drop_landed(self, stamped: Stamped) -> pa.Table:
        with self._scan.ws.lake.session() as session:
            changed = Known(self._scan, session).changed(stamped)
        rows = changed.not_older()
        self._scan.tally.rows_stale += changed.rows.num_rows - rows.num_rows
        return rows

    def _check_whole(self) -> None:
        scan, known = self._scan, self._watermark.rows_known
        check_end(scan, self._watermark)
        if is_suspiciously_short(scan.pass_rows, known, scan.rules.min_share):
            raise scan.unstable(f"it gave {scan.pass_rows:,} rows; {known:,} are known.")

    def _commit(self, at: dt.datetime | None) -> None:
        recent = Recent(stop_floor(at, self._scan.rules.overlap), self._known)
        for stamped in self._stamped:
            recent.see(stamped.rows, stamped.times)
        recent.carry()
        read = CompleteRead(
            at=at,
            batch=self._batch or self._watermark.batch,
            rows=self._scan.pass_rows,
            is_sweep=False,
            recent=recent.marks.items(),
        )
        self._scan.ws.ledger.watermarks.commit(*self._scan.names, read, expected=self._watermark)


def _later(left: dt.datetime | None, right: dt.datetime | None) -> dt.datetime | None:
    return max((time for time in (left, right) if time is not None), default=None)
