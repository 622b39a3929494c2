"""What one webhook of LOKE is about.

Pure. Here: which record an event names, and the record itself where the event carries all of it.
Not here: signatures and receiving (``webhooks``), landing (``sync``). There is no event id and no
time in an event: the record's own times order it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crm_pipeline.core.lossless import UnreadableError, is_usable_id, load_strictly, members_of
from crm_pipeline.errors import MalformedAnswerError
from crm_pipeline.sources.loke.decoding import PartPage, part_page

#: Every event that can be subscribed to, with the dataset that it is about.
HOOK_EVENTS: Mapping[str, str] = {
    "customer.created": "customers",
    "customer.updated": "customers",
    "customer.updated-statistics": "customers",
    "payment.completed": "payments",
    "payment.refunded": "payments",
    "order.created": "orders",
    "order.accepted": "orders",
    "order.rejected": "orders",
    "order.completed": "orders",
}

#: The member of an event that holds the record, by dataset.
_RECORDS = {"customers": "customer", "payments": "payment", "orders": "order"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LokeEvent:
    """One event. ``dataset`` and ``source_id`` are empty for an event that we do not know.

    ``page`` holds the whole record, as text that came, for ``decode_page``; None when the event
    tells only a part of it, so that it must be read again by its id. ``organisation_id`` is empty
    when the event names none.
    """

    event: str
    organisation_id: str
    dataset: str
    source_id: str
    page: PartPage | None


def read_event(body: bytes) -> LokeEvent:
    """Return what a webhook's body is about.

    Raises MalformedAnswerError when it is no event, or an event without the id of its record.
    """
    try:
        value = load_strictly(body)
    except UnreadableError as error:
        raise _malformed(error.fault, body) from None
    event = value.get("event") if isinstance(value, dict) else None
    if not isinstance(event, str):
        raise _malformed("names no event", body)
    dataset = HOOK_EVENTS.get(event, "")
    record = value.get(_RECORDS[dataset]) if dataset else None
    source_id = _id_of(record)
    if dataset and not source_id:
        raise _malformed("holds no record with an id", body)
    return LokeEvent(
        event=event,
        organisation_id=_id_of(value.get("organization")),
        dataset=dataset,
        source_id=source_id,
        page=_page(body, value, dataset) if _is_whole(dataset, record) else None,
    )


def _is_whole(dataset: str, record: Any) -> bool:
    """Whether an event holds all that a read would give.

    A customer without statistics is only a part: landed as it is, it would hide the known points.
    """
    return dataset != "" and (dataset != "customers" or isinstance(record.get("statistics"), dict))


def _page(body: bytes, value: Mapping[str, Any], dataset: str) -> PartPage:
    text = members_of(body, value)[_RECORDS[dataset]]
    location_id = _id_of(value.get("location"))
    return part_page(b"[" + text + b"]", server_date=None, part=location_id)


def _id_of(value: object) -> str:
    found = value.get("id") if isinstance(value, dict) else None
    return str(found) if is_usable_id(found) else ""


def _malformed(fault: str, body: bytes) -> MalformedAnswerError:
    return MalformedAnswerError(
        f"A webhook of LOKE {fault} ({len(body)} bytes).",
        not_done="It was not landed.",
        remedy="Ask the vendor; the next pull finds what it was about.",
    )
