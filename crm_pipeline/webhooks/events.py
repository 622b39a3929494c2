"""What a proved webhook is about: its event, its record, and the name that tells it from others.

Here: the vendors' envelopes, as far as the inbox needs them. Not here: proof (``core.signature``),
and what becomes of the record (the drain). Grades of the facts: vendors files, LOKE 1.13, SoPost
2.3, CRM.COM 3.10.
"""

import hashlib
import re
from dataclasses import dataclass

from crm_pipeline.webhooks.bodies import read_object, text_at
from crm_pipeline.webhooks.refusals import Refused

#: What SoPost's and CRM.COM's webhooks are about.
ORDER = "order"
#: An event that we write ourselves after we were away: look at everything anew.
CATCH_UP = "catch-up"

#: LOKE's events, each with the member that holds its record.
LOKE_RECORDS = {
    "customer.created": "customer",
    "customer.updated": "customer",
    "customer.updated-statistics": "customer",
    "payment.completed": "payment",
    "payment.refunded": "payment",
    "order.created": "order",
    "order.accepted": "order",
    "order.rejected": "order",
    "order.completed": "order",
}
_LOKE_TIMES = (
    "updatedAt",
    "refundedAt",
    "completedAt",
    "rejectedAt",
    "acceptedAt",
    "createdAt",
)
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_WORD = re.compile(r"[A-Za-z0-9._ -]{1,100}")
_CRM_COM_ID = re.compile(r"[A-Za-z0-9._-]{1,100}")


@dataclass(frozen=True, slots=True)
class Event:
    """What a webhook is about. ``is_known`` is false for an event that no page of LOKE's names."""

    name: str
    entity_id: str
    dedup: str
    is_known: bool = True


def loke_event(body: bytes, organisation_id: str) -> Event:
    """Return what a signed body of LOKE says; it must name the organisation of its path.

    LOKE gives no event id. The name is event, record, version and a digest of the body: two
    versions of a record within one second carry the same ``updatedAt`` (FAULTS W11), and taking
    the second for a repetition of the first would lose it. A repeated delivery has the same bytes.

    Raises Refused: 400 for another shape, 403 for another organisation.
    """
    data = read_object(body)
    name = text_at(data, "event")
    owner = text_at(data, "organization", "id")
    if not _WORD.fullmatch(name) or not owner:
        raise Refused(400, "malformed")
    if owner != organisation_id:
        raise Refused(403, "cross_tenant")
    member = LOKE_RECORDS.get(name, name.partition(".")[0])
    entity_id = text_at(data, member, "id")
    times = (text_at(data, member, each) for each in _LOKE_TIMES)
    version = "" if name.endswith("statistics") else next(filter(None, times), "")
    dedup = f"{name}:{entity_id}:{version}:{body_digest(body)}"
    return Event(name, entity_id, dedup, is_known=name in LOKE_RECORDS)


def sopost_event(body: bytes) -> Event:
    """Return what SoPost's thin body points to: an order that is read with our own credentials.

    Two subscriptions may deliver one event under two ``event_id``s (vendors file, trap 42), so
    that order and event are the name; ``event_id`` stays in the stored body.

    Raises Refused (400) unless the ids are UUIDs: they become part of an address that we call.
    """
    data = read_object(body)
    name, order_id = text_at(data, "event"), text_at(data, "order_id")
    activity_id = data.get("activity_id")
    is_activity = activity_id is None or _UUID.fullmatch(text_at(data, "activity_id"))
    if not _WORD.fullmatch(name) or not _UUID.fullmatch(order_id) or not is_activity:
        raise Refused(400, "malformed")
    entity_id = order_id.lower()
    return Event(ORDER, entity_id, f"{entity_id}:{name.upper()}")


def crm_com_event(body: bytes) -> Event:
    """Return what CRM.COM's body is: one order, at the top or in a member ``order`` (a guess).

    Nothing tells two states of an order apart but the whole body. Raises Refused (400).
    """
    data = read_object(body)
    entity_id = text_at(data, "id") or text_at(data, "order", "id")
    if not _CRM_COM_ID.fullmatch(entity_id):
        raise Refused(400, "malformed")
    return Event(ORDER, entity_id, f"{entity_id}:{body_digest(body)}")


def body_digest(body: bytes) -> str:
    """Return the name of a body: 128 bits of its SHA-256, in hex."""
    return hashlib.sha256(body).hexdigest()[:32]
