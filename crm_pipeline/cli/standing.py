"""Where one organisation stands, from its ledger entry."""

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from crm_pipeline.store.ledger import OrganisationStatus


def standing_json(
    status: "OrganisationStatus", now: dt.datetime, *, is_paused: bool
) -> dict[str, Any]:
    """Return one organisation's entry of ``status --json``."""
    return {**dataclasses.asdict(status), "paused": is_paused}


def standing_row(slug: str, document: dict[str, Any]) -> list[object]:
    """Return one organisation's line of the table."""
    return [slug, document]
