"""The checks: one question each, about all organisations together, or about those of a run.

Each answers in a sentence that a person can read ("3 of 1,000 organisations outside their guard:
..."), with a row for each offender. They read the ledger and a plan's own changes, never a CRM.
"""

from collections.abc import Sequence

import dagster as dg

from crm_pipeline.core.ports import DestinationSpec, SourceSpec
from crm_pipeline.defs.failures import dagster_failures
from crm_pipeline.defs.judging import balance as balance_of
from crm_pipeline.defs.judging import consent as consent_of
from crm_pipeline.defs.judging import guarded, judge_each, silence
from crm_pipeline.defs.judging import uniqueness as uniqueness_of
from crm_pipeline.defs.verdicts import verdict
from crm_pipeline.wiring import Runtime


def freshness_check(source: SourceSpec, dataset: str) -> dg.AssetChecksDefinition:
    """Return the check of how old the newest complete pull is."""

    @dg.asset_check(
        asset=[source.name, dataset],
        name="freshness",
        description="Every organisation was pulled to the end within the last day.",
    )
    def freshness(
        context: dg.AssetCheckExecutionContext, runtime: dg.ResourceParam[Runtime]
    ) -> dg.AssetCheckResult:
        with dagster_failures():
            return verdict(
                "silent for more than a day",
                judge_each(runtime, silence(runtime, source.name, dataset), scope(context)),
                severity=dg.AssetCheckSeverity.WARN,
            )

    return freshness


def uniqueness_check(spec: DestinationSpec) -> dg.AssetChecksDefinition:
    """Return the check that the CRM holds nobody twice and no medium twice."""

    @dg.asset_check(
        asset=[spec.name, "applied"],
        name="uniqueness",
        description="No contact of the CRM, no e-mail address and no phone number stands for two"
        " people.",
    )
    def uniqueness(
        context: dg.AssetCheckExecutionContext, runtime: dg.ResourceParam[Runtime]
    ) -> dg.AssetCheckResult:
        with dagster_failures():
            return verdict(
                "holding somebody twice",
                judge_each(runtime, uniqueness_of(runtime, spec), scope(context)),
            )

    return uniqueness


def guards_check(spec: DestinationSpec) -> dg.AssetChecksDefinition:
    """Return the check of the newest plans against their guards."""

    @dg.asset_check(
        asset=[spec.name, "plan"],
        name="guards",
        description="Each newest plan is inside its guards, or a person approved it.",
    )
    def guards(
        context: dg.AssetCheckExecutionContext, runtime: dg.ResourceParam[Runtime]
    ) -> dg.AssetCheckResult:
        with dagster_failures():
            return verdict(
                "outside their guard",
                judge_each(runtime, guarded(runtime, spec.name), scope(context)),
            )

    return guards


def consent_check(spec: DestinationSpec) -> dg.AssetChecksDefinition:
    """Return the check of every widened consent against the consent log."""

    @dg.asset_check(
        asset=[spec.name, "plan"],
        name="consent",
        description="Whoever the newest plan makes mailable has said yes, and not no since.",
    )
    def consent(
        context: dg.AssetCheckExecutionContext, runtime: dg.ResourceParam[Runtime]
    ) -> dg.AssetCheckResult:
        with dagster_failures():
            return verdict(
                "widening consent without proof",
                judge_each(runtime, consent_of(runtime, spec), scope(context)),
            )

    return consent


def balance_check(spec: DestinationSpec) -> dg.AssetChecksDefinition:
    """Return the check that every applied change has exactly one outcome."""

    @dg.asset_check(
        asset=[spec.name, "applied"],
        name="balance",
        description="The outcomes of each applied plan add up to its changes.",
    )
    def balance(
        context: dg.AssetCheckExecutionContext, runtime: dg.ResourceParam[Runtime]
    ) -> dg.AssetCheckResult:
        with dagster_failures():
            return verdict(
                "out of balance",
                judge_each(runtime, balance_of(runtime, spec.name), scope(context)),
            )

    return balance


def scope(context: dg.AssetCheckExecutionContext) -> Sequence[str] | None:
    """Return the organisations of a partitioned run, or None: all.

    A run of one organisation must not cost a look at a thousand.
    """
    has_partitions = context.has_partition_key or context.has_partition_key_range
    return context.partition_keys if has_partitions else None


checks_job = dg.define_asset_job(
    name="checks_job",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Judge all organisations together; nothing is pulled or sent.",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_retries": "0"},
)
