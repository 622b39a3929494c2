"""What is told of a stage that an organisation has not opted in to.

Such an organisation costs neither a lease nor a connection, so that everything can be materialised
for everybody.
"""

from crm_pipeline.defs.bindings import reads_any
from crm_pipeline.defs.metadata import Metadata, not_used
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.resolve import resolvers


def not_read(name: str, organisation: OrganisationBinding) -> Metadata | None:
    """Return what is told of an organisation that does not read a dataset."""
    if reads_any(organisation, [name]):
        return None
    return not_used(f"{organisation.slug} does not read {name}.")


def not_desired(name: str, organisation: OrganisationBinding) -> Metadata | None:
    """Return what is told of an organisation that wants no such objects."""
    if name in resolvers(organisation):
        return None
    return not_used(f"{organisation.slug} has no {name}: see its organisation file.")


def not_sent(destination: str, organisation: OrganisationBinding) -> Metadata | None:
    """Return what is told of an organisation that has no such CRM."""
    if destination in organisation.destinations:
        return None
    return not_used(f"{organisation.slug} has no {destination}.")
