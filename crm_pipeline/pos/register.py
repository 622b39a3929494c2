"""What has been done under a reference? The question whose wrong answer would move money twice.

Asked under the id that we choose, then by the number. "Nothing" is only said when CRM.COM said so.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from crm_pipeline.core.purchases import purchase_id
from crm_pipeline.destinations.crm_com.assumptions import MOST_SEARCH_PAGES
from crm_pipeline.destinations.crm_com.purchases.reading import reference_numbers
from crm_pipeline.destinations.crm_com.values import as_object, as_text
from crm_pipeline.errors import CrmPipelineError, SourceUnstableError
from crm_pipeline.pos.calls import PosCalls
from crm_pipeline.pos.refusals import OutcomeUnknownError

Content = Mapping[str, Any]


class Register:
    """Looks purchases and returns up by reference. Thread-safe."""

    def __init__(self, calls: PosCalls, organisation: str, *, settle: Callable[[], None]) -> None:
        self._calls = calls
        self._organisation = organisation
        self._settle = settle

    def own_id(self, reference: str) -> str:
        """Return the id that we choose for whatever is done under a reference."""
        return purchase_id(self._organisation, f"pos:{reference}")

    def by_id(self, crm_id: str) -> Content | None:
        """Return one purchase or return by CRM.COM's id."""
        return self._calls.purchase(crm_id)

    def all(self, reference: str) -> Sequence[Content]:
        """Return everything under a reference, ours first, then newest first.

        Raises SourceUnstableError when nobody can tell.
        """
        own = self._calls.purchase(self.own_id(reference))
        found = {} if own is None else {str(own["id"]): own}
        for each in self._search(reference):
            found.setdefault(str(each["id"]), each)
        return list(found.values())

    def find(self, reference: str) -> Content | None:
        """Return what was done under a reference, or None when nothing was.

        Raises SourceUnstableError when nobody can tell.
        """
        own = self._calls.purchase(self.own_id(reference))
        return own if own is not None else next(self._search(reference), None)

    def _search(self, reference: str) -> Iterator[Content]:
        """Give what the search finds, newest first, comparing exactly.

        A search that filters gives few pages. One that does not is read for some.
        """
        for place, content in enumerate(self._calls.purchases_with(reference)):
            if place == MOST_SEARCH_PAGES:
                raise SourceUnstableError(
                    "CRM.COM's list of purchases cannot be searched by reference number.",
                    not_done="Nothing was sent: whether it is there could not be found out.",
                    remedy="Ask the vendor how to search purchases by reference number.",
                )
            for each in content:
                if reference in reference_numbers(each) and each.get("id"):
                    yield each

    def find_in_doubt(self, reference: str, what: str) -> Content:
        """Find what was sent and not answered; it may be shown a moment later only.

        Raises OutcomeUnknownError when it cannot be seen.
        """
        for is_last in (False, True):
            try:
                found = self.find(reference)
            except CrmPipelineError:
                found = None
            if found is not None:
                return found
            if not is_last:
                self._settle()
        raise OutcomeUnknownError(
            f"The {what} {reference} was sent, and no answer came; CRM.COM does not show it.",
            not_done="Whether it was done is unknown.",
            remedy=f"Repeat it with the same reference, {reference}: it is looked up first. Never"
            " send it under another one.",
        )


def is_return(content: Content) -> bool:
    """Whether it is goods that came back, not a purchase."""
    return bool(as_object(content.get("ad_hoc_return")))


def reference_of(content: Content) -> str:
    """Return the number that a purchase is shown with."""
    return as_text(content.get("reference_number")) or ""
