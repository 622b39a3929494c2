"""What an undo took back is not written again by a later plan, before a person has said so.

A change that would is set aside with the reason ``undone``; the rest of its plan goes on. An
opt-out is never held: it is sent alone. A retry of the reject releases the object.
"""

from collections.abc import Mapping
from dataclasses import replace

from crm_pipeline.core.diff import OPT_OUT_FIELDS
from crm_pipeline.core.fingerprint import fingerprint
from crm_pipeline.core.records import AppliedObject, Change, FieldValue, PlanHeader, WriteResult
from crm_pipeline.core.remedies import UNDONE
from crm_pipeline.store.ledger import Hold
from crm_pipeline.sync.plan import iter_changes
from crm_pipeline.sync.workspace import Workspace

#: The reason of every change of an undo; a plan that has one is an undo.
UNDO = "undo"
#: Holds written in one transaction.
_CHUNK = 1_000

HELD = WriteResult(
    status="rejected",
    reason=UNDONE,
    detail="An undo took this back, and nobody has said since that it is wanted again.",
    calls=0,
)


def is_undo(header: PlanHeader) -> bool:
    """Whether a plan undoes another one."""
    return header.reason_counts.get(UNDO, 0) > 0


def hold_undone(ws: Workspace, header: PlanHeader) -> None:
    """Note what an undo is about to take back, before its first call leaves."""
    held: dict[str, Mapping[str, str]] = {}
    for change in iter_changes(ws, header):
        before = change.before or {}
        held[change.key] = {name: _digest(name, before.get(name)) for name in change.changed}
        if len(held) == _CHUNK:
            _put(ws, header, held)
            held = {}
    _put(ws, header, held)


def _put(ws: Workspace, header: PlanHeader, held: Mapping[str, Mapping[str, str]]) -> None:
    place = (header.organisation, header.destination, header.object_kind)
    ws.ledger.holds.put(*place, header.digest, held)


def let_through(
    change: Change, hold: Hold | None, applied: AppliedObject | None, digest: str
) -> Change | None:
    """Return what may be sent of a change of the plan ``digest``; None when nothing may.

    Held is an update that would give a field the value which was undone.
    """
    if hold is None or applied is None or hold.undo_digest == digest or change.kind != "update":
        return change
    if not any(_is_undone(change, hold, name) for name in change.changed):
        return change
    closing = [
        name for name in OPT_OUT_FIELDS if name in change.changed and change.after.get(name) is True
    ]
    if not closing:
        return None
    after = {**applied.fields, **dict.fromkeys(closing, True)}
    return replace(
        change,
        after=after,
        changed=tuple(closing),
        withheld=applied.withheld,
        fingerprint=fingerprint(after),
    )


def _is_undone(change: Change, hold: Hold, name: str) -> bool:
    return hold.fields.get(name) == _digest(name, change.after.get(name))


def _digest(name: str, value: FieldValue) -> str:
    return fingerprint({name: value})
