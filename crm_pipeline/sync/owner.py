"""Whose people are these? What is landed under a slug belongs to one organisation of the source.

A slug that is given to another organisation must not lay its people beside the old ones': they
would be sent to the same CRM account. Source: ``FAULTS.md`` T06.
"""

from crm_pipeline.errors import ConfigurationError
from crm_pipeline.sync.binding import SourceBinding
from crm_pipeline.sync.workspace import Workspace


def require_same_owner(ws: Workspace, organisation: str, source: SourceBinding) -> None:
    """Raise ConfigurationError when what was landed belongs to another organisation of the source.

    While nothing was landed, it belongs to whichever organisation is configured.
    """
    if source.owner is None:
        return
    name = source.spec.name
    if ws.ledger.owners.claim(organisation, name, source.owner) == source.owner:
        return
    raise ConfigurationError(
        f"{organisation} is another organisation of {name} than the one whose people were landed"
        " under this slug: its `organisation_id` was changed.",
        not_done=f"Nothing was read from {name}.",
        remedy=(
            "Put the old id back; or give the other organisation a file of its own, with a slug"
            " that was never used."
        ),
    )
