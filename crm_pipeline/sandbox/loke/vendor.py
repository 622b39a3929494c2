"""The fake LOKE as an object: what a test or the admin endpoints do to it.

Here: state and the hands that move it. Not here: what LOKE's clients can call (``routes``).
"""

import datetime as dt
import threading
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from crm_pipeline.sandbox.control.faults import FaultBox, FaultRule
from crm_pipeline.sandbox.control.log import RequestLog
from crm_pipeline.sandbox.loke.customers import CustomerStore
from crm_pipeline.sandbox.loke.rows import Pick
from crm_pipeline.sandbox.loke.tokens import TokenDesk
from crm_pipeline.sandbox.people import Customer, People
from crm_pipeline.sandbox.settings import SandboxOrganisation, SandboxSettings


class LokeSwitches(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What may be changed while the sandbox runs."""

    next_link: Literal["relative", "absolute"] = "relative"
    cursor: Literal["key", "offset"] = "key"
    page_size: int = 1000
    membership_page_size: int = 10
    organisation_page_size: int = 100
    error_body: Literal["object", "text"] = "object"
    gzip: bool = False


class Tenant:
    """One organisation that has (or had) installed the client."""

    def __init__(self, organisation: SandboxOrganisation, store: CustomerStore) -> None:
        """Begin installed."""
        self.organisation = organisation
        self.store = store
        #: What an organisation that is not installed answers; None while it is installed.
        self.refused_with: int | None = None
        self.memberships: dict[str, list[dict[str, str]]] = {}
        self.pages: dict[tuple[str, ...], tuple[bytes, str | None]] = {}
        self.pages_version = -1


class Loke:
    """State of the fake LOKE. Every method may be called from any thread."""

    def __init__(self, settings: SandboxSettings) -> None:
        """Seed every organisation."""
        self.lock = threading.RLock()
        self.faults = FaultBox()
        self.requests = RequestLog(settings.log_size)
        self.settings = settings
        self.clock = settings.clock
        #: The address clients use; known once the server listens.
        self.base_url = ""
        self.reset()

    def reset(self) -> None:
        """Go back to the beginning: data, switches, faults, log, tokens."""
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
                each.id: Tenant(each, self._store(each, each.customers))
                for each in settings.organisations
            }
            self.faults.clear()
            self.requests.clear()

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
        return self.tenant(organisation).store.people

    def seed(self, organisation: str, customers: int) -> int:
        """Replace an organisation's customers by the first ``customers`` people."""
        with self.lock:
            tenant = self.tenant(organisation)
            tenant.store = self._store(tenant.organisation, customers)
            tenant.memberships = {}
            tenant.pages_version = -1
            return len(tenant.store)

    def mutate(
        self,
        organisation: str,
        *,
        ids: Iterable[str] | None = None,
        count: int = 0,
        fields: dict[str, Any] | None = None,
        updated_at: dt.datetime | str | None = None,
        bump: bool = True,
        pick: Pick = "any",
        seed: int = 7,
    ) -> list[str]:
        """Change customers, named or picked, and return their ids.

        Without ``fields`` each gets a small change drawn from ``seed``. A field given as None is
        removed; ``statistics`` are merged. ``bump`` False leaves ``updatedAt`` alone, as LOKE may
        do when only statistics change.
        """
        with self.lock:
            store = self.tenant(organisation).store
            chosen = list(ids) if ids is not None else store.pick(count, pick, seed)
            at = (updated_at or self.clock()) if bump else None
            changed = store.mutate(chosen, at=at, fields=fields, seed=seed)
            return [before["id"] for before, _ in changed]

    def add(self, organisation: str, customers: Iterable[dict[str, Any]]) -> list[str]:
        """Add customers; what is left out is invented. Returns their ids."""
        with self.lock:
            return self.tenant(organisation).store.add(customers, at=self.clock())

    def delete(
        self,
        organisation: str,
        *,
        ids: Iterable[str] | None = None,
        count: int = 0,
        pick: Pick = "any",
        seed: int = 7,
    ) -> list[str]:
        """Remove customers, named or picked, and return their ids."""
        with self.lock:
            store = self.tenant(organisation).store
            chosen = list(ids) if ids is not None else store.pick(count, pick, seed)
            return store.delete(chosen)

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

    def set_memberships(
        self, organisation: str, customer_id: str, lists: Iterable[dict[str, str]]
    ) -> None:
        """Say which lists (``{"id", "name"}``) a customer is in."""
        with self.lock:
            self.tenant(organisation).memberships[customer_id] = list(lists)

    def uninstall(self, organisation: str, *, status: int = 404) -> None:
        """Take the client's access to an organisation away."""
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

    def disturb(self, names: tuple[str, ...], rule: FaultRule) -> None:
        """Change and remove rows as a fault rule says."""
        known = {each.organisation.slug for each in self.tenants.values()}
        if not known.intersection(names):
            return
        seed = rule.seed + self.requests.count()
        if rule.mutate:
            self.mutate(names[0], count=rule.mutate, pick=rule.pick, seed=seed)
        if rule.delete:
            self.delete(names[0], count=rule.delete, pick=rule.pick, seed=seed)

    def _store(self, organisation: SandboxOrganisation, customers: int) -> CustomerStore:
        return CustomerStore(People(self.settings.seed, organisation.id), customers)
