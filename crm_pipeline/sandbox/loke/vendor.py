"""The fake LOKE as an object: what a test or the admin endpoints do to it.

Everything that LOKE would tell its subscribers is sent to them (``hooks``). Here: customers and
lists. Not here: payments and orders (``selling``), what LOKE's clients can call (``routes``).
"""

import datetime as dt
from collections.abc import Iterable
from typing import Any

from crm_pipeline.sandbox.control.faults import FaultRule
from crm_pipeline.sandbox.loke.events import customer_part
from crm_pipeline.sandbox.loke.rows import Pick, written
from crm_pipeline.sandbox.loke.selling import Selling
from crm_pipeline.sandbox.loke.tenants import Tenant
from crm_pipeline.sandbox.people import Customer


class Loke(Selling):
    """The whole vendor. Every method may be called from any thread."""

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
        """Change customers, named or picked, and return their ids: customer.updated for each.

        Without ``fields`` each gets a small change drawn from ``seed``. A field given as None is
        removed; ``statistics`` are merged, and customer.updated-statistics is sent as well.
        ``bump`` False leaves ``updatedAt`` alone, as LOKE may do when only statistics change; then
        there is no customer.updated unless something else changed.
        """
        with self.lock:
            tenant = self.tenant(organisation)
            store = tenant.store
            chosen = list(ids) if ids is not None else store.pick(count, pick, seed)
            at = (updated_at or self.clock()) if bump else None
            changed = store.mutate(chosen, at=at, fields=fields, seed=seed)
            for before, after in changed:
                self._tell_change(tenant, before, after)
            return [before["id"] for before, _ in changed]

    def update_customer(
        self, organisation: str, customer_id: str, fields: dict[str, Any], *, bump: bool = True
    ) -> Customer:
        """Change one customer: customer.updated. Raises KeyError for an unknown one."""
        with self.lock:
            if not self.mutate(organisation, ids=[customer_id], fields=fields, bump=bump):
                raise KeyError(f"there is no customer {customer_id!r}")
            return self.tenant(organisation).store.find(customer_id) or {}

    def create_customer(self, organisation: str, **fields: Any) -> Customer:
        """Add one customer: customer.created. What is left out is invented."""
        with self.lock:
            [customer_id] = self.add(organisation, [fields])
            return self.tenant(organisation).store.find(customer_id) or {}

    def add(self, organisation: str, customers: Iterable[dict[str, Any]]) -> list[str]:
        """Add customers and return their ids: customer.created for each.

        What is left out is invented.
        """
        with self.lock:
            tenant = self.tenant(organisation)
            added = tenant.store.add(customers, at=self.clock())
            if self._wants(tenant, "customer.created"):
                for customer_id in added:
                    customer = tenant.store.find(customer_id) or {}
                    part = customer_part(customer, self.switches)
                    self._emit(tenant, "customer.created", part)
            return added

    def delete(
        self,
        organisation: str,
        *,
        ids: Iterable[str] | None = None,
        count: int = 0,
        pick: Pick = "any",
        seed: int = 7,
    ) -> list[str]:
        """Remove customers, named or picked, and return their ids. LOKE tells nobody."""
        with self.lock:
            tenant = self.tenant(organisation)
            chosen = list(ids) if ids is not None else tenant.store.pick(count, pick, seed)
            removed = tenant.store.delete(chosen)
            tenant.lists.forget(removed)
            return removed

    def create_list(
        self, organisation: str, name: str, *, list_id: str = "", is_ours: bool = False
    ) -> str:
        """Make a customer list and return its id. Raises ValueError when the id is taken."""
        with self.lock:
            lists = self.tenant(organisation).lists
            if list_id in lists.lists:
                raise ValueError(f"there is a list {list_id!r} already")
            return lists.create(name, at=self.clock(), list_id=list_id, is_ours=is_ours).id

    def rename_list(self, organisation: str, list_id: str, name: str) -> None:
        """Give a list, by id or name, another name. Raises KeyError."""
        with self.lock:
            self.tenant(organisation).lists.get(list_id).name = name

    def delete_list(self, organisation: str, list_id: str) -> None:
        """Remove a list, by id or name. Raises KeyError."""
        with self.lock:
            lists = self.tenant(organisation).lists
            del lists.lists[lists.get(list_id).id]

    def add_members(
        self, organisation: str, list_id: str, customer_ids: Iterable[str]
    ) -> list[str]:
        """Put customers in a list and return those who were not in it. LOKE tells nobody.

        Raises KeyError for an unknown list or customer.
        """
        with self.lock:
            tenant = self.tenant(organisation)
            members = tenant.lists.get(list_id).members
            new = [each for each in dict.fromkeys(customer_ids) if each not in members]
            for customer_id in new:
                if tenant.store.index_of(customer_id) is None:
                    raise KeyError(f"there is no customer {customer_id!r}")
            members.update(dict.fromkeys(new, written(self.clock())))
            return new

    def remove_members(
        self, organisation: str, list_id: str, customer_ids: Iterable[str] | None = None
    ) -> list[str]:
        """Take customers off a list, all when none are named. LOKE tells nobody.

        Returns those who were in it. Raises KeyError for an unknown list.
        """
        with self.lock:
            members = self.tenant(organisation).lists.get(list_id).members
            chosen = list(members) if customer_ids is None else list(customer_ids)
            return [each for each in chosen if members.pop(each, None) is not None]

    def members(self, organisation: str, list_id: str) -> list[str]:
        """Return the customers in a list, by id or name. Raises KeyError."""
        with self.lock:
            return list(self.tenant(organisation).lists.get(list_id).members)

    def set_memberships(
        self, organisation: str, customer_id: str, lists: Iterable[dict[str, str]]
    ) -> None:
        """Say which lists (``{"id", "name"}``) a customer is in."""
        with self.lock:
            tenant = self.tenant(organisation)
            tenant.lists.set_memberships(customer_id, lists, at=self.clock())

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

    def _tell_change(self, tenant: Tenant, before: Customer, after: Customer) -> None:
        names = before.keys() | after.keys()
        differ = {name for name in names if before.get(name) != after.get(name)}
        has_other_change = bool(differ - {"statistics"})
        if has_other_change and self._wants(tenant, "customer.updated"):
            self._emit(tenant, "customer.updated", customer_part(after, self.switches))
        if "statistics" in differ:
            self._tell_statistics(tenant, after)
