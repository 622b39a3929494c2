"""A cheap look at the first page: is there anything that the last pull has not seen?"""

import datetime as dt
from dataclasses import dataclass
from hashlib import blake2b

import pyarrow as pa

from crm_pipeline.core.ports import DecodedPage, SourceApi, SourceSpec
from crm_pipeline.core.pulling import PullRules, stop_floor
from crm_pipeline.core.times import parse_times
from crm_pipeline.store.ledger import Watermark
from crm_pipeline.sync.erase.checking import erased_of
from crm_pipeline.sync.land.keyed import has_due
from crm_pipeline.sync.land.recent import fresh_mask, is_known, is_stale, marks_of
from crm_pipeline.sync.land.report import landed_table
from crm_pipeline.sync.land.stamping import stamp
from crm_pipeline.sync.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class PeekReport:
    """What a look at the first page saw; true when there is something to pull.

    ``version`` names what is new: the same sight has the same name.
    """

    has_news: bool
    rows: int
    version: str

    def __bool__(self) -> bool:
        return self.has_news


def peek(
    ws: Workspace,
    organisation: str,
    source: SourceSpec,
    api: SourceApi,
    dataset: str,
    rules: PullRules,
) -> PeekReport:
    """Say whether a pull would land something. Writes nothing.

    Of a newest-first dataset the first page is read. One that is read whole or list by list has no
    cheap look: it has news before its first pull only, and a schedule asks for the others. A keyed
    one has news when unfinished records are due to be read again.
    """
    names = organisation, source.name, dataset
    watermark = ws.ledger.watermarks.get(*names)
    if watermark is None:
        return PeekReport(has_news=True, rows=0, version="first")
    if source.datasets[dataset].reading != "newest_first":
        is_due = source.datasets[dataset].reading == "keyed" and has_due(
            ws, organisation, landed_table(source.name, dataset), watermark, rules
        )
        version = f"due:{watermark.version}" if is_due else ""
        return PeekReport(has_news=is_due, rows=0, version=version)
    return _look(ws, names, source, api, watermark, rules)


def _look(
    ws: Workspace,
    names: tuple[str, str, str],
    source: SourceSpec,
    api: SourceApi,
    watermark: Watermark,
    rules: PullRules,
) -> PeekReport:
    """Compare the first page with the rows that the next pull will see again."""
    dataset = names[2]
    page = api.decode(dataset, api.first_page(dataset))
    page, _ = erased_of(ws, names[0]).page(source.name, dataset, page)
    version_column = source.datasets[dataset].version_column
    fresh = _fresh_rows(page, version_column, stop_floor(watermark.at, rules.overlap))
    if not fresh.num_rows:
        is_empty = page.row_count == 0 and watermark.rows_known > 0
        return PeekReport(has_news=is_empty, rows=0, version="empty" if is_empty else "")
    known = ws.ledger.watermarks.recent(*names)
    stamped = stamp(
        [(fresh, "")],
        version_column=version_column,
        origin="pull",
        landed_at=ws.clock(),
        session=None,
    )
    new = sorted(
        (row_id, mark)
        for row_id, mark in marks_of(stamped.rows)
        if not is_known(mark, known.get(row_id)) and not is_stale(mark, known.get(row_id))
    )
    digest = blake2b("\n".join("".join(pair) for pair in new).encode(), digest_size=16)
    return PeekReport(has_news=bool(new), rows=len(new), version=digest.hexdigest() if new else "")


def _fresh_rows(
    page: DecodedPage, version_column: str, floor: dt.datetime | None
) -> pa.RecordBatch:
    """Return a page's rows that are not older than the floor, or that have no time."""
    times = parse_times(page.rows.column(version_column)).values
    return page.rows.filter(fresh_mask(times, floor))
