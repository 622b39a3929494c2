"""Resolve: what landed, rules, consent log and links in; the objects that should exist out.

One module a kind of object. Nothing here reads a source or writes to a CRM.
"""

from collections.abc import Mapping
from functools import partial
from typing import Protocol

from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.resolve.contacts import DESIRED_TABLE, ResolveRules, resolve_contacts
from crm_pipeline.sync.resolve.memberships import MembershipRules, resolve_memberships
from crm_pipeline.sync.resolve.products import ProductRules, resolve_products
from crm_pipeline.sync.resolve.purchases import PurchasingRules, resolve_purchases
from crm_pipeline.sync.resolve.samples import SampleRules
from crm_pipeline.sync.resolve.tables import DESIRED_SCHEMA, ResolveReport
from crm_pipeline.sync.workspace import Workspace

__all__ = [
    "DESIRED_SCHEMA",
    "DESIRED_TABLE",
    "MembershipRules",
    "ProductRules",
    "PurchasingRules",
    "ResolveReport",
    "ResolveRules",
    "Resolver",
    "SampleRules",
    "resolve_contacts",
    "resolve_memberships",
    "resolve_products",
    "resolve_purchases",
    "resolvers",
]


class Resolver(Protocol):
    """Resolves one kind of object of one organisation."""

    def __call__(self, ws: Workspace, *, is_full: bool) -> ResolveReport:
        """Bring the desired objects up to what landed; the caller holds the lease."""
        ...


def resolvers(organisation: OrganisationBinding) -> Mapping[str, Resolver]:
    """Return what has to be resolved for an organisation by name, contacts first.

    The others refer to contacts.
    """
    slug = organisation.slug
    found: dict[str, Resolver] = {
        "contacts": partial(resolve_contacts, organisation=slug, rules=organisation.resolve)
    }
    if organisation.memberships is not None:
        rules = organisation.memberships
        found["memberships"] = partial(resolve_memberships, organisation=slug, rules=rules)
    if organisation.purchases is not None:
        found["purchases"] = partial(
            resolve_purchases, organisation=slug, rules=organisation.purchases
        )
    if organisation.products is not None:
        found["products"] = partial(
            resolve_products, organisation=slug, rules=organisation.products
        )
    return found
