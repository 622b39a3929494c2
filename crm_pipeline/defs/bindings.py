"""Looking up what one organisation has, and connecting for one stage."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from crm_pipeline.core.ports import DestinationApi
from crm_pipeline.errors import ConfigurationError
from crm_pipeline.sync.binding import DestinationBinding, OrganisationBinding


def reads(organisation: OrganisationBinding, source: str, dataset: str) -> bool:
    """Whether an organisation reads a dataset."""
    binding = organisation.sources.get(source)
    return binding is not None and dataset in binding.datasets


def destination_of(organisation: OrganisationBinding, name: str) -> DestinationBinding:
    """Return a destination. Raises ConfigurationError when the organisation has none such."""
    binding = organisation.destinations.get(name)
    if binding is None:
        raise ConfigurationError(
            f"{organisation.slug} has no destination {name}.",
            not_done="Nothing was planned or sent.",
            remedy="Leave it out, or add the destination to the organisation's file.",
        )
    return binding


def reads_any(organisation: OrganisationBinding, datasets: Collection[str]) -> bool:
    """Whether an organisation reads one of some datasets, named ``<source>/<dataset>``."""
    return any(reads(organisation, *each.split("/", 1)) for each in datasets)


@contextmanager
def connected(binding: DestinationBinding) -> Iterator[DestinationApi]:
    """Connect for one stage and give the connections back."""
    api = binding.connect()
    try:
        yield api
    finally:
        api.close()
