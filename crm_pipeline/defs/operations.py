"""Ops that an operator starts by hand or a schedule starts: verify, approve, pause, clean.

Not here: the sweep (``sweep``), the ops inside ``applied`` (``applying``), webhooks (``hooks``),
the lake's files (``maintenance``).
"""

import datetime as dt
from collections.abc import Iterator
from functools import partial

import dagster as dg
from pydantic import Field

from crm_pipeline.defs.choosing import ChoiceConfig, choose
from crm_pipeline.defs.destinations import verify_one
from crm_pipeline.defs.failures import Trouble, dagster_failures, failure_of_many
from crm_pipeline.defs.isolation import work_through
from crm_pipeline.defs.partitions import add_partitions
from crm_pipeline.defs.retention import remove_old_runs
from crm_pipeline.sync.apply import approve_plan
from crm_pipeline.sync.audit import set_paused
from crm_pipeline.wiring import Runtime


@dg.op(out={}, description="Read the CRMs of each chosen organisation back and report drift.")
def read_back(
    context: dg.OpExecutionContext, config: ChoiceConfig, runtime: dg.ResourceParam[Runtime]
) -> Iterator[dg.AssetMaterialization]:
    """Verify every destination of each organisation; end red naming the failed ones."""
    troubles: list[Trouble] = []
    with dagster_failures():
        slugs = choose(runtime, config)
        add_partitions(context.instance, set(slugs) & set(runtime.organisations))
        for slug, name in destinations_of(runtime, slugs):
            results = work_through(runtime, [slug], partial(verify_one, runtime, name))
            for metadata in results.done.values():
                yield dg.AssetMaterialization([name, "drift"], partition=slug, metadata=metadata)
            troubles += results.troubles
        if troubles:
            raise failure_of_many(troubles, total=len(slugs))


def destinations_of(runtime: Runtime, slugs: list[str]) -> Iterator[tuple[str, str]]:
    """Give each organisation with each of its CRMs; one without a usable file comes once."""
    for slug in slugs:
        binding = runtime.organisations.get(slug)
        for name in binding.destinations if binding is not None else [""]:
            yield slug, name


class ApproveConfig(dg.Config):
    """Which plan a person has looked at and wants applied."""

    organisation: str = Field(description="The organisation's slug.")
    destination: str = Field(default="crm_com", description="The CRM.")
    digest: str = Field(description="The plan's digest, at least its first eight characters.")
    approved_by: str = Field(description="Who approves: a staff name or number, for the record.")
    hours: float = Field(default=24.0, gt=0, le=720, description="How long it may be applied.")


@dg.op(out=dg.Out(dg.Nothing), description="Let exactly this plan pass the guards, for some hours.")
def approve(
    context: dg.OpExecutionContext, config: ApproveConfig, runtime: dg.ResourceParam[Runtime]
) -> None:
    """Record the approval."""
    with dagster_failures():
        runtime.organisation(config.organisation)
        header = approve_plan(
            runtime.workspace,
            config.organisation,
            config.destination,
            config.digest,
            by=config.approved_by,
            hours=config.hours,
        )
    context.log.info(
        f"Plan {header.digest} of {config.organisation} is approved. Next: materialise"
        f" {header.destination}/applied for it, or run `sweep_job` for it."
    )


class PauseConfig(dg.Config):
    """Which organisations to stop or to let run again."""

    organisations: list[str] = Field(description="Slugs.")
    is_paused: bool = Field(default=True, description="False lets them run again.")
    started_by: str = Field(
        default="a Dagster run", description="Who asks: a staff name or number, for the record."
    )


@dg.op(out=dg.Out(dg.Nothing), description="Stop organisations, or let them run again.")
def pause(
    context: dg.OpExecutionContext, config: PauseConfig, runtime: dg.ResourceParam[Runtime]
) -> None:
    """Throw the pause switch of each organisation."""
    with dagster_failures():
        for slug in config.organisations:
            runtime.organisation(slug)
            set_paused(runtime.workspace, slug, is_paused=config.is_paused, by=config.started_by)
    word = "paused" if config.is_paused else "running again"
    context.log.info(f"{len(config.organisations):,} organisations are {word}.")


class RetentionConfig(dg.Config):
    """What may be removed."""

    days: int = Field(default=90, ge=7, description="Runs that ended longer ago may go.")
    limit: int = Field(default=5_000, ge=1, description="Runs removed at most, oldest first.")


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Remove runs that ended long ago and that nothing shown depends on.",
)
def clean_runs(
    context: dg.OpExecutionContext, config: RetentionConfig, runtime: dg.ResourceParam[Runtime]
) -> None:
    """Remove old runs with their event logs."""
    with dagster_failures():
        removed = remove_old_runs(
            context.instance, days=config.days, limit=config.limit, now=runtime.clock()
        )
    context.log.info(f"{removed:,} runs were removed.")


class InboxRetentionConfig(dg.Config):
    """Which webhooks may be forgotten."""

    days: int = Field(
        default=30, ge=2, description="Webhooks that were done longer ago go. They hold people."
    )


@dg.op(out=dg.Out(dg.Nothing), description="Forget webhooks that were done with long ago.")
def clean_inbox(
    context: dg.OpExecutionContext,
    config: InboxRetentionConfig,
    runtime: dg.ResourceParam[Runtime],
) -> None:
    """Delete events that were done; those that wait or failed stay."""
    with dagster_failures():
        before = runtime.clock() - dt.timedelta(days=config.days)
        purged = runtime.ledger.inbox.purge(before)
    context.log.info(f"{purged:,} webhooks were forgotten.")
