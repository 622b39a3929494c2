"""Webhook subscriptions of the fake SoPost, and the events that they are sent.

A second subscription for the same address is a second subscription: each gets every event. Here:
who gets what. Not here: how it is carried (``delivery``).
"""

import dataclasses
import hashlib
from typing import Any

import msgspec

from crm_pipeline.sandbox.settings import sopost_uuid
from crm_pipeline.sandbox.sopost.orders import Order

EVENT_TYPE = "OrderEvent"
ENTITY_TYPES = ("Organisation", "Campaign")


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """One subscription."""

    id: str
    url: str
    events: list[str]
    entity_type: str
    entity_id: str
    created: str


class HookBody(msgspec.Struct, kw_only=True):
    """POST /webhooks."""

    url: str
    events: list[str]
    entity_type: str
    entity_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class SentHook:
    """One event on its way to one subscription."""

    hook_id: str
    url: str
    event: dict[str, str]


class Subscriptions:
    """All of them, oldest first."""

    def __init__(self) -> None:
        """Begin with none."""
        self._hooks: dict[str, Hook] = {}
        self._made = 0

    def add(self, body: HookBody, created: str) -> Hook:
        """Subscribe; never looks whether the same is there already."""
        self._made += 1
        hook = Hook(
            id=sopost_uuid("webhook", self._made),
            created=created,
            **msgspec.structs.asdict(body),
        )
        self._hooks[hook.id] = hook
        return hook

    def remove(self, hook_id: str) -> bool:
        """Unsubscribe; False when there is no such subscription."""
        return self._hooks.pop(hook_id, None) is not None

    def find(self, hook_id: str) -> Hook | None:
        """Return one subscription."""
        return self._hooks.get(hook_id)

    def all(self) -> list[Hook]:
        """Return all subscriptions."""
        return list(self._hooks.values())

    def matching(self, order: Order) -> list[Hook]:
        """Return those that are to hear of an order."""
        entities = (order.brand.id, order.brand.campaign_id)
        wanted = set(zip(ENTITY_TYPES, entities, strict=True))
        return [each for each in self.all() if (each.entity_type, each.entity_id) in wanted]


def event_of(order: Order, status: str, *names: Any) -> dict[str, str]:
    """Return the four members of an event; equal ``names`` give an equal ``event_id``."""
    text = "/".join(map(str, (order.id, status, *names)))
    return {
        "event_id": hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(),
        "event": status,
        "order_id": order.id,
        "activity_id": order.activity_id,
    }
