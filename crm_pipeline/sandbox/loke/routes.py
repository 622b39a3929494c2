"""What LOKE's clients can call.

Here: endpoints and their answers. Not here: state (``vendor``), tokens (``tokens``).
"""

import itertools
import random
import urllib.parse
from collections.abc import Callable, Iterator
from typing import cast

import msgspec

from crm_pipeline.sandbox.control.faults import FaultRule
from crm_pipeline.sandbox.loke.admin import LokeAdmin
from crm_pipeline.sandbox.loke.ordering import Ordering, Sort
from crm_pipeline.sandbox.loke.pages import (
    Cursor,
    ForeignCursorError,
    next_target,
    page_in,
    read_cursor,
)
from crm_pipeline.sandbox.loke.vendor import Loke, Tenant
from crm_pipeline.sandbox.people import ulid
from crm_pipeline.sandbox.wire import Answer, Request, Route, json_answer

#: Customer pages kept as bytes for each organisation when they are not all built beforehand.
_PAGES_KEPT = 32
_CODES = {400: "bad_request", 401: "unauthorized", 403: "forbidden", 404: "not_found"}


class LokeRoutes:
    """The endpoints over one fake LOKE."""

    prefix = ""

    def __init__(self, loke: Loke) -> None:
        """Answer from ``loke``."""
        self._loke = loke
        self._failures = 0
        self._admin = LokeAdmin(loke)
        self.lock = loke.lock
        self.faults = loke.faults
        self.requests = loke.requests
        self.clock = loke.clock

    @property
    def gzip(self) -> bool:
        """Say whether answers are compressed for those who ask."""
        return self._loke.switches.gzip

    def page_of(self, request: Request) -> int:
        """Return the page of a scan, which the cursor knows."""
        after = request.query.get("after", "")
        return page_in(after) if after else 1

    def disturb(self, names: tuple[str, ...], rule: FaultRule) -> None:
        """Move rows of the organisation that is being read."""
        self._loke.disturb(names, rule)

    def make_stale(self, request: Request) -> None:
        """Revoke the bearer token of a call."""
        self._loke.tokens.revoke(request.header(b"authorization").partition(" ")[2])

    def failure(self, status: int) -> Answer:
        """Answer an injected failure."""
        return self.error(status, "Injected by the sandbox")

    def administer(self, request: Request) -> Answer:
        """Answer an admin call."""
        return self._admin.answer(request)

    def route(self, request: Request) -> Route:
        """Find the endpoint of a call."""
        parts = request.segments
        handler: Callable[[Request], Answer]
        if parts[0] != "organizations":
            return self._route_issuer(request)
        if len(parts) == 1:
            return Route("/organizations", self._guarded(request, self._organisations))
        tenant = self._loke.tenants.get(parts[1])
        names = (tenant.organisation.slug, parts[1]) if tenant else (parts[1],)
        template = "/organizations/{o}"
        if len(parts) == 2:
            handler = self._organisation
        elif parts[2] == "customers" and len(parts) == 3:
            template, handler = template + "/customers", self._customers
        elif parts[2] == "customers" and len(parts) == 4:
            template, handler = template + "/customers/{id}", self._customer
        elif parts[2:3] + parts[4:] == ["customers", "memberships"]:
            template, handler = template + "/customers/{id}/memberships", self._memberships
        else:
            template, handler = "unknown", self._nothing_here
        return Route(template, self._guarded(request, handler, tenant, True), names)

    def error(self, status: int, message: str) -> Answer:
        """Answer an error in LOKE's form."""
        if self._loke.switches.error_body == "text":
            return Answer(status, message.encode(), content_type=b"text/plain; charset=utf-8")
        self._failures += 1
        code = _CODES.get(status, "internal_error" if status >= 500 else "error")
        now_ms = int(self._loke.clock().timestamp() * 1000)
        body = {
            "message": message,
            "code": code,
            "type": f"https://errors.example.com/{code}",
            "instance": ulid(now_ms, self._failures, 0),
        }
        return json_answer(body, status)

    def build_pages(self) -> int:
        """Build every customer page as bytes; returns how many."""
        for tenant, sort in itertools.product(self._loke.tenants.values(), ("updated", "created")):
            after: str | None = ""
            while after is not None:
                after = self._page(tenant, cast(Sort, sort), after, None, keep_all=True)[1]
        return sum(len(tenant.pages) for tenant in self._loke.tenants.values())

    def _route_issuer(self, request: Request) -> Route:
        path = "/" + "/".join(request.segments)
        if path == "/token":
            return Route("/token", self._token)
        if path == "/.well-known/openid-configuration":
            return Route(path, self._discovery)
        return Route("unknown", self._nothing_here)

    def _guarded(
        self,
        request: Request,
        handler: Callable[[Request], Answer],
        tenant: Tenant | None = None,
        needs_tenant: bool = False,
    ) -> Callable[[Request], Answer]:
        def guarded(request: Request) -> Answer:
            refusal = self._loke.tokens.refusal_of(request)
            if refusal is not None:
                return self.error(401, refusal)
            if request.method != "GET":
                return self.error(405, "Method not allowed")
            if needs_tenant and tenant is None:
                return self.error(404, "Organization not found")
            if tenant is not None and tenant.refused_with is not None:
                return self.error(tenant.refused_with, "Organization not found")
            return handler(request)

        return guarded

    def _token(self, request: Request) -> Answer:
        if request.method != "POST":
            return self.error(405, "Method not allowed")
        return self._loke.tokens.issue(request)

    def _discovery(self, _: Request) -> Answer:
        base = self._loke.base_url
        return json_answer(
            {
                "issuer": base,
                "authorization_endpoint": f"{base}/authorize",
                "token_endpoint": f"{base}/token",
                "jwks_uri": f"{base}/jwks",
                "grant_types_supported": ["authorization_code", "client_credentials"],
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "token_endpoint_auth_methods_supported": [
                    "client_secret_basic",
                    "client_secret_post",
                ],
            }
        )

    def _nothing_here(self, _: Request) -> Answer:
        return self.error(404, "Not found")

    def _organisations(self, request: Request) -> Answer:
        wanted = request.query.get("query", "").lower()
        rows = [
            _organisation_body(tenant)
            for tenant in self._loke.tenants.values()
            if tenant.refused_with is None and wanted in tenant.organisation.name.lower()
        ]
        return self._listed(
            request, rows, "organizations", self._loke.switches.organisation_page_size
        )

    def _organisation(self, request: Request) -> Answer:
        return json_answer(_organisation_body(self._loke.tenants[request.segments[1]]))

    def _customer(self, request: Request) -> Answer:
        tenant = self._loke.tenants[request.segments[1]]
        customer = tenant.store.find(request.segments[3])
        return json_answer(customer) if customer else self.error(404, "Customer not found")

    def _memberships(self, request: Request) -> Answer:
        tenant, customer_id = self._loke.tenants[request.segments[1]], request.segments[3]
        if tenant.store.find(customer_id) is None:
            return self.error(404, "Customer not found")
        rows = tenant.memberships.get(customer_id, [])
        return self._listed(request, rows, customer_id, self._loke.switches.membership_page_size)

    def _listed(
        self, request: Request, rows: list[dict[str, str]], scope: str, size: int
    ) -> Answer:
        after = request.query.get("after", "")
        try:
            cursor = read_cursor(after, scope) if after else Cursor(scope, "offset", 1)
        except ForeignCursorError:
            return self.error(400, "Invalid cursor")
        answer = json_answer(rows[cursor.offset : cursor.offset + size])
        if cursor.offset + size < len(rows):
            onward = Cursor(scope, "offset", cursor.page + 1, cursor.offset + size)
            self._add_link(answer, next_target(request.path, request.query, onward))
        return answer

    def _customers(self, request: Request) -> Answer:
        query = request.query
        tenant = self._loke.tenants[request.segments[1]]
        sort = query.get("sort", "created")
        if sort not in ("created", "updated"):
            return self.error(400, "sort must be created or updated")
        email, phone = query.get("email"), query.get("phoneNumber")
        if email or phone:
            found = tenant.store.search(email, phone, cast(Sort, sort))
            return json_answer(found[: self._loke.switches.page_size])
        try:
            body, after = self._page(
                tenant, cast(Sort, sort), query.get("after", ""), request.tie_seed
            )
        except ForeignCursorError:
            return self.error(400, "Invalid cursor")
        answer = Answer(200, body)
        if after is not None:
            self._add_link(answer, _customers_target(request, after))
        return answer

    def _page(
        self,
        tenant: Tenant,
        sort: Sort,
        after: str,
        tie_seed: int | None,
        *,
        keep_all: bool = False,
    ) -> tuple[bytes, str | None]:
        """Return a page as bytes and the cursor of the next one."""
        if tenant.pages_version != tenant.store.version:
            tenant.pages = {}
            tenant.pages_version = tenant.store.version
        kept = tenant.pages.get((sort, after)) if tie_seed is None else None
        if kept is not None:
            return kept
        page = self._build_page(tenant, sort, after, tie_seed)
        if tie_seed is None:
            if not (keep_all or self._loke.settings.preserialise):
                while len(tenant.pages) >= _PAGES_KEPT:
                    del tenant.pages[next(iter(tenant.pages))]
            tenant.pages[sort, after] = page
        return page

    def _build_page(
        self, tenant: Tenant, sort: Sort, after: str, tie_seed: int | None
    ) -> tuple[bytes, str | None]:
        switches, store = self._loke.switches, tenant.store
        order = store.orders[sort]
        scope = f"{tenant.organisation.id}:{sort}"
        cursor = read_cursor(after, scope) if after else Cursor(scope, "offset", 1)
        size = switches.page_size
        by_offset = tie_seed is not None or switches.cursor == "offset"
        offset = cursor.offset
        if cursor.kind == "key" and by_offset:
            offset = order.offset_of(cursor.key)
        if tie_seed is not None:
            rows = _with_shuffled_ties(order, offset, size + 1, tie_seed)
        elif cursor.kind == "key" and not by_offset:
            rows = order.after(cursor.key)
        else:
            rows = order.from_offset(offset)
        indices = list(itertools.islice(rows, size + 1))
        body = msgspec.json.encode([store.row(index) for index in indices[:size]])
        if len(indices) <= size:
            return body, None
        if by_offset:
            onward = Cursor(scope, "offset", cursor.page + 1, offset + size)
        else:
            key = order.key_of(indices[size - 1])
            onward = Cursor(scope, "key", cursor.page + 1, key=key)
        return body, onward.text()

    def _add_link(self, answer: Answer, target: str) -> None:
        if self._loke.switches.next_link == "absolute":
            target = self._loke.base_url + target
        answer.headers.append((b"x-next-page", target.encode()))


