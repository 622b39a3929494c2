"""Which organisation or campaign an order belongs to, as far as SoPost tells.

An order names only its activity. One API user may see several organisations, and a webhook is no
proof of anything: without this, somebody else's order could land among ours.
"""

import threading
from collections.abc import Iterable
from uuid import UUID

from crm_pipeline.http.origin import path_of
from crm_pipeline.sources.sopost.assumptions import (
    ACTIVITIES_PATH,
    CAMPAIGN_MEMBER,
    CAMPAIGNS_PATH,
    ORGANISATION_MEMBER,
)
from crm_pipeline.sources.sopost.calls import Calls, Row


def is_uuid(text: str) -> bool:
    """Whether a text is a UUID in its usual spelling.

    >>> is_uuid("9a7b6c5d-4e3f-4a2b-8c1d-0e9f8a7b6c5d"), is_uuid("../orders"), is_uuid("9" * 32)
    (True, False, False)
    """
    try:
        return str(UUID(text)) == text.lower()
    except ValueError:
        return False


class Ownership:
    """Tells whether an activity is of our organisation or campaign. Thread-safe.

    What SoPost says is kept as long as the connection. An activity of which it says nothing is
    taken for ours, because the endpoints are a guess of ours.
    """

    def __init__(self, calls: Calls, entity_type: str, entity_id: str) -> None:
        self._calls = calls
        self._is_campaign = entity_type == "Campaign"
        self._entity_id = entity_id.lower()
        self._lock = threading.Lock()
        self._known: dict[str, bool] = {}
        self._organisations: dict[str, str] | None = None

    def is_foreign(self, activity_id: str | None) -> bool:
        """Whether an activity is surely not ours."""
        if activity_id is None or not is_uuid(activity_id):
            return False
        with self._lock:
            if activity_id not in self._known:
                self._known[activity_id] = self._ask(activity_id)
            return self._known[activity_id]

    def _ask(self, activity_id: str) -> bool:
        activity = self._calls.row(f"{ACTIVITIES_PATH}{path_of(activity_id)}")
        campaign_id = _id_in(activity, CAMPAIGN_MEMBER)
        if not campaign_id:
            return False
        if self._is_campaign:
            return campaign_id != self._entity_id
        owner = self._organisation_of(campaign_id)
        return bool(owner) and owner != self._entity_id

    def _organisation_of(self, campaign_id: str) -> str:
        if self._organisations is None:
            answer = self._calls.get(CAMPAIGNS_PATH)
            rows = answer.json() if answer.is_success else []
            self._organisations = _owners(rows if isinstance(rows, list) else [])
        return self._organisations.get(campaign_id, "")


def _owners(campaigns: Iterable[object]) -> dict[str, str]:
    return {
        _id_in(each, "id"): _id_in(each, ORGANISATION_MEMBER)
        for each in campaigns
        if isinstance(each, dict)
    }


def _id_in(row: Row, name: str) -> str:
    value = row.get(name)
    return value.lower() if isinstance(value, str) else ""
