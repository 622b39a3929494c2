"""What LOKE's clients can call: paths, methods, and whether the caller may.

Here: the table of endpoints. Not here: their answers (``reading``, ``writing``, ``issuer``).
"""

from collections.abc import Callable

from crm_pipeline.sandbox.control.faults import FaultRule
from crm_pipeline.sandbox.loke.admin import LokeAdmin
from crm_pipeline.sandbox.loke.answers import Answers
from crm_pipeline.sandbox.loke.issuer import Issuer
from crm_pipeline.sandbox.loke.pages import page_in
from crm_pipeline.sandbox.loke.reading import Reading
from crm_pipeline.sandbox.loke.tenants import Tenant
from crm_pipeline.sandbox.loke.vendor import Loke
from crm_pipeline.sandbox.loke.writing import Writing
from crm_pipeline.sandbox.wire import Answer, Request, Route

_Handler = Callable[[Request], Answer]
_Shape = tuple[int | str, ...]


class LokeRoutes:
    """The endpoints over one fake LOKE."""

    prefix = ""

    def __init__(self, loke: Loke) -> None:
        """Answer from ``loke``."""
        self._loke = loke
        self._admin = LokeAdmin(loke)
        self._answers = Answers(loke)
        self._issuer = Issuer(loke, self._answers)
        self._reading = Reading(loke, self._answers)
        self._table = _table(self._reading, Writing(loke, self._answers))
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
        return self._answers.error(status, "Injected by the sandbox")

    def administer(self, request: Request) -> Answer:
        """Answer an admin call."""
        return self._admin.answer(request)

    def build_pages(self) -> int:
        """Build every customer page as bytes; returns how many."""
        return self._answers.pager.build_all()

    def route(self, request: Request) -> Route:
        """Find the endpoint of a call."""
        parts = request.segments
        if parts[0] != "organizations":
            return self._issuer.route(request)
        # Names and ids take turns, so every second part says what is asked for.
        shape: _Shape = (len(parts), *parts[2::2])
        template, methods = self._table.get(shape, ("unknown", {}))
        if len(parts) == 1:
            return Route(template, self._guarded(methods, None, needs_tenant=False))
        tenant = self._loke.tenants.get(parts[1])
        names = (tenant.organisation.slug, parts[1]) if tenant else (parts[1],)
        return Route(template, self._guarded(methods, tenant, needs_tenant=True), names)

    def _guarded(
        self, methods: dict[str, _Handler], tenant: Tenant | None, *, needs_tenant: bool
    ) -> _Handler:
        def guarded(request: Request) -> Answer:
            refusal = self._loke.tokens.refusal_of(request)
            if refusal is not None:
                return self._answers.error(401, refusal)
            if methods and request.method not in methods:
                return self._answers.error(405, "Method not allowed")
            if needs_tenant and tenant is None:
                return self._answers.error(404, "Organization not found")
            if tenant is not None and tenant.refused_with is not None:
                return self._answers.error(tenant.refused_with, "Organization not found")
            if not methods:
                return self._answers.error(404, "Not found")
            return methods[request.method](request)

        return guarded


def _table(reading: Reading, writing: Writing) -> dict[_Shape, tuple[str, dict[str, _Handler]]]:
    """Return the endpoints by how many parts the path has and every second of them."""
    o = "/organizations/{o}"
    lists, places = "customer-lists", "locations"
    return {
        (1,): ("/organizations", {"GET": reading.organisations}),
        (2,): (o, {"GET": reading.organisation}),
        (3, "customers"): (f"{o}/customers", {"GET": reading.customers}),
        (4, "customers"): (f"{o}/customers/{{id}}", {"GET": reading.customer}),
        (5, "customers", "memberships"): (
            f"{o}/customers/{{id}}/memberships",
            {"GET": reading.memberships},
        ),
        (3, lists): (f"{o}/{lists}", {"GET": reading.lists, "POST": writing.create_list}),
        (4, lists): (f"{o}/{lists}/{{id}}", {"GET": reading.list_, "PUT": writing.rename_list}),
        (5, lists, "members"): (f"{o}/{lists}/{{id}}/members", {"GET": reading.members}),
        (6, lists, "members"): (
            f"{o}/{lists}/{{id}}/members/{{customer}}",
            {"PUT": writing.add_member, "DELETE": writing.remove_member},
        ),
        (3, "payments"): (f"{o}/payments", {"GET": reading.payments}),
        (3, places): (f"{o}/{places}", {"GET": reading.locations}),
        (4, places): (f"{o}/{places}/{{id}}", {"GET": reading.location}),
        (5, places, "orders"): (f"{o}/{places}/{{id}}/orders", {"GET": reading.orders}),
        (6, places, "orders"): (f"{o}/{places}/{{id}}/orders/{{order}}", {"GET": reading.order}),
        (3, "webhooks"): (f"{o}/webhooks", {"GET": reading.webhooks}),
        (4, "webhooks"): (
            f"{o}/webhooks/{{ref}}",
            {"PUT": writing.put_webhook, "DELETE": writing.delete_webhook},
        ),
    }
