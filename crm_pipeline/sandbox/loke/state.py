"""What the fake LOKE knows and how it is set up; what happens in it is in ``vendor``.

Here: organisations, switches, tokens, faults, log, the way of an event to its subscribers.
"""

import threading
from typing import Any

import msgspec

from crm_pipeline.sandbox.control.faults import FaultBox
from crm_pipeline.sandbox.control.log import RequestLog
from crm_pipeline.sandbox.delivery import LOKE_RETRIES, HookSender, Message
from crm_pipeline.sandbox.loke.events import Payload, envelope
from crm_pipeline.sandbox.loke.switches import LokeSwitches
from crm_pipeline.sandbox.loke.tenants import Tenant
from crm_pipeline.sandbox.loke.tokens import TokenDesk
from crm_pipeline.sandbox.people import Customer, People
from crm_pipeline.sandbox.settings import SandboxSettings


class LokeState:
    """State of the fake LOKE. Every method may be called from any thread."""

    def __init__(self, settings: SandboxSettings) -> None:
        """Seed every organisation."""
        self.lock = threading.RLock()
        self.faults = FaultBox()
        self.requests = RequestLog(settings.log_size)
        self.settings = settings
        self.clock = settings.clock
        self.hooks = HookSender(settings.clock, LOKE_RETRIES)
        #: The address clients use; known once the server listens.
        self.base_url = ""
        self.reset()

    def reset(self) -> None:
        """Go back to the beginning: data, switches, faults, log, tokens, webhooks."""
        settings = self.settings
        with self.lock:
            self.switches = LokeSwitches(
                next_link=settings.next_link,
                cursor=settings.cursor,
                page_size=settings.page_size,
                gzip=settings.gzip,
            )
            self.tokens = TokenDesk(
                settings.client_id,
                settings.client_secret,
                settings.token_life_seconds,
                settings.clock,
                settings.seed,
            )
            self.tenants = {
                each.id: Tenant(each, each.customers, settings.seed)
                for each in settings.organisations
            }
            self.faults.clear()
            self.requests.clear()
            self.hooks.reset()

    def tenant(self, organisation: str) -> Tenant:
        """Return an organisation by id or slug. Raises KeyError."""
        if organisation in self.tenants:
            return self.tenants[organisation]
        for tenant in self.tenants.values():
            if tenant.organisation.slug == organisation:
                return tenant
        raise KeyError(f"the sandbox has no organisation {organisation!r}")

    def people_of(self, organisation: str) -> People:
        """Return the people from whom an organisation's customers are made."""
        return self.tenant(organisation).people

    def seed(self, organisation: str, customers: int) -> int:
        """Replace an organisation's customers by the first ``customers`` people.

        Lists, payments and orders are again those of the beginning.
        """
        with self.lock:
            tenant = self.tenant(organisation)
            tenant.replace_customers(customers)
            return len(tenant.store)

    def customers(
        self, organisation: str, *, offset: int = 0, limit: int | None = None
    ) -> list[Customer]:
        """Return customers, most recently updated first."""
        with self.lock:
            store = self.tenant(organisation).store
            found: list[Customer] = []
            for index in store.orders["updated"].from_offset(offset):
                if limit is not None and len(found) >= limit:
                    break
                found.append(store.row(index))
            return found

    def customer(self, organisation: str, customer_id: str) -> Customer | None:
        """Return one customer."""
        with self.lock:
            return self.tenant(organisation).store.find(customer_id)

    def count(self, organisation: str) -> int:
        """Count an organisation's customers."""
        with self.lock:
            return len(self.tenant(organisation).store)

    def uninstall(self, organisation: str, *, status: int = 404) -> None:
        """Take the client's access to an organisation away; it gets no webhooks either."""
        with self.lock:
            self.tenant(organisation).refused_with = status

    def install(self, organisation: str) -> None:
        """Give access back."""
        with self.lock:
            self.tenant(organisation).refused_with = None

    def switch(self, **changes: Any) -> LokeSwitches:
        """Change switches. Raises ValueError for unknown names or values."""
        with self.lock:
            try:
                self.switches = msgspec.convert(
                    {**msgspec.structs.asdict(self.switches), **changes}, LokeSwitches
                )
            except msgspec.ValidationError as error:
                raise ValueError(str(error)) from error
            for tenant in self.tenants.values():
                tenant.pages_version = -1
            return self.switches

    def _wants(self, tenant: Tenant, event: str) -> bool:
        """Say whether anybody gets an event, so that nobody builds one for nothing."""
        return tenant.refused_with is None and bool(tenant.subscriptions.to(event))

    def _emit(self, tenant: Tenant, event: str, part: Payload) -> None:
        """Send an event to every subscription that wants it; ask ``_wants`` first."""
        body = msgspec.json.encode({**envelope(event, tenant.organisation), **part})
        for subscription in tenant.subscriptions.to(event):
            self.hooks.send(
                Message(
                    url=subscription.url,
                    event=event,
                    body=body,
                    organisation=tenant.organisation.slug,
                    # The secret of now: a retry after a rotation still carries the old one.
                    headers=lambda chosen=subscription: chosen.headers(  # type: ignore[misc]
                        body, self.switches.signature
                    ),
                )
            )
