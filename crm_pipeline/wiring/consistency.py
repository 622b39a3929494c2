"""Whether the parts of one organisation's file fit together. Pure: settings in, problems out."""

from collections.abc import Iterator, Mapping

from crm_pipeline.core.ports import DestinationSpec
from crm_pipeline.settings.organisation import OrganisationSettings
from crm_pipeline.settings.yamlfile import Location
from crm_pipeline.wiring.rules import LOYALTY, product_rules, purchasing_rules, reads

#: Where, what is wrong, and what to do.
Misfit = tuple[Location, str, str]


def misfits(
    organisation: OrganisationSettings, destinations: Mapping[str, DestinationSpec]
) -> Iterator[Misfit]:
    """Give everything that is asked for in one place and impossible by another."""
    if organisation.purchases is not None and not reads(organisation, LOYALTY, "payments"):
        yield ("purchases",), "No payments are read.", "Add `payments` to `sources.loke.datasets`."
    if organisation.lists and not reads(organisation, LOYALTY, "list_members"):
        remedy = "Add `list_members` to `sources.loke.datasets`."
        yield ("lists",), "No list members are read.", remedy
    for name in organisation.destinations:
        if name in destinations:
            yield from _of_destination(organisation, destinations[name])


def _of_destination(organisation: OrganisationSettings, spec: DestinationSpec) -> Iterator[Misfit]:
    where: Location = ("destinations", spec.name, "sends")
    sends = organisation.destinations[spec.name].sends
    if "purchases" in sends:
        yield from _of_purchases(organisation, spec, where)
    if "memberships" in sends and not organisation.lists:
        yield where, "No list is opted in.", "Name the lists, and their tags, under `lists`."
    if "products" in sends and product_rules(organisation) is None:
        remedy = "Read `payments`, or add the source `catalogue`."
        yield where, "There is nothing that products come from.", remedy


def _of_purchases(
    organisation: OrganisationSettings, spec: DestinationSpec, where: Location
) -> Iterator[Misfit]:
    if purchasing_rules(organisation) is None:
        remedy = 'Say since when: `purchases: {go_live: "2026-01-31T00:00:00Z"}`.'
        yield where, "Nothing says how payments become purchases.", remedy
        return
    chosen = organisation.purchases
    knows_contacts = any(kind.name == "contact" for kind in spec.kinds)
    if not knows_contacts and (chosen is None or chosen.participant is None):
        remedy = "Set `purchases.participant` to email, phoneNumber or id."
        yield where, f"{spec.title} is not told about contacts and has to know people.", remedy
