"""One organisation's live connection to CRM.COM's orders.

Here: paths, pages, statuses. Not here: shapes (``orders``), retries (``http``).
"""

from collections.abc import Mapping, Sequence
from hashlib import blake2b
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

from crm_pipeline.core.ports import DecodedPage, Page, SourceConnection
from crm_pipeline.core.records import Finding
from crm_pipeline.errors import CrmPipelineError, MalformedAnswerError
from crm_pipeline.http import Answer, ApiClient, ApiKey, Seams
from crm_pipeline.http.origin import path_of
from crm_pipeline.sources.crm_com_orders.assumptions import (
    NOT_FOUND_NAME,
    ORDERS_PATH,
    PAGE_SIZE,
    SORTING,
)
from crm_pipeline.sources.crm_com_orders.orders import ORDERS, decode_orders

_CONNECTIONS = 4


class OrdersApi:
    """Reads one organisation's orders, oldest first. Thread-safe."""

    def __init__(self, connection: SourceConnection, *, seams: Seams | None = None) -> None:
        self._base_url = connection.base_url.rstrip("/")
        self._client = ApiClient(
            connection.base_url,
            waits=connection.waits,
            credentials=ApiKey("api_key", connection.secrets["api_key"]),
            refused_statuses=frozenset({401, 403}),
            connections=_CONNECTIONS,
            seams=seams,
        )

    def first_page(self, dataset: str) -> Page:
        """Read the first page of orders."""
        _check_dataset(dataset)
        return self._page(self._link(1))

    def next_page(self, link: str) -> Page:
        """Follow a link that a page gave."""
        return self._page(link)

    def decode(self, dataset: str, page: Page) -> DecodedPage:
        """Turn one page into typed columns."""
        _check_dataset(dataset)
        return decode_orders(page.body)

    def read_one(self, dataset: str, source_id: str) -> DecodedPage | None:
        """Read one order by id, or None when CRM.COM says that there is none."""
        _check_dataset(dataset)
        answer = self._client.send("GET", path_of(ORDERS_PATH, source_id), is_repeatable=True)
        if _is_not_found(answer):
            return None
        return decode_orders(b"[" + _usable(answer).body + b"]")

    def check(self) -> Sequence[Finding]:
        """Prove that the key reads the first page of orders."""
        try:
            self.decode(ORDERS.name, self.first_page(ORDERS.name))
        except CrmPipelineError as error:
            message, remedy = error.happened, error.remedy
            return [Finding(check=ORDERS.name, is_ok=False, message=message, remedy=remedy)]
        return [Finding(check=ORDERS.name, is_ok=True, message="The orders can be read.")]

    def close(self) -> None:
        """Give the connections back."""
        self._client.close()

    def _link(self, page: int) -> str:
        query = urlencode({**SORTING, "size": str(PAGE_SIZE), "page": str(page)})
        return f"{self._base_url}{path_of(ORDERS_PATH)}?{query}"

    def _page(self, link: str) -> Page:
        answer = _usable(self._client.send("GET", link, is_repeatable=True))
        return Page(
            body=answer.body,
            next_link=self._link(_number_of(link) + 1) if _has_more(answer) else None,
            server_date=answer.server_date,
            digest=blake2b(answer.body, digest_size=16).hexdigest(),
        )


def _number_of(link: str) -> int:
    return int(dict(parse_qsl(urlsplit(link).query))["page"])


def _has_more(answer: Answer) -> bool:
    """Whether another page follows.

    Where a list does not say, an empty page is the end. ``paging.size`` is the number of rows that
    came and ``total`` is often null, so neither tells anything. A list without an envelope has no
    pages.
    """
    body = answer.json()
    if not isinstance(body, dict):
        return False
    if not body.get("content"):
        return False
    paging = body.get("paging")
    return not (isinstance(paging, dict) and paging.get("has_more") is False)


def _usable(answer: Answer) -> Answer:
    if not answer.is_success:
        raise answer.malformed("refuses a documented call")
    return answer


def _is_not_found(answer: Answer) -> bool:
    if answer.status != 400:
        return answer.status == 404
    try:
        body = answer.json()
    except MalformedAnswerError:
        return False
    return NOT_FOUND_NAME in _error_name(body)


def _error_name(body: Any) -> str:
    """Return the last segment of an error's name: two different prefixes are in use."""
    name = body.get("error") if isinstance(body, Mapping) else None
    return name.upper().rpartition(".")[2] if isinstance(name, str) else ""


def _check_dataset(dataset: str) -> None:
    if dataset != ORDERS.name:
        raise ValueError(f"CRM.COM has no dataset {dataset!r} here")
