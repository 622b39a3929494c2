"""The plan of some objects that a person named, compared anew whatever was tried before.

Beside the incremental plan (``keyed``): no batch has to be new, and equal fingerprints do not end
the comparison, so that a value which the CRM refused, or which was left as it was, is tried again.
"""

from collections.abc import Collection

from crm_pipeline.core.records import AppliedObject, PlanHeader
from crm_pipeline.sync.binding import DestinationBinding
from crm_pipeline.sync.erase.checking import erased_of
from crm_pipeline.sync.plan.desired import newest_desired
from crm_pipeline.sync.plan.keyed import draft_of_rows, rows_of
from crm_pipeline.sync.plan.make import stage_of, store_draft
from crm_pipeline.sync.plan.rows import DraftRow, archive_row
from crm_pipeline.sync.workspace import Workspace


def make_chosen_plan(
    ws: Workspace,
    organisation: str,
    binding: DestinationBinding,
    object_kind: str,
    keys: Collection[str],
) -> PlanHeader:
    """Work out, judge and store what has to change of exactly these objects of a kind.

    Contacts that share a medium with one of them are looked at, too: it may have to change hands.
    Nothing is sent. How far other plans have come does not move.
    """
    spec, policy = binding.spec, binding.policy_of(object_kind)
    kind = spec.kind(object_kind)
    desired = newest_desired(ws, organisation, kind.table, keys)
    applied = ws.ledger.applied.get_many(organisation, spec.name, object_kind, sorted(keys))
    moved = {
        key: wanted for key, wanted in desired.items() if not (kind.is_immutable and key in applied)
    }
    rows = [
        row
        for row in rows_of(ws, organisation, spec.name, object_kind, policy, moved, applied)
        if row.changed or row.values["fingerprint"] != row.values["before_fingerprint"]
    ]
    if policy.on_missing == "archive" and "archive" in kind.calls_for:
        erased = erased_of(ws, organisation)
        gone = [
            known
            for key, known in sorted(applied.items())
            if key not in desired and not erased.has_object(key)
        ]
        rows += _archives(object_kind, gone)
    draft = draft_of_rows(
        rows,
        unchanged=len(desired) - sum(1 for row in rows if row.values["key"] in desired),
        desired_batch=ws.ledger.stages.position(organisation, stage_of(spec.name, kind)),
    )
    return store_draft(ws, organisation, binding, object_kind, draft)


def _archives(object_kind: str, gone: list[AppliedObject]) -> list[DraftRow]:
    rows = (archive_row(object_kind, known) for known in gone)
    return [row for row in rows if row.changed]
