"""The calls of CRM.COM that a point of sale makes, besides those that sync makes, too.

Here: paths, queries, which call may be repeated. A call that moves money is tried again only when
it surely was not done (no connection, 429). Not here: what to do with the answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from crm_pipeline.destinations.crm_com.assumptions import (
    CONTACTS_PATH,
    PURCHASES_PATH,
    RETURNS_PATH,
)
from crm_pipeline.destinations.crm_com.calls import Calls, Tally
from crm_pipeline.destinations.crm_com.problems import read_problem
from crm_pipeline.destinations.crm_com.values import as_object, as_objects, as_text
from crm_pipeline.http import Answer, ApiClient
from crm_pipeline.http.origin import path_of
from crm_pipeline.pos.assumptions import (
    ACTIONS_PATH,
    LOYALTY_PATH,
    ORDERS_PATH,
    PAGE_SIZE,
    REASONS_PATH,
    WALLETS_PATH,
)

Body = Mapping[str, Any]


class PosCalls:
    """CRM.COM's endpoints for one key."""

    def __init__(self, client: ApiClient) -> None:
        self._client = client
        self._calls = Calls(client)

    # -- contacts and wallets ----------------------------------------------------------------------

    def contact(self, reference: str) -> Mapping[str, Any] | None:
        """GET a contact by id or code; None only when CRM.COM says that there is none."""
        return self._calls.contact(reference, Tally())

    def contacts_with(self, **filters: str) -> Sequence[Mapping[str, Any]]:
        """GET the first contacts that fit filters, with their wallets."""
        rows = self._calls.contacts_with(Tally(), include_wallet="true", **filters)
        return as_objects(list(rows))

    def loyalty_numbers(self, contact_id: str) -> frozenset[str | None]:
        """GET the loyalty numbers of a contact."""
        path, query = path_of(CONTACTS_PATH, contact_id, LOYALTY_PATH), {"size": str(PAGE_SIZE)}
        answer = self._client.send("GET", path, query=query, is_repeatable=True)
        if not answer.is_success:
            raise answer.malformed("refuses a documented call")
        return loyalty_in(as_object(answer.json()).get("content"))

    def wallet(self, reference: str) -> Mapping[str, Any] | None:
        """GET a wallet by id or code; None only when CRM.COM says that there is none."""
        return self._one(path_of(WALLETS_PATH, reference), "wallet")

    # -- purchases ---------------------------------------------------------------------------------

    def post_purchase(self, body: Body) -> Answer:
        """POST a purchase."""
        return self._write("POST", path_of(PURCHASES_PATH), body)

    def cancel(self, reference: str) -> Answer:
        """POST that a purchase is undone."""
        return self._write("POST", path_of(PURCHASES_PATH, reference, "cancel"), {})

    def take_back(self, body: Body) -> Answer:
        """POST that goods came back."""
        return self._write("POST", path_of(PURCHASES_PATH, RETURNS_PATH), body)

    def purchase(self, reference: str) -> Mapping[str, Any] | None:
        """GET a purchase or a return by id; None only when CRM.COM says that there is none."""
        return self._calls.purchase(reference, Tally())

    def purchases_with(self, reference_number: str) -> Iterator[Sequence[Any]]:
        """GET the purchases that a reference number finds, newest first, page by page."""
        return self._calls.purchases_with(reference_number, Tally())

    # -- orders ------------------------------------------------------------------------------------

    def order(self, order_id: str) -> Answer | None:
        """GET an order by id; None only when CRM.COM says that there is none."""
        answer = self._client.send("GET", path_of(ORDERS_PATH, order_id), is_repeatable=True)
        if answer.is_success:
            return answer
        if read_problem(answer).is_not_found:
            return None
        raise answer.malformed("refuses a documented call")

    def orders(self, page: int, filters: Mapping[str, str]) -> Answer:
        """GET one page of orders, newest first."""
        query = {**filters, "order": "DESC", "size": str(PAGE_SIZE), "page": str(page)}
        answer = self._client.send("GET", path_of(ORDERS_PATH), query=query, is_repeatable=True)
        if not answer.is_success:
            raise answer.malformed("refuses a documented call")
        return answer

    def act(self, order_id: str, body: Body) -> Answer:
        """PUT that something happens to an order. Not repeated: completing one moves money."""
        return self._write("PUT", path_of(ORDERS_PATH, order_id, ACTIONS_PATH), body)

    def reasons(self) -> Mapping[str, str]:
        """GET the reasons for a cancellation, names by id."""
        rows = (as_object(each) for page in self._calls.pages(REASONS_PATH, {}) for each in page)
        pairs = ((as_text(row.get("id")), as_text(row.get("name"))) for row in rows)
        return {reason_id: name or "" for reason_id, name in pairs if reason_id}

    def _one(self, path: str, what: str) -> Mapping[str, Any] | None:
        answer = self._client.send("GET", path, is_repeatable=True)
        if not answer.is_success:
            if read_problem(answer).is_not_found:
                return None
            raise answer.malformed("refuses a documented call")
        content = as_object(answer.json())
        if not content.get("id"):
            raise answer.malformed(f"holds no {what}")
        return content

    def _write(self, method: str, path: str, body: Body) -> Answer:
        return self._client.send(method, path, json=body, is_repeatable=False)


def loyalty_in(rows: object) -> frozenset[str | None]:
    """Return the numbers in a list of loyalty identifiers."""
    return frozenset(as_text(each.get("identifier")) for each in as_objects(rows))
