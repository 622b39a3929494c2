"""Which of an organisation's sources and destinations a command is about."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from crm_pipeline.errors import ConfigurationError

if TYPE_CHECKING:
    from crm_pipeline.sync.binding import DestinationBinding, OrganisationBinding, SourceBinding

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


def chosen_datasets(source: "SourceBinding", names: Sequence[str] | None) -> frozenset[str]:
    """Return the datasets of one source, as ``<source>/<dataset>``: all, or those named."""
    known = frozenset(f"{source.spec.name}/{each}" for each in source.datasets)
    return known if not names else known.intersection(names)


def check_datasets(organisation: "OrganisationBinding", names: Sequence[str] | None) -> None:
    """Raise ConfigurationError for a dataset that the organisation does not read."""
    known = sorted(
        name for source in organisation.sources.values() for name in chosen_datasets(source, None)
    )
    for name in names or ():
        if name not in known:
            raise ConfigurationError(
                f"{organisation.slug} does not read {name!r}. It reads: {', '.join(known)}.",
                not_done="Nothing was done.",
            )


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
