"""One pull: the newest rows since the watermark, everything, lists of people, or single records."""

from typing import Literal

from crm_pipeline.core.ports import SourceApi, SourceSpec
from crm_pipeline.core.pulling import PullRules
from crm_pipeline.sync.land.keyed import read_unfinished
from crm_pipeline.sync.land.lists import read_lists
from crm_pipeline.sync.land.newest import pull_newest
from crm_pipeline.sync.land.report import PullReport, Scan
from crm_pipeline.sync.land.sweeping import first_load, read_whole, sweep
from crm_pipeline.sync.workspace import Workspace


def pull(
    ws: Workspace,
    organisation: str,
    source: SourceSpec,
    api: SourceApi,
    dataset: str,
    *,
    mode: Literal["incremental", "sweep"],
    rules: PullRules,
) -> PullReport:
    """Read a dataset and land it; then, and only if the scan was complete, move the watermark.

    ``incremental`` reads from the newest row down to what is known; without a watermark it is a
    first load, which goes on where a killed one stopped. ``sweep`` reads everything, again and
    again until passes add nothing. A dataset that is not newest first is read its own way
    (``core.ports.Reading``), whatever the mode; only records of a ``keyed`` one that were read a
    moment ago are left to a later incremental pull. The caller holds the organisation's lease.

    Raises SourceUnstableError when the source cannot be trusted (what was read is kept), and
    whatever the source's client raises; the watermark has not moved then.
    """
    scan = Scan(ws, organisation, source, api, dataset, rules)
    watermark = ws.ledger.watermarks.get(*scan.names)
    if scan.spec.reading == "lists":
        return read_lists(scan, watermark)
    if scan.spec.reading == "keyed":
        return read_unfinished(scan, watermark, is_forced=mode == "sweep")
    if watermark is None:
        return first_load(scan)
    if scan.spec.reading == "whole":
        return read_whole(scan, watermark)
    return sweep(scan, watermark) if mode == "sweep" else pull_newest(scan, watermark)
