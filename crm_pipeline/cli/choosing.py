"""Which of an organisation's sources and destinations a command is about."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from crm_pipeline.errors import ConfigurationError

if TYPE_CHECKING:
    from crm_pipeline.sync.binding import DestinationBinding, OrganisationBinding

Binding = TypeVar("Binding")


def chosen(what: str, bindings: Mapping[str, Binding], name: str | None) -> Mapping[str, Binding]:
    """Return all bindings, or the one that was named. Raises ConfigurationError when unknown."""
    if name is None:
        return bindings
    if name not in bindings:
        raise ConfigurationError(
            f"There is no {what} {name!r} here. Known: {', '.join(sorted(bindings)) or 'none'}.",
            not_done="Nothing was done.",
        )
    return {name: bindings[name]}


def chosen_destinations(
    organisation: "OrganisationBinding", name: str | None
) -> Mapping[str, "DestinationBinding"]:
    """Return the destinations that a command is about."""
    return chosen("destination", organisation.destinations, name)


def one_destination(organisation: "OrganisationBinding", name: str | None) -> str:
    """Return the only destination, or the one that was named."""
    names = list(chosen_destinations(organisation, name))
    if len(names) == 1:
        return names[0]
    raise ConfigurationError(
        f"{organisation.slug} has several destinations: {', '.join(names)}.",
        not_done="Nothing was done.",
        remedy="Name one with --destination.",
    )
