"""The calls of CRM.COM that we use, one method each.

Here: paths, queries, which call may be repeated. Not here: what to do with the answer.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_pipeline.destinations.crm_com.assumptions import (
    CONTACTS_PATH,
    MOST_SEARCH_PAGES,
    PAGE_SIZE,
    PROCESSES_PATH,
    PRODUCTS_PATH,
    PURCHASES_PATH,
    REFERENCE_FILTER,
    RETURNS_PATH,
    SKU_SEPARATOR,
    SKUS_FILTER,
    SYNCHRONISE_PATH,
    TAGS_PATH,
)
from crm_pipeline.destinations.crm_com.contacts.bodies import Body
from crm_pipeline.destinations.crm_com.problems import read_problem
from crm_pipeline.destinations.crm_com.values import as_object, as_text
from crm_pipeline.errors import SourceUnstableError
from crm_pipeline.http import Answer, ApiClient
from crm_pipeline.http.origin import path_of

#: Lists are read to their end, but not for ever: 100 million contacts.
_MOST_PAGES = 1_000_000

OLDEST_FIRST: Mapping[str, str] = {"sort": "CREATED_DATE", "order": "ASC"}
_NEWEST_FIRST: Mapping[str, str] = {"sort": "CREATED_DATE", "order": "DESC"}


@dataclass(slots=True)
class Tally:
    """What one change has cost, and whether it may have had an effect.

    ``is_writing``: a write has no answer yet. ``has_written``: CRM.COM took one.
    """

    calls: int = 0
    is_writing: bool = False
    has_written: bool = False


class Calls:
    """CRM.COM's endpoints for one key."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client

    # -- contacts --------------------------------------------------------------------------------

    def create(self, body: Body, tally: Tally) -> Answer:
        """POST a contact: sent once, never repeated here."""
        return self._write("POST", path_of(CONTACTS_PATH), body, tally)

    def update(self, reference: str, body: Body, tally: Tally) -> Answer:
        """PUT fields of a contact, by id or code: sent once, trying again is the engine's."""
        return self._write("PUT", path_of(CONTACTS_PATH, reference), body, tally)

    def contact(self, reference: str, tally: Tally) -> Mapping[str, Any] | None:
        """GET a contact by id or code; None only when CRM.COM says that there is none."""
        return self._one(path_of(CONTACTS_PATH, reference), "contact", tally)

    def contacts_with(self, tally: Tally, **filters: str) -> Sequence[Any]:
        """GET the contacts that match exact filters (the first few)."""
        tally.calls += 1
        content, _ = self._page(CONTACTS_PATH, {**filters, "size": "10", "page": "1"})
        return content

    # -- tags ------------------------------------------------------------------------------------

    def contact_tags(self, reference: str, tally: Tally) -> Sequence[str] | None:
        """GET the ids of a contact's tags; None only when CRM.COM says there is no contact."""
        path, held = path_of(CONTACTS_PATH, reference, TAGS_PATH), dict[str, None]()
        for page in itertools.count(1):
            tally.calls += 1
            query = {"size": str(PAGE_SIZE), "page": str(page)}
            answer = self._client.send("GET", path, query=query, is_repeatable=True)
            if not answer.is_success:
                if read_problem(answer).is_not_found:
                    return None
                raise answer.malformed("refuses a documented call")
            content, has_more = _rows(answer)
            tags = [as_text(as_object(each).get("id")) for each in content]
            is_new = any(tag and tag not in held for tag in tags)
            held |= dict.fromkeys(tag for tag in tags if tag)
            if not is_new or not (has_more or (has_more is None and len(tags) >= PAGE_SIZE)):
                break
        return list(held)

    def set_contact_tags(self, reference: str, tags: Sequence[str], tally: Tally) -> Answer:
        """PUT all tags of a contact, ours and others'."""
        path = path_of(CONTACTS_PATH, reference, TAGS_PATH)
        return self._write("PUT", path, {"tags": list(tags)}, tally)

    # -- purchases -------------------------------------------------------------------------------

    def submit(self, body: Body, tally: Tally) -> Answer:
        """POST a purchase: sent once, never repeated here."""
        return self._write("POST", path_of(PURCHASES_PATH), body, tally)

    def cancel(self, reference: str, tally: Tally) -> Answer:
        """POST that a purchase is undone."""
        return self._write("POST", path_of(PURCHASES_PATH, reference, "cancel"), {}, tally)

    def take_back(self, body: Body, tally: Tally) -> Answer:
        """POST that goods came back: sent once, never repeated here."""
        return self._write("POST", path_of(PURCHASES_PATH, RETURNS_PATH), body, tally)

    def purchase(self, reference: str, tally: Tally) -> Mapping[str, Any] | None:
        """GET a purchase by id; None only when CRM.COM says that there is none."""
        return self._one(path_of(PURCHASES_PATH, reference), "purchase", tally)

    def purchases_with(self, reference_number: str, tally: Tally) -> Iterator[Sequence[Any]]:
        """GET the purchases that a reference number finds, newest first, page by page."""
        query = {REFERENCE_FILTER: reference_number, **_NEWEST_FIRST}
        return self.pages(PURCHASES_PATH, query, tally)

    # -- products --------------------------------------------------------------------------------

    def synchronise(self, products: Sequence[Body], tally: Tally) -> Answer:
        """POST many products. What they become is found out by the process that it starts."""
        return self._write("POST", path_of(SYNCHRONISE_PATH), {"products": products}, tally)

    def process(self, process_id: str, tally: Tally) -> Mapping[str, Any] | None:
        """GET how far a process is; None when CRM.COM does not tell."""
        tally.calls += 1
        path = path_of(PROCESSES_PATH, process_id)
        answer = self._client.send("GET", path, is_repeatable=True)
        if not answer.is_success:
            if read_problem(answer).is_not_found or answer.status == 405:
                return None
            raise answer.malformed("refuses an assumed call")
        return as_object(answer.json())

    def products_with(self, skus: Sequence[str], tally: Tally) -> Iterator[Sequence[Any]]:
        """GET the products of some SKUs, page by page; others may be among them.

        A list that is not filtered is not read to its end: a product that is taken for missing is
        sent again, which changes nothing.
        """
        pages = self.pages(PRODUCTS_PATH, {SKUS_FILTER: SKU_SEPARATOR.join(skus)}, tally)
        return itertools.islice(pages, MOST_SEARCH_PAGES)

    # -- lists -----------------------------------------------------------------------------------

    def pages(
        self, path: str, query: Mapping[str, str], tally: Tally | None = None
    ) -> Iterator[Sequence[Any]]:
        """GET a list page by page, oldest first where it can be sorted.

        The page size stays what we asked for: the answer's own ``size`` is the number of rows it
        holds. The end is ``has_more`` false, or an empty page where a list does not say.
        """
        for page in range(1, _MOST_PAGES + 1):
            asked = {**query, "size": str(PAGE_SIZE), "page": str(page)}
            if tally is not None:
                tally.calls += 1
            content, has_more = self._page(path, asked)
            if content:
                yield content
            if not content or has_more is False:
                return
        raise SourceUnstableError(
            f"CRM.COM's list of {path} does not end.", not_done="The rest of it was not read."
        )

    def _one(self, path: str, what: str, tally: Tally) -> Mapping[str, Any] | None:
        tally.calls += 1
        answer = self._client.send("GET", path, is_repeatable=True)
        if not answer.is_success:
            if read_problem(answer).is_not_found:
                return None
            raise answer.malformed("refuses a documented call")
        content = answer.json()
        if not isinstance(content, dict) or not content.get("id"):
            raise answer.malformed(f"holds no {what}")
        return content

    def _write(self, method: str, path: str, body: Body, tally: Tally) -> Answer:
        tally.calls += 1
        tally.is_writing = True
        answer = self._client.send(
            method, path, json=body, is_repeatable=method == "PUT", attempts=1
        )
        tally.is_writing = False
        tally.has_written = tally.has_written or answer.is_success
        return answer

    def _page(self, path: str, query: Mapping[str, str]) -> tuple[Sequence[Any], bool | None]:
        """Return a page's rows, and whether there are more (None: the list does not say)."""
        answer = self._client.send("GET", path_of(path), query=query, is_repeatable=True)
        if not answer.is_success:
            raise answer.malformed("refuses a documented call")
        return _rows(answer)


def _rows(answer: Answer) -> tuple[Sequence[Any], bool | None]:
    """Return a list's rows, and whether there are more (None: it does not say)."""
    body = answer.json()
    if isinstance(body, list):  # a few lists have no envelope, and then no pages either
        return body, False
    content = body.get("content") if isinstance(body, dict) else ()
    if content is None:
        return (), False
    if not isinstance(content, list):
        raise answer.malformed("holds no list")
    paging = body.get("paging")
    has_more = paging.get("has_more") if isinstance(paging, dict) else None
    return content, has_more if isinstance(has_more, bool) else None
