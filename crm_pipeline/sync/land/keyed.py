"""Reads unfinished records of a dataset again that has no list: only webhooks name its records.

A safety net for webhooks that were lost (vendors file 2.6). It finds no record whose first one was.
"""

import datetime as dt
from collections.abc import Iterator, Sequence

import pyarrow as pa

from crm_pipeline.core.ports import DecodedPage
from crm_pipeline.core.pulling import PullRules
from crm_pipeline.core.records import Progress, Reject
from crm_pipeline.errors import (
    ConfigurationError,
    CrmPipelineError,
    ThrottledError,
    UnreachableError,
)
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.store.ledger import CompleteRead, PullProgress, Watermark
from crm_pipeline.sync.land.hooks import land_hook_rows
from crm_pipeline.sync.land.report import PullReport, Scan
from crm_pipeline.sync.workspace import Workspace

#: How the ledger names the record that the last reading ended with.
_MODE = "keyed"
#: Failed reads in a row after which the source is taken to be down. One record may be the trouble.
_MOST_FAILURES = 3
_DUE = """
CREATE OR REPLACE TEMP TABLE due AS
SELECT id, landed_at FROM newest
WHERE coalesce(upper(status), '') NOT IN (SELECT upper(status) FROM final_states)
"""
#: Oldest first, going on after the record that the last reading ended with.
_NEXT = """
SELECT id, landed_at FROM due WHERE landed_at <= ?
ORDER BY (landed_at, id) <= (CAST(? AS TIMESTAMPTZ), CAST(? AS VARCHAR)), landed_at, id LIMIT ?
"""


def has_due(
    ws: Workspace, organisation: str, table: str, watermark: Watermark, rules: PullRules
) -> bool:
    """Whether it is time to read unfinished records again and there may be some; no call, no scan.

    The watermark's ``rows_known`` are the unfinished ones.
    """
    if not _is_time(ws, watermark, rules):
        return False
    return watermark.rows_known > 0 or ws.lake.newest_batch(organisation, table) > watermark.batch


def read_unfinished(scan: Scan, watermark: Watermark | None, *, is_forced: bool) -> PullReport:
    """Read unfinished records again, the longest unseen first, and land what changed.

    Unless ``is_forced``, nothing is read when the last reading was a moment ago. Raises what the
    source's client raises when the source is down; what was read till then is landed.
    """
    is_first = watermark is None
    if watermark is not None and not is_forced and not _is_time(scan.ws, watermark, scan.rules):
        return scan.report(is_sweep=False, is_first=False, watermark_at=watermark.at)
    scan.begin_pass()
    one = _Rereading(scan)
    batch = one.run()
    if one.trouble is None:
        read = CompleteRead(
            at=scan.started_at,
            batch=max(batch, watermark.batch if watermark else 0, one.newest_batch),
            rows=one.unfinished,
            is_sweep=True,
            recent=(),
        )
        scan.ws.ledger.watermarks.commit(*scan.names, read, expected=watermark)
    one.save_place()
    if one.trouble is not None:
        raise one.trouble
    return scan.report(is_sweep=False, is_first=is_first, watermark_at=scan.started_at)


def _is_time(ws: Workspace, watermark: Watermark, rules: PullRules) -> bool:
    return ws.clock() - watermark.committed_at >= dt.timedelta(seconds=rules.recheck_seconds)


