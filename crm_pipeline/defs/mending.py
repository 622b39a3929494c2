"""Ops that an operator starts by hand to mend something: rejects tried again, a plan taken back.

Run configuration names organisations, reasons, keys and digests, never a person.
"""

from collections import Counter

import dagster as dg
from pydantic import Field

from crm_pipeline.defs.bindings import destination_of
from crm_pipeline.defs.failures import dagster_failures
from crm_pipeline.defs.metadata import count_table
from crm_pipeline.sync.retry import RetryReport, choose
from crm_pipeline.sync.retry import retry as retry_rejects
from crm_pipeline.sync.undo import UndoReport
from crm_pipeline.sync.undo import undo as undo_plan
from crm_pipeline.wiring import Runtime


class RetryConfig(dg.Config):
    """Which rejects are tried again: those with some keys, of one reason, or all."""

    organisation: str = Field(description="The organisation's slug.")
    keys: list[str] = Field(default=[], description="Keys as `rejects list` shows them.")
    reason: str | None = Field(default=None, description="All of one reason.")
    is_all: bool = Field(default=False, description="All rejects of the organisation.")
    started_by: str = Field(description="Who starts this: a staff name or number, for the record.")


@dg.op(out=dg.Out(dg.Nothing), description="Try records again that were set aside, and only those.")
def retry(
    context: dg.OpExecutionContext, config: RetryConfig, runtime: dg.ResourceParam[Runtime]
) -> None:
    """Retry the chosen rejects; red while some of them stay."""
    with dagster_failures():
        ws, organisation = runtime.workspace, runtime.organisation(config.organisation)
        stored = ws.ledger.rejects.list(organisation.slug)
        chosen = choose(stored, config.keys, reason=config.reason, is_all=config.is_all)
        report = retry_rejects(ws, organisation, chosen, by=config.started_by)
        context.add_output_metadata(retry_metadata(report))
        raise_for(report)


def retry_metadata(report: RetryReport) -> dict[str, object]:
    """Return what became of the rejects: counts by ending and by reason."""
    endings = Counter(str(each.ending) for each in report.retried)
    reasons = Counter(each.reason for each in report.retried if each.reason)
    return {
        "rejects": len(report.retried),
        "staying": report.staying,
        **count_table("endings", "ending", endings),
        **count_table("reasons", "reason", reasons),
    }


def raise_for(report: RetryReport) -> None:
    """Fail the step when a stage failed or a reject stays."""
    if report.errors:
        raise report.errors[0]
    if report.staying:
        raise dg.Failure(
            f"{report.staying:,} of {len(report.retried):,} rejects of {report.organisation} stay."
            f" See: crm-pipeline rejects list --org {report.organisation}",
            allow_retries=False,
        )


class UndoConfig(dg.Config):
    """Which applied plan is taken back."""

    organisation: str = Field(description="The organisation's slug.")
    destination: str = Field(default="crm_com", description="The CRM.")
    digest: str = Field(description="The plan's digest, at least its first eight characters.")
    is_dry_run: bool = Field(default=True, description="Read the CRM and tell; send nothing.")
    is_archiving: bool = Field(default=False, description="Opt out whom the plan created.")
    started_by: str = Field(description="Who starts this: a staff name or number, for the record.")


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Write back what the CRM held before a plan, where it still holds our value.",
)
def undo(
    context: dg.OpExecutionContext, config: UndoConfig, runtime: dg.ResourceParam[Runtime]
) -> None:
    """Undo one plan; the metadata tells what was left, and why."""
    with dagster_failures():
        organisation = runtime.organisation(config.organisation)
        report = undo_plan(
            runtime.workspace,
            organisation.slug,
            destination_of(organisation, config.destination),
            config.digest,
            by=config.started_by,
            is_dry_run=config.is_dry_run,
            is_archiving=config.is_archiving,
        )
    context.add_output_metadata({"is_dry_run": config.is_dry_run, **undo_metadata(report)})


def undo_metadata(report: UndoReport) -> dict[str, object]:
    """Return what was taken back, and what was left by reason."""
    return {
        "objects": report.objects,
        "archived": report.archived,
        "left": len(report.skipped),
        "undo_digest": report.plan.digest if report.plan else "",
        **count_table("reasons", "reason", report.reasons),
    }
