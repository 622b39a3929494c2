"""A list that is read to its end, each object once, although it moves meanwhile."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence

from crm_pipeline.core.records import RemoteObject
from crm_pipeline.errors import SourceUnstableError

#: Ids remembered while a list is read: rows shift by a few places at most, never by thousands.
_REMEMBERED = 20_000

#: Pages in a row that may hold nothing new before the list is taken to go in circles.
_MOST_STALE_PAGES = 3


def each_once(
    pages: Iterable[Sequence[RemoteObject]], what: str
) -> Iterator[Sequence[RemoteObject]]:
    """Give pages without what an earlier page held. Raises SourceUnstableError for a circle."""
    seen: OrderedDict[str, None] = OrderedDict()
    stale_pages = 0
    for page in pages:
        fresh = [each for each in page if _is_new(each.crm_id, seen)]
        stale_pages = stale_pages + 1 if page and not fresh else 0
        if stale_pages == _MOST_STALE_PAGES:
            raise SourceUnstableError(
                f"CRM.COM's list of {what} goes in a circle.",
                not_done="The rest of it was not read.",
                remedy="Run again; if it stays, ask the vendor.",
            )
        if fresh:
            yield fresh


def _is_new(crm_id: str, seen: OrderedDict[str, None]) -> bool:
    """Note an id and say whether it is new among the last ones."""
    if crm_id in seen:
        return False
    seen[crm_id] = None
    if len(seen) > _REMEMBERED:
        seen.popitem(last=False)
    return True