class _Rereading:
    """One pass over the unfinished records. ``trouble`` is why it ended early."""

    def __init__(self, scan: Scan) -> None:
        self._scan = scan
        self.trouble: CrmPipelineError | None = None
        self.unfinished = 0
        self.newest_batch = 0
        self._place: tuple[dt.datetime, str] | None = None

    def run(self) -> int:
        """Read and land; return the batch of what was landed (0: nothing)."""
        scan = self._scan
        if not scan.ws.lake.exists(scan.organisation, scan.table):
            return 0
        self.newest_batch = scan.ws.lake.newest_batch(scan.organisation, scan.table)
        with scan.ws.lake.session() as session:
            due = self._due(session)
        pages = [(rows, "") for rows in self._read_all(due)]
        if not pages:
            return 0
        landed = land_hook_rows(
            scan.ws,
            scan.organisation,
            scan.source_spec,
            scan.dataset,
            pages,
            origin="pull",
            is_read=True,
        )
        scan.tally.rows_landed += landed.landed
        return landed.batch

    def save_place(self) -> None:
        """Note where the next reading goes on, so that one bad record does not hold the others."""
        if self._place is None:
            return
        landed_at, row_id = self._place
        scan = self._scan
        scan.ws.ledger.watermarks.save_progress(
            *scan.names,
            PullProgress(
                mode=_MODE,
                next_link=row_id,
                watermark_at=landed_at,
                started_at=scan.started_at,
                batch=0,
                pages=0,
                rows=scan.tally.rows_read,
            ),
        )

    def _due(self, session: LakeSession) -> Sequence[tuple[str, dt.datetime]]:
        scan, rules = self._scan, self._scan.rules
        states = sorted(scan.spec.final_states)
        session.register("final_states", pa.table({"status": pa.array(states, pa.string())}))
        session.attach_current("newest", scan.organisation, scan.table, "id")
        session.execute(_DUE)
        self.unfinished = int(session.value("SELECT count(*) FROM due"))
        before = scan.ws.ledger.watermarks.load_progress(*scan.names)
        place = (None, None) if before is None else (before.watermark_at, before.next_link)
        youngest = scan.started_at - dt.timedelta(seconds=rules.recheck_age_seconds)
        found = session.sql(_NEXT, (youngest, *place, rules.recheck_records)).read_all()
        return [(row["id"], row["landed_at"]) for row in found.to_pylist()]

    def _read_all(self, due: Sequence[tuple[str, dt.datetime]]) -> Iterator[pa.RecordBatch]:
        """Give the rows of each record that can be read; set the others aside and go on."""
        fine: list[str] = []
        failures = 0
        for row_id, landed_at in due:
            self._place = landed_at, row_id
            if self._scan.erased.has_row(self._scan.source, self._scan.dataset, {"id": row_id}):
                continue  # a lake was put back from before
            try:
                decoded = self._scan.api.read_one(self._scan.dataset, row_id)
            except CrmPipelineError as error:
                failures += error.next_step != "fix_data"
                if _is_down(error) or failures >= _MOST_FAILURES:
                    self.trouble = error
                    break
                self._set_aside(row_id, error)
                continue
            failures = 0
            fine.append(row_id)
            if decoded is not None:
                decoded = self._scan.sift(decoded)
                self._take(decoded)
                yield decoded.rows
        scan = self._scan
        scan.ws.ledger.rejects.clear(scan.organisation, scan.source, "land", fine, scan.dataset)

    def _take(self, decoded: DecodedPage) -> None:
        scan = self._scan
        scan.tally.rows_read += decoded.row_count
        scan.tally.rejects += len(decoded.rejects)
        scan.ws.ledger.rejects.add(scan.organisation, scan.source, decoded.rejects)
        done = Progress(stage="pull", done=scan.tally.rows_read, total=None, unit="rows")
        scan.ws.report_progress(done)

    def _set_aside(self, row_id: str, error: CrmPipelineError) -> None:
        scan = self._scan
        scan.tally.rejects += 1
        reject = Reject(
            stage="land",
            dataset=scan.dataset,
            key=row_id,
            reason=error.code,
            detail="The record could not be read again; the newest version that landed stays.",
            payload="",
        )
        scan.ws.ledger.rejects.add(scan.organisation, scan.source, [reject])


def _is_down(error: CrmPipelineError) -> bool:
    """Whether an error is about the source and not about one record."""
    return isinstance(error, ConfigurationError | ThrottledError | UnreachableError)
