"""Is a purchase, or a return, there? The question whose wrong answer would post money twice.

It is asked under the CRM's own id, under the id that we chose (CRM.COM may not have honoured it),
and by reference number. "No" is only said when CRM.COM said so; every doubt is an exception.
"""

from collections.abc import Mapping
from typing import Any

from crm_pipeline.core.purchases import purchase_id
from crm_pipeline.destinations.crm_com.assumptions import MOST_SEARCH_PAGES
from crm_pipeline.destinations.crm_com.calls import Calls, Tally
from crm_pipeline.destinations.crm_com.purchases.reading import reference_numbers
from crm_pipeline.errors import SourceUnstableError


class Finder:
    """Looks purchases and returns up by our keys. Thread-safe."""

    def __init__(self, calls: Calls, organisation: str) -> None:
        self._calls = calls
        self._organisation = organisation

    def own_id(self, key: str) -> str:
        """Return the id that we choose for a key."""
        return purchase_id(self._organisation, key)

    def find(self, key: str, crm_id: str | None, tally: Tally) -> Mapping[str, Any] | None:
        """Return the purchase or return of a key, or None when there is none.

        Raises SourceUnstableError when nobody can tell.
        """
        for reference in dict.fromkeys((crm_id or self.own_id(key), self.own_id(key))):
            content = self._calls.purchase(reference, tally)
            if content is not None:
                return content
        return self._search(key, tally)

    def _search(self, reference_number: str, tally: Tally) -> Mapping[str, Any] | None:
        """Look through what the search gives, newest first, comparing exactly.

        A search that filters gives a page at most. One that does not is read for some pages: a
        purchase of a moment ago is on the first one.
        """
        pages = self._calls.purchases_with(reference_number, tally)
        for place, content in enumerate(pages):
            if place == MOST_SEARCH_PAGES:
                raise SourceUnstableError(
                    "CRM.COM's list of purchases cannot be searched by reference number.",
                    not_done="Whether a purchase is there could not be found out.",
                    remedy="Ask the vendor how to search purchases by reference number.",
                )
            for each in content:
                if reference_number in reference_numbers(each) and each.get("id"):
                    return dict(each)
        return None
