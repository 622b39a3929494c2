"""The calls of LOKE's API that read.

Here: one method for each endpoint. Not here: which path leads to it (``routes``).
"""

from typing import Any, cast

from crm_pipeline.sandbox.loke.answers import Answers
from crm_pipeline.sandbox.loke.ordering import Sort
from crm_pipeline.sandbox.loke.pages import ForeignCursorError
from crm_pipeline.sandbox.loke.paging import Scan
from crm_pipeline.sandbox.loke.switches import dressed
from crm_pipeline.sandbox.loke.tenants import Tenant
from crm_pipeline.sandbox.loke.vendor import Loke
from crm_pipeline.sandbox.wire import Answer, Request, json_answer

_SORTS = ("created", "updated")


class Reading:
    """Answers from one fake LOKE. Paths were checked: the organisation exists."""

    def __init__(self, loke: Loke, answers: Answers) -> None:
        """Answer from ``loke``."""
        self._loke = loke
        self._answers = answers

    def organisations(self, request: Request) -> Answer:
        """GET /organizations."""
        wanted = request.query.get("query", "").lower()
        rows = [
            self._organisation_body(tenant)
            for tenant in self._loke.tenants.values()
            if tenant.refused_with is None and wanted in tenant.organisation.name.lower()
        ]
        size = self._loke.switches.organisation_page_size
        return self._answers.listed(request, rows, "organizations", size)

    def organisation(self, request: Request) -> Answer:
        """GET /organizations/{o}."""
        return json_answer(self._organisation_body(self._tenant(request)))

    def locations(self, request: Request) -> Answer:
        """GET locations; ``query`` looks into the names."""
        tenant, wanted = self._tenant(request), request.query.get("query", "").lower()
        rows = [each for each in tenant.locations if wanted in each["name"].lower()]
        scope, size = self._scope(tenant, "locations"), self._loke.switches.location_page_size
        return self._answers.listed(request, rows, scope, size)

    def location(self, request: Request) -> Answer:
        """GET locations/{id}."""
        found = self._tenant(request).location(request.segments[3])
        return json_answer(found) if found else self._answers.error(404, "Location not found")

    def customers(self, request: Request) -> Answer:
        """GET customers; ``email`` and ``phoneNumber`` search, otherwise pages."""
        query, tenant = request.query, self._tenant(request)
        sort = query.get("sort", "created")
        if sort not in _SORTS:
            return self._answers.error(400, "sort must be created or updated")
        email, phone = query.get("email"), query.get("phoneNumber")
        if email or phone:
            found = tenant.store.search(email, phone, cast(Sort, sort))
            return json_answer(self._dressed(found[: self._loke.switches.page_size]))
        try:
            body, after = self._answers.pager.customers(
                tenant, cast(Sort, sort), query.get("after", ""), request.tie_seed
            )
        except ForeignCursorError:
            return self._answers.error(400, "Invalid cursor")
        answer = Answer(200, body)
        if after is not None:
            self._answers.add_link(answer, request, after)
        return answer

    def customer(self, request: Request) -> Answer:
        """GET customers/{id}."""
        found = self._tenant(request).store.find(request.segments[3])
        if found is None:
            return self._answers.error(404, "Customer not found")
        return json_answer(dressed(found, self._loke.switches))

    def memberships(self, request: Request) -> Answer:
        """GET customers/{id}/memberships."""
        tenant, customer_id = self._tenant(request), request.segments[3]
        if tenant.store.index_of(customer_id) is None:
            return self._answers.error(404, "Customer not found")
        rows = tenant.lists.memberships_of(customer_id)
        size = self._loke.switches.membership_page_size
        return self._answers.listed(request, rows, customer_id, size)

    def lists(self, request: Request) -> Answer:
        """GET customer-lists."""
        tenant = self._tenant(request)
        rows = [each.body() for each in tenant.lists.lists.values()]
        scope, size = self._scope(tenant, "lists"), self._loke.switches.list_page_size
        return self._answers.listed(request, rows, scope, size)

    def list_(self, request: Request) -> Answer:
        """GET customer-lists/{id}."""
        found = self._tenant(request).lists.lists.get(request.segments[3])
        return json_answer(found.body()) if found else self._answers.error(404, "List not found")

    def members(self, request: Request) -> Answer:
        """GET customer-lists/{id}/members."""
        tenant, switches = self._tenant(request), self._loke.switches
        found = tenant.lists.lists.get(request.segments[3])
        if found is None:
            return self._answers.error(404, "List not found")
        is_empty = bool({found.id, found.name} & set(switches.empty_lists))
        store = tenant.store
        there = (
            []
            if is_empty
            else [each for each in found.members.items() if store.index_of(each[0]) is not None]
        )
        return self._answers.listed(
            request,
            there,
            self._scope(tenant, f"members:{found.id}"),
            switches.member_page_size,
            lambda entry: dressed(_member(store.find(entry[0]) or {}, entry[1]), switches),
        )

    def payments(self, request: Request) -> Answer:
        """GET payments, newest first by either time; ``locationId`` filters."""
        query, tenant = request.query, self._tenant(request)
        sort, location_id = query.get("sort", "created"), query.get("locationId")
        if sort not in _SORTS:
            return self._answers.error(400, "sort must be created or updated")
        store = tenant.payments
        scan = Scan(
            scope=self._scope(tenant, f"payments:{sort}:{location_id or ''}"),
            sort=cast(Sort, sort),
            size=self._loke.switches.payment_page_size,
            keep=(lambda index: store.is_at(index, location_id)) if location_id else None,
        )
        return self._answers.scanned(request, store, scan)

    def orders(self, request: Request) -> Answer:
        """GET locations/{id}/orders, newest first."""
        tenant, location_id = self._tenant(request), request.segments[3]
        if tenant.location(location_id) is None:
            return self._answers.error(404, "Location not found")
        store = tenant.orders
        scan = Scan(
            scope=self._scope(tenant, f"orders:{location_id}"),
            sort="created",
            size=self._loke.switches.order_page_size,
            keep=lambda index: store.is_at(index, location_id),
        )
        return self._answers.scanned(request, store, scan)

    def order(self, request: Request) -> Answer:
        """GET locations/{id}/orders/{id}."""
        store, (_, _, _, location_id, _, order_id) = self._tenant(request).orders, request.segments
        found = store.find(order_id)
        if store.location_of(order_id) != location_id or found is None:
            return self._answers.error(404, "Order not found")
        return json_answer(dressed(found, self._loke.switches))

    def webhooks(self, request: Request) -> Answer:
        """GET webhooks; the secret is not shown."""
        return json_answer([each.body() for each in self._tenant(request).subscriptions.all()])

    def _tenant(self, request: Request) -> Tenant:
        return self._loke.tenants[request.segments[1]]

    @staticmethod
    def _scope(tenant: Tenant, name: str) -> str:
        return f"{tenant.organisation.id}:{name}"

    def _dressed(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [dressed(row, self._loke.switches) for row in rows]

    def _organisation_body(self, tenant: Tenant) -> dict[str, Any]:
        organisation = tenant.organisation
        body = {
            "id": organisation.id,
            "name": organisation.name,
            "createdAt": "2018-11-05T06:07:08Z",
            "currency": organisation.currency,
            "timezone": organisation.timezone,
        }
        return dressed(body, self._loke.switches)


def _member(customer: dict[str, Any], added_at: str) -> dict[str, Any]:
    return {
        "id": customer["id"],
        "firstName": customer.get("firstName", ""),
        "lastName": customer.get("lastName", ""),
        # Null and not absent: so LOKE's own types have it for the phone number.
        "email": customer.get("email"),
        "phoneNumber": customer.get("phoneNumber"),
        "addedAt": added_at,
    }
