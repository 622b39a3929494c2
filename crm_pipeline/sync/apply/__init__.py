"""Apply: carry one plan out, exactly, whatever crashes in between.

``gate`` decides whether the plan may be applied, ``recovery`` finds out what became of writes
that a killed process left behind, ``engine`` sends the rest, ``ledgering`` writes every intent
down before its call and every receipt after it, ``holding`` keeps undone what was undone.
"""

from dataclasses import replace

from crm_pipeline.core.ports import DestinationApi
from crm_pipeline.core.records import OUTCOME_KINDS, PlanHeader
from crm_pipeline.errors import TryLaterError, UnbalancedError
from crm_pipeline.store.ledger import this_process
from crm_pipeline.sync.account import require_same_account
from crm_pipeline.sync.apply.engine import Engine
from crm_pipeline.sync.apply.gate import approve_plan, require_approval
from crm_pipeline.sync.apply.holding import hold_undone, is_undo
from crm_pipeline.sync.apply.ledgering import Ledgering
from crm_pipeline.sync.apply.recovery import recover
from crm_pipeline.sync.apply.report import ApplyReport
from crm_pipeline.sync.audit import AUTOMATIC, recorded_outcomes
from crm_pipeline.sync.binding import DestinationBinding
from crm_pipeline.sync.plan import stage_of
from crm_pipeline.sync.workspace import Workspace

__all__ = ["ApplyReport", "apply_plan", "approve_plan", "recover_writes"]


def apply_plan(
    ws: Workspace,
    organisation: str,
    binding: DestinationBinding,
    api: DestinationApi,
    header: PlanHeader,
    *,
    by: str = AUTOMATIC,
) -> ApplyReport:
    """Apply a stored plan, or what is left of it, and return how every change ended.

    ``by`` names who asked for it, for the audit log.

    Raises ConfigurationError when the account is another one than before; PlanStaleError or
    PlanGuardedError before anything is sent, unless the plan was approved by its digest;
    LeaseHeldError while another process applies; CredentialsRefusedError and TryLaterError when
    the CRM stops us half-way (what was done is recorded, the rest stays pending);
    UnbalancedError when the outcomes do not add up.
    """
    name = binding.spec.name
    with ws.ledger.leases.hold(
        f"apply:{organisation}:{name}", this_process(), ws.waits.lease_seconds
    ) as lease:
        require_same_account(ws, organisation, binding)
        books = Ledgering(ws, organisation, binding, lease)
        recover(ws, books, binding, api)
        require_approval(ws, header)
        if not header.size:
            return _closed(ws, binding, header)
        ws.ledger.plans.set_status(organisation, name, header.digest, "applying")
        if is_undo(header):
            hold_undone(ws, header)
        engine = Engine(ws, books, binding, api, header)
        with recorded_outcomes(ws, header, by=by):
            engine.run()
        return _reported(ws, binding, header, engine, books)


def recover_writes(
    ws: Workspace, organisation: str, binding: DestinationBinding, api: DestinationApi
) -> int:
    """Find out what became of writes that a dead process left behind; return how many.

    Run before a new plan is made, so that the plan starts from what the CRM really holds.
    Raises ConfigurationError when the account is another one than before.
    """
    require_same_account(ws, organisation, binding)
    if not ws.ledger.outbox.unfinished(organisation, binding.spec.name):
        return 0
    name = f"apply:{organisation}:{binding.spec.name}"
    with ws.ledger.leases.hold(name, this_process(), ws.waits.lease_seconds) as lease:
        return recover(ws, Ledgering(ws, organisation, binding, lease), binding, api)


def _reported(
    ws: Workspace,
    binding: DestinationBinding,
    header: PlanHeader,
    engine: Engine,
    books: Ledgering,
) -> ApplyReport:
    organisation, name = header.organisation, header.destination
    counts = ws.ledger.outbox.outcomes(organisation, name, header.digest)
    settled = sum(counts.values())
    if engine.unfinished:
        ws.ledger.plans.set_status(organisation, name, header.digest, "partly")
        raise TryLaterError(
            f"{engine.unfinished:,} of {header.size:,} changes of {organisation} in {name} could"
            f" not be finished ({engine.trouble}).",
            not_done="They stay pending; nothing is lost and nothing is sent twice.",
            remedy=f"Run `crm-pipeline sync --org {organisation}` again later.",
        )
    if settled != header.size:
        raise UnbalancedError(
            f"{organisation}'s plan {header.digest[:12]} has {header.size:,} changes and"
            f" {settled:,} outcomes.",
            remedy="Run it again; if this repeats, report it as a bug with this message.",
        )
    return replace(
        _closed(ws, binding, header),
        counts={kind: counts.get(kind, 0) for kind in OUTCOME_KINDS},
        calls=engine.calls,
        seconds=engine.seconds,
        reject_reasons=dict(books.reject_reasons.most_common()),
    )


def _closed(ws: Workspace, binding: DestinationBinding, header: PlanHeader) -> ApplyReport:
    """Note that nothing of the plan is left to do; return the report of one without changes."""
    organisation, name = header.organisation, header.destination
    ws.ledger.plans.set_status(organisation, name, header.digest, "applied")
    stage = stage_of(name, binding.spec.kind(header.object_kind))
    ws.ledger.stages.advance(organisation, stage, header.desired_batch)
    return ApplyReport(
        digest=header.digest,
        counts=dict.fromkeys(OUTCOME_KINDS, 0),
        calls=0,
        seconds=0.0,
        reject_reasons={},
    )
