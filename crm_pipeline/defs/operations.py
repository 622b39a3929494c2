"""Ops that an operator starts by hand or a schedule starts: verify, approve, pause, clean.

Not here: the sweep (``sweep``), the ops inside ``applied`` (``applying``), webhooks (``hooks``),
the lake's files (``maintenance``).
"""

import datetime as dt
from collections.abc import Iterator
from functools import partial

import dagster as dg
from pydantic import Field

from crm_pipeline.defs.choosing import ChoiceConfig, Which, choose
from crm_pipeline.defs.destinations import verify_one
from crm_pipeline.defs.failures import Trouble, dagster_failures, failure_of_many
from crm_pipeline.defs.isolation import work_through
from crm_pipeline.defs.partitions import add_partitions
from crm_pipeline.defs.retention import remove_old_runs
from crm_pipeline.errors import LeaseHeldError
from crm_pipeline.sync.apply import approve_plan
from crm_pipeline.sync.audit import AUTOMATIC, set_paused
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.retention import RetentionReport, work_off
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


class AgeConfig(ChoiceConfig):
    """Whose things are looked through; how long they are kept is in the organisations' files."""

    which: Which = Field(default=Which.ALL, description="As in `sweep_job`.")
    is_dry_run: bool = Field(default=False, description="Only count.")
    strangers_days: int = Field(
        default=30,
        ge=2,
        description="Webhooks of organisations without a file go so long after they were done.",
    )


@dg.op(
    out=dg.Out(dg.Nothing),
    description="Remove what is over its age: versions of landed records, webhooks, changes of"
    " plans, as each organisation's file says.",
)
def clean_old(
    context: dg.OpExecutionContext, config: AgeConfig, runtime: dg.ResourceParam[Runtime]
) -> None:
    """Apply each organisation's retention; end red naming the failed ones."""
    with dagster_failures():
        slugs = choose(runtime, config)
        work = partial(clean_one, runtime, is_dry_run=config.is_dry_run)
        results = work_through(runtime, slugs, work)
        for slug, counts in results.done.items():
            context.log.info(f"{slug}: {counts}")
        if config.which is Which.ALL and not config.is_dry_run:
            clean_strangers(runtime, config.strangers_days)
        troubles = [each for each in results.troubles if each.code != LeaseHeldError.code]
        if troubles:
            raise failure_of_many(troubles, total=len(slugs))


def clean_one(runtime: Runtime, organisation: OrganisationBinding, *, is_dry_run: bool) -> str:
    """Apply one organisation's retention under its lease; return one line about it."""
    report = RetentionReport(organisation=organisation.slug, is_dry_run=is_dry_run)
    work_off(runtime.workspace, organisation, report, by=AUTOMATIC)
    would = "would go" if is_dry_run else "are gone"
    counts = ", ".join(f"{count:,} {name}" for name, count in report.counts.items())
    return f"{counts} {would}, {report.files:,} files of before are deleted."


def clean_strangers(runtime: Runtime, days: int) -> None:
    """Forget webhooks of organisations that no file describes any more."""
    before = runtime.clock() - dt.timedelta(days=days)
    inbox = runtime.ledger.inbox
    for slug in inbox.organisations():
        if slug not in runtime.loaded.files:
            inbox.purge(before, slug)
