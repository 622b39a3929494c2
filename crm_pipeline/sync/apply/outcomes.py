"""What becomes of a change without a call, and whether a change is already in the CRM."""

from collections.abc import Sequence
from dataclasses import replace

from crm_pipeline.core.ports import DestinationSpec, visible_fields
from crm_pipeline.core.records import (
    AppliedObject,
    Change,
    OutcomeKind,
    PlanHeader,
    RemoteObject,
    WriteResult,
)
from crm_pipeline.sync.apply.ledgering import SECOND_CHANCE, Ledgering
from crm_pipeline.sync.workspace import Workspace


def needing_calls(
    ws: Workspace, books: Ledgering, header: PlanHeader, changes: Sequence[Change]
) -> list[Change]:
    """Return the changes that must be sent; settle the others in the books.

    Changes that an earlier process finished are passed over. A change that starts from something
    the CRM no longer holds by our own account is superseded, never sent.
    """
    keys = [change.key for change in changes]
    organisation, destination = header.organisation, header.destination
    done = ws.ledger.outbox.done_keys(organisation, destination, header.digest, keys)
    books.passed_over(len(done))
    applied = ws.ledger.applied.get_many(organisation, destination, header.object_kind, keys)
    to_send = []
    for change in changes:
        if change.key in done:
            continue
        outcome = outcome_without_call(change, applied.get(change.key))
        if outcome is None:
            to_send.append(change)
        else:
            books.close(header.digest, change, outcome, applied.get(change.key))
    return to_send


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
    refused = tuple(name for name in result.withheld if name not in change.withheld)
    if result.status != "acked" or not refused or change.reason == SECOND_CHANCE:
        return None
    return replace(
        change,
        kind="update",
        crm_id=result.crm_id or change.crm_id,
        before=visible_fields(change.after, result.withheld),
        changed=refused,
        reason=SECOND_CHANCE,
    )


def is_there(spec: DestinationSpec, change: Change, remote: RemoteObject) -> bool:
    """Whether the CRM already holds everything that the change wanted to write."""
    after = visible_fields(change.after, change.withheld)
    return all(
        spec.is_same(name, after.get(name), remote.fields.get(name)) for name in change.changed
    )
