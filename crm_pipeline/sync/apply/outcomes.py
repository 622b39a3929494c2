"""What becomes of a change without a call, and whether a change is already in the CRM."""

from collections.abc import Sequence
from dataclasses import replace

from crm_pipeline.core.ports import DestinationSpec, ObjectKind, visible_fields
from crm_pipeline.core.records import (
    AppliedObject,
    Change,
    OutcomeKind,
    PlanHeader,
    RemoteObject,
    WriteResult,
)
from crm_pipeline.sync.apply.holding import HELD, let_through
from crm_pipeline.sync.apply.ledgering import SECOND_CHANCE, Ledgering, has_second_chance
from crm_pipeline.sync.erase.checking import Erased
from crm_pipeline.sync.plan.waiting import lacking_reason
from crm_pipeline.sync.workspace import Workspace


def needing_calls(
    ws: Workspace,
    books: Ledgering,
    header: PlanHeader,
    kind: ObjectKind,
    changes: Sequence[Change],
    erased: Erased,
) -> list[Change]:
    """Return the changes that must be sent, with their references; settle the others in the books.

    Changes that an earlier process finished are passed over. A change that starts from something
    the CRM no longer holds by our own account is superseded, never sent; so is one of somebody who
    is erased by now. One that an undo holds back is set aside.
    """
    keys = [change.key for change in changes]
    organisation, destination = header.organisation, header.destination
    done = ws.ledger.outbox.done_keys(organisation, destination, header.digest, keys)
    books.passed_over(len(done))
    applied = ws.ledger.applied.get_many(organisation, destination, header.object_kind, keys)
    holds = ws.ledger.holds.of(organisation, destination, header.object_kind, keys)
    to_send = []
    for change in changes:
        if change.key in done:
            continue
        known = applied.get(change.key)
        is_erased = erased.has_object(change.key)
        outcome = "superseded" if is_erased else outcome_without_call(change, known)
        if outcome is not None:
            books.close(header.digest, change, outcome, known)
            continue
        allowed = let_through(change, holds.get(change.key), known, header.digest)
        if allowed is None:
            books.settle(header.digest, change, HELD, attempts=0)
        else:
            to_send.append(allowed)
    return _referring(ws, books, header, kind, to_send) if kind.references else to_send


def _referring(
    ws: Workspace,
    books: Ledgering,
    header: PlanHeader,
    kind: ObjectKind,
    changes: Sequence[Change],
) -> list[Change]:
    """Look up the CRM's ids of what the changes refer to; set aside those whose object is missing.

    The first plan after that object is there tries them again (``sync.plan.waiting``).
    """
    ids: dict[str, dict[str, str]] = {}
    for field, other in kind.references.items():
        keys = {str(change.after[field]) for change in changes if change.after.get(field)}
        found = ws.ledger.applied.get_many(
            header.organisation, header.destination, other, sorted(keys)
        )
        ids[field] = {key: each.crm_id for key, each in found.items()}
    ready = []
    for change in changes:
        wanted = {field: change.after[field] for field in ids if change.after.get(field)}
        missing = [field for field, key in wanted.items() if str(key) not in ids[field]]
        if missing:
            other = kind.references[missing[0]]
            books.settle(header.digest, change, _lacking(other), attempts=0)
        else:
            references = {field: ids[field][str(key)] for field, key in wanted.items()}
            ready.append(replace(change, references=references))
    return ready


def _lacking(object_kind: str) -> WriteResult:
    return WriteResult(
        status="rejected",
        reason=lacking_reason(object_kind),
        detail=f"The {object_kind} that it belongs to is not in the CRM yet.",
        calls=0,
    )


def outcome_without_call(change: Change, applied: AppliedObject | None) -> OutcomeKind | None:
    """Return how a change ends without a call, or None when it has to be sent."""
    if applied is not None and applied.fingerprint == change.fingerprint and not change.changed:
        return "unchanged"
    known = None if applied is None else visible_fields(applied.fields, applied.withheld)
    if known != change.before:
        return "superseded"
    if not change.changed:
        return "withheld" if change.withheld else "unchanged"
    return None


def second_chance(change: Change, result: WriteResult) -> Change | None:
    """Return the change that tries refused media again, or None when none was refused."""
    if not has_second_chance(change, result):
        return None
    refused = tuple(name for name in result.withheld if name not in change.withheld)
    return replace(
        change,
        kind="update",
        crm_id=result.crm_id or change.crm_id,
        before=visible_fields(change.after, result.withheld),
        changed=refused,
        reason=SECOND_CHANCE,
    )


def is_there(spec: DestinationSpec, change: Change, remote: RemoteObject) -> bool:
    """Whether the CRM already holds everything that the change wanted to write.

    Of what can be created only, being there is enough.
    """
    if spec.kind(change.object_kind).is_immutable:
        return True
    after = visible_fields(change.after, change.withheld)
    return all(
        spec.is_same(name, after.get(name), remote.fields.get(name)) for name in change.changed
    )