def _customers_target(request: Request, after: str) -> str:
    query = {name: value for name, value in request.query.items() if name != "after"}
    return f"{request.path}?{urllib.parse.urlencode({**query, 'after': after})}"


def _organisation_body(tenant: Tenant) -> dict[str, str]:
    organisation = tenant.organisation
    return {
        "id": organisation.id,
        "name": organisation.name,
        "createdAt": "2018-11-05T06:07:08Z",
        "currency": organisation.currency,
        "timezone": organisation.timezone,
    }


def _with_shuffled_ties(order: Ordering, offset: int, count: int, seed: int) -> Iterator[int]:
    """Yield rows from an offset, those of one time in an order that the seed decides."""
    picked = list(itertools.islice(order.from_offset(offset), count))
    if not picked:
        return iter(())
    newest, oldest = order.key_of(picked[0])[0], order.key_of(picked[-1])[0]
    start = order.offset_of((newest, -(1 << 62)))
    stop = order.offset_of((oldest, 1))
    window = list(itertools.islice(order.from_offset(start), stop - start))
    shuffled: list[int] = []
    for time, tied in itertools.groupby(window, key=lambda index: order.key_of(index)[0]):
        group = list(tied)
        random.Random(f"{seed}:{time}").shuffle(group)
        shuffled += group
    return iter(shuffled[offset - start : offset - start + count])
