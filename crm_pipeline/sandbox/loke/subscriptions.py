"""Webhook subscriptions of one organisation, and how a body is signed for one of them.

Source: LOKE's guide to webhooks. Here: subscriptions and signatures. Not here: what an event says
(``events``), how it travels (``delivery``).
"""

import dataclasses
import hashlib
import hmac
from collections.abc import Mapping
from typing import Literal

import msgspec

EVENTS = (
    "customer.created",
    "customer.updated",
    "customer.updated-statistics",
    "payment.completed",
    "payment.refunded",
    "order.created",
    "order.accepted",
    "order.rejected",
    "order.completed",
)
SIGNATURE = "X-Event-Signature"
Signing = Literal["right", "wrong", "missing", "old_secret"]


class SubscriptionBody(msgspec.Struct, frozen=True):
    """PUT webhooks/{ref}; members that LOKE does not know are ignored."""

    url: str
    secret: str
    events: list[str]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Subscription:
    """One subscription; a repeated PUT replaces it whole."""

    ref: str
    url: str
    secret: str
    events: tuple[str, ...]
    #: The secret before the last rotation, for those who sign with it by mistake.
    old_secret: str = ""

    def body(self) -> dict[str, str | list[str]]:
        """Return the subscription as LOKE answers it: without the secret."""
        return {"ref": self.ref, "url": self.url, "events": list(self.events)}

    def headers(self, body: bytes, signing: Signing) -> Mapping[str, str]:
        """Return the headers of a delivery."""
        if signing == "missing":
            return {}
        secret = self.secret
        if signing == "wrong":
            secret += "-wrong"
        elif signing == "old_secret" and self.old_secret:
            secret = self.old_secret
        return {SIGNATURE: signature(secret, body)}


def signature(secret: str, body: bytes) -> str:
    """Sign raw bytes.

    >>> body = '{"event":"customer.updated","customer":{"firstName":"Zoë"}}'
    >>> signature("sandbox-loke-secret", body.encode())[:23]
    'sha256=d9fd3cabd8429aa2'
    """
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


class Subscriptions:
    """All subscriptions of one organisation, by the name that the client gave them."""

    def __init__(self) -> None:
        """Begin with none."""
        self._by_ref: dict[str, Subscription] = {}

    def put(self, ref: str, body: SubscriptionBody) -> Subscription:
        """Make or replace a subscription. Raises ValueError for an event that does not exist."""
        unknown = sorted(set(body.events) - set(EVENTS))
        if unknown or not body.events:
            raise ValueError(f"unknown events: {', '.join(unknown)}" if unknown else "no events")
        if not body.url.startswith(("http://", "https://")) or not body.secret:
            raise ValueError("url must be an address, secret must not be empty")
        before = self._by_ref.get(ref)
        old_secret = ""
        if before is not None:
            is_same = before.secret == body.secret
            old_secret = before.old_secret if is_same else before.secret
        made = Subscription(
            ref=ref,
            url=body.url,
            secret=body.secret,
            events=tuple(body.events),
            old_secret=old_secret,
        )
        self._by_ref[ref] = made
        return made

    def remove(self, ref: str) -> bool:
        """Remove a subscription; False when there was none."""
        return self._by_ref.pop(ref, None) is not None

    def all(self) -> list[Subscription]:
        """Return all subscriptions."""
        return list(self._by_ref.values())

    def to(self, event: str) -> list[Subscription]:
        """Return the subscriptions that want an event."""
        return [each for each in self._by_ref.values() if event in each.events]
