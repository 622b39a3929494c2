"""Whether the end of a list is its end.

A page that is full and names no next one is suspicious: either the list ends exactly there, or
the header got lost (``FAULTS.md`` P16). It is read once more. Where the source has named next
pages before in the same walk, its silence is then believed. Where the only page is full, a second
pull has to see the same before it is believed.
"""

from collections.abc import Callable, Iterator

from crm_pipeline.core.paging import LinkTrail
from crm_pipeline.store.ledger import PullProgress, Watermark
from crm_pipeline.sync.land.report import Scan
from crm_pipeline.sync.land.walking import Step, fetch, walk

#: How the ledger names a first load that ended in a single full page.
FULL_PAGE = "full_page"


def walk_to_end(
    scan: Scan,
    start: str | None = None,
    *,
    is_careful: bool = False,
    reading: Callable[[Iterator[Step]], Iterator[Step]] = iter,
) -> Iterator[Step]:
    """Give the pages from ``start`` to the end, past a lost header.

    The caller passes each page to ``Scan.take`` before it asks for the next.
    """
    trail = LinkTrail()
    link = start
    while True:
        steps = walk(scan.api, scan.dataset, link, trail=trail, is_careful=is_careful)
        last = None
        for step in reading(steps):
            last = step if not step.is_again else last
            yield step
        if last is None or not scan.is_last_page_full:
            return
        again = fetch(scan.api, scan.dataset, last.link)
        if again.next_link is None:
            return
        trail.follow(again.next_link)
        link = again.next_link


def check_end(scan: Scan, watermark: Watermark | None, *, is_resumed: bool = False) -> None:
    """Raise SourceUnstableError when a scan that read to the end cannot have seen everything."""
    if not scan.is_last_page_full or scan.pass_pages > 1 or is_resumed:
        return
    if watermark is not None:
        is_believed = watermark.rows_known <= scan.pass_rows
    else:
        is_believed = _was_seen_before(scan)
    if not is_believed:
        raise scan.unstable("the only page is full and names no next page.")


def _was_seen_before(scan: Scan) -> bool:
    """Whether an earlier first load ended alike; notes that this one did."""
    watermarks = scan.ws.ledger.watermarks
    earlier = watermarks.load_progress(*scan.names)
    watermarks.save_progress(
        *scan.names,
        PullProgress(
            mode=FULL_PAGE,
            next_link="",
            watermark_at=None,
            started_at=scan.started_at,
            batch=0,
            pages=1,
            rows=scan.pass_rows,
        ),
    )
    return earlier is not None and earlier.mode == FULL_PAGE
