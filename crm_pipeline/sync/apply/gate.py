"""May this plan be applied now?"""

import datetime as dt

from crm_pipeline.core.records import PlanHeader
from crm_pipeline.errors import PlanGuardedError, PlanStaleError
from crm_pipeline.sync.audit import record_approval
from crm_pipeline.sync.plan import load_plan, require_changes, require_exact
from crm_pipeline.sync.workspace import Workspace

APPROVAL_HOURS = 24.0


def approve_plan(
    ws: Workspace,
    organisation: str,
    destination: str,
    digest: str,
    *,
    by: str,
    hours: float = APPROVAL_HOURS,
) -> PlanHeader:
    """Record that a person approved exactly this plan; return it.

    The approval ends after ``hours``. Raises PlanUnknownError for an unknown digest.
    """
    header = load_plan(ws, organisation, destination, digest)
    expires_at = ws.clock() + dt.timedelta(hours=hours)
    ws.ledger.plans.approve(organisation, destination, header.digest, by=by, expires_at=expires_at)
    record_approval(ws, header, by=by, hours=hours)
    return header


def require_approval(ws: Workspace, header: PlanHeader) -> None:
    """Raise PlanStaleError or PlanGuardedError unless the plan may be applied.

    Of a plan that may be, every change has to be there still: PlanForgottenError. What a person
    approved has to be there exactly as it was planned: PlanAlteredError.
    """
    why_stale = stale_reason(ws, header)
    is_free = why_stale is None and not header.is_guarded
    if is_free or _is_approved(ws, header):
        require_changes(ws, header, least=header.size, not_done="Nothing was sent.")
        if header.size and not is_free:
            require_exact(ws, header)
        return
    if why_stale is not None:
        raise PlanStaleError(
            f"Plan {header.digest[:12]} of {header.organisation} is stale: {why_stale}.",
            not_done="Nothing was sent.",
            remedy=f"Make a new one: `crm-pipeline plan --org {header.organisation}`.",
        )
    stopped = "; ".join(f"{v.guard}: {v.message}" for v in header.guards if not v.passed)
    raise PlanGuardedError(
        f"A guard stopped plan {header.digest[:12]} of {header.organisation}. {stopped}",
        not_done="Nothing was sent.",
        remedy=(
            f"Look at it with `crm-pipeline plan show --org {header.organisation}`, then approve"
            f" it: `crm-pipeline plan approve --org {header.organisation} {header.digest[:12]}`."
        ),
    )


def stale_reason(ws: Workspace, header: PlanHeader) -> str | None:
    """Return why the plan is stale, or None.

    Stale is a plan after which another was made, or after which the CRM acknowledged a write of
    another plan. What this plan itself wrote does not count: a killed apply is taken up again.
    """
    organisation, destination = header.organisation, header.destination
    kind = header.object_kind
    newest = ws.ledger.plans.latest(organisation, destination, kind)
    if newest is not None and newest.header.digest != header.digest:
        return f"plan {newest.header.digest[:12]} is newer"
    others = ws.ledger.applied.base(organisation, destination, kind, except_plan=header.digest)
    if others > header.base:
        return "the CRM has changed by another plan since it was made"
    return None


def _is_approved(ws: Workspace, header: PlanHeader) -> bool:
    approval = ws.ledger.plans.approval(header.organisation, header.destination, header.digest)
    return approval is not None and approval.expires_at > ws.clock()
