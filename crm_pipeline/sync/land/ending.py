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

#: How the ledger names a first load that ended in a single full page, and an empty reading.
FULL_PAGE, EMPTY = "full_page", "empty"
#: What is noted where an unfinished read would be: there is nothing to go on from.
NOTES = frozenset({FULL_PAGE, EMPTY})


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
        steps = walk(scan.pages, scan.dataset, link, trail=trail, is_careful=is_careful)
        last = None
        for step in reading(steps):
            last = step if not step.is_again else last
            yield step
        if last is None or not scan.is_last_page_full:
            return
        again = fetch(scan.pages, scan.dataset, last.link)
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
        is_believed = was_noted(scan, FULL_PAGE)
    if not is_believed:
        raise scan.unstable("the only page is full and names no next page.")


def check_emptiness(scan: Scan, watermark: Watermark) -> None:
    """Raise SourceUnstableError the first time that a list which had rows has none."""
    if scan.pass_rows == 0 and watermark.last_row_count > 0 and not was_noted(scan, EMPTY):
        raise scan.unstable(f"it gave no rows; {watermark.last_row_count:,} the last time.")


def was_noted(scan: Scan, mode: str, part: str = "") -> bool:
    """Whether the reading before came to the same strange end; notes that this one did.

    A reading that is complete forgets the note of the whole dataset; for a ``part`` of it, see
    ``forget_note``.
    """
    watermarks = scan.ws.ledger.watermarks
    names = _names(scan, part)
    earlier = watermarks.load_progress(*names)
    watermarks.save_progress(
        *names,
        PullProgress(
            mode=mode,
            next_link="",
            watermark_at=None,
            started_at=scan.started_at,
            batch=0,
            pages=1,
            rows=scan.pass_rows,
        ),
    )
    return earlier is not None and earlier.mode == mode


def forget_note(scan: Scan, part: str) -> None:
    """Forget how the reading of a part ended."""
    watermarks, names = scan.ws.ledger.watermarks, _names(scan, part)
    if watermarks.load_progress(*names) is not None:
        watermarks.clear_progress(*names)


def _names(scan: Scan, part: str) -> tuple[str, str, str]:
    organisation, source, dataset = scan.names
    return organisation, source, f"{dataset}/{part}" if part else dataset
