"""Where one organisation stands, from its ledger entry."""

import dataclasses
import datetime as dt
from typing import TYPE_CHECKING, Any

from crm_pipeline.core.render import duration

if TYPE_CHECKING:
    from crm_pipeline.store.ledger import OrganisationStatus

COLUMNS = (
    "Organisation", "State", "Pending", "Unknown", "Rejected", "Oldest", "Last success"
)  # fmt: skip


def standing_json(status: "OrganisationStatus", *, is_paused: bool) -> dict[str, Any]:
    """Return one organisation's entry of ``status --json``; times in ISO 8601, UTC."""
    document = dataclasses.asdict(status)
    document["is_paused"] = is_paused
    document["watermarks"] = {name: _iso(at) for name, at in status.watermarks.items()}
    document["last_success"] = _iso(status.last_success)
    document["failed_at"] = _iso(status.failed_at)
    return document


def standing_row(status: "OrganisationStatus", *, is_paused: bool) -> list[object]:
    """Return one organisation's line of the table."""
    oldest, success = status.oldest_pending_seconds, status.last_success
    return [
        status.organisation,
        _state(status, is_paused=is_paused),
        status.inbox_pending + status.outbox_pending,
        status.unknown,
        status.rejected,
        None if oldest is None else duration(oldest),
        "never" if success is None else f"{success:%Y-%m-%d %H:%M:%S} UTC",
    ]


def _state(status: "OrganisationStatus", *, is_paused: bool) -> str:
    if is_paused:
        return "paused"
    if status.failure_code is not None:
        return f"FAILED: {status.failure_code}"
    return "ok" if status.last_success is not None else "new"


def _iso(at: dt.datetime | None) -> str | None:
    return None if at is None else at.isoformat()
