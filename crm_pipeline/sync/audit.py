"""What goes into the audit log: one function for each kind of entry, so that all look alike.

Entries hold digests, counts and names of fields, and no key of a person: they cannot be erased.
Whoever carries out an operator's wish calls one of these beside it; the chain itself is
``core.audit`` and ``store.ledger.audit``.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from hashlib import blake2b
from typing import Literal

from crm_pipeline.core.audit import Detail
from crm_pipeline.core.records import PlanHeader
from crm_pipeline.errors import ConfigurationError
from crm_pipeline.sync.workspace import Workspace

#: Who did what no person asked for: a schedule, a sensor, a loop.
AUTOMATIC = "crm-pipeline"

#: Every kind of entry, with what it says.
ENTRIES: Mapping[str, str] = {
    "chain_begun": "an organisation's first entry (in the installation's chain)",
    "plan_approved": "somebody let a plan pass its guards",
    "plan_applied": "a plan was sent to its end: how many changes ended how",
    "plan_partly_applied": "a plan was sent in part, then something stopped it",
    "undo": "a plan was taken back",
    "rejects_retried": "records that were set aside were tried again",
    "reject_discarded": "a record that was set aside was struck off the list, and why",
    "paused": "the organisation was stopped",
    "resumed": "the organisation goes on",
    "account_moved": "what the old CRM account acknowledged was forgotten",
    "person_erased": "a person was erased: how much was removed where",
    "retention_applied": "what was over its age was removed: how much of each kind",
    "webhooks_reset": "webhooks were subscribed anew",
    "webhooks_deleted": "our webhook subscriptions were ended",
}


def record(
    ws: Workspace, organisation: str, *, by: str, what: str, details: Mapping[str, Detail]
) -> None:
    """Add an entry to an organisation's chain; ``what`` is a name of ENTRIES."""
    ws.ledger.audit.append(organisation, who=by, what=what, details=details)


def record_approval(ws: Workspace, header: PlanHeader, *, by: str, hours: float) -> None:
    """Note that a person let a plan pass, and which guards had stopped it."""
    stopped = sorted(verdict.guard for verdict in header.guards if not verdict.passed)
    details: dict[str, Detail] = {**_plan(header), "hours": f"{hours:g}", "guards": stopped}
    record(ws, header.organisation, by=by, what="plan_approved", details=details)


@contextmanager
def recorded_outcomes(ws: Workspace, header: PlanHeader, *, by: str) -> Iterator[None]:
    """Note what became of a plan in the block, whatever ends the block; nothing if nothing did."""
    before = sum(_outcomes(ws, header).values())
    try:
        yield
    finally:
        counts = _outcomes(ws, header)
        settled = sum(counts.values())
        if settled > before:
            what = "plan_applied" if settled == header.size else "plan_partly_applied"
            details: dict[str, Detail] = {**_plan(header), **counts}
            record(ws, header.organisation, by=by, what=what, details=details)


def set_paused(ws: Workspace, organisation: str, *, is_paused: bool, by: str) -> None:
    """Throw the pause switch of an organisation, and note who did."""
    ws.ledger.organisations.set_paused(organisation, is_paused=is_paused)
    record(ws, organisation, by=by, what="paused" if is_paused else "resumed", details={})


def key_digest(key: str) -> str:
    """Return what stands for an object's key in the log, which nobody can be erased from.

    >>> len(key_digest("loke:1"))
    32
    """
    return blake2b(key.encode("utf-8", "replace"), digest_size=16).hexdigest()


def without_persons(why: str) -> str:
    """Return the reason that somebody gives for the log, which keeps it for ever.

    Raises ConfigurationError for one that is empty, or looks like a person's address or number.
    """
    text = " ".join(why.split())
    digits = sum(each.isdigit() for each in text)
    if text and "@" not in text and digits < _MOST_DIGITS and len(text) <= _LONGEST_REASON:
        return text
    raise ConfigurationError(
        "The reason is empty, over 200 characters long, or looks as if it named a person.",
        not_done="Nothing was changed.",
        remedy="Say why in a few words without names, addresses and numbers: it is kept for ever.",
    )


_LONGEST_REASON = 200
_MOST_DIGITS = 7


def _plan(header: PlanHeader) -> dict[str, Detail]:
    names: tuple[Literal["digest", "destination", "object_kind", "size"], ...]
    names = ("digest", "destination", "object_kind", "size")
    return {name: getattr(header, name) for name in names}


def _outcomes(ws: Workspace, header: PlanHeader) -> dict[str, int]:
    place = (header.organisation, header.destination, header.digest)
    return {str(name): count for name, count in ws.ledger.outbox.outcomes(*place).items()}
