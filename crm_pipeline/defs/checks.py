"""The checks: one question each, about all organisations together.

Each answers in a sentence that a person can read ("3 of 1,000 organisations outside their guard:
..."), with a row for each offender. They read the ledger and a plan's own changes, never a CRM.
"""

import dagster as dg

from crm_pipeline.core.ports import DestinationSpec, SourceSpec
from crm_pipeline.defs.failures import dagster_failures
from crm_pipeline.defs.judging import balance as balance_of
from crm_pipeline.defs.judging import consent as consent_of
from crm_pipeline.defs.judging import guarded, offenders, silence
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
    def freshness(runtime: dg.ResourceParam[Runtime]) -> dg.AssetCheckResult:
        with dagster_failures():
            return verdict(
                "not pulled for more than a day",
                *offenders(runtime, silence(runtime, source.name, dataset)),
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
    def uniqueness(runtime: dg.ResourceParam[Runtime]) -> dg.AssetCheckResult:
        with dagster_failures():
            return verdict(
                "holding somebody twice", *offenders(runtime, uniqueness_of(runtime, spec))
            )

    return uniqueness


def guards_check(spec: DestinationSpec) -> dg.AssetChecksDefinition:
    """Return the check of the newest plans against their guards."""

    @dg.asset_check(
        asset=[spec.name, "plan"],
        name="guards",
        description="Each newest plan is inside its guards, or a person approved it.",
    )
    def guards(runtime: dg.ResourceParam[Runtime]) -> dg.AssetCheckResult:
        with dagster_failures():
            return verdict(
                "outside their guard",
                *offenders(runtime, guarded(runtime, spec.name)),
            )

    return guards


def consent_check(spec: DestinationSpec) -> dg.AssetChecksDefinition:
    """Return the check of every widened consent against the consent log."""

    @dg.asset_check(
        asset=[spec.name, "plan"],
        name="consent",
        description="Whoever the newest plan makes mailable has said yes, and not no since.",
    )
    def consent(runtime: dg.ResourceParam[Runtime]) -> dg.AssetCheckResult:
        with dagster_failures():
            return verdict(
                "widening consent without proof",
                *offenders(runtime, consent_of(runtime, spec)),
            )

    return consent


def balance_check(spec: DestinationSpec) -> dg.AssetChecksDefinition:
    """Return the check that every applied change has exactly one outcome."""

    @dg.asset_check(
        asset=[spec.name, "applied"],
        name="balance",
        description="The outcomes of each applied plan add up to its changes.",
    )
    def balance(runtime: dg.ResourceParam[Runtime]) -> dg.AssetCheckResult:
        with dagster_failures():
            return verdict(
                "out of balance",
                *offenders(runtime, balance_of(runtime, spec.name)),
            )

    return balance


checks_job = dg.define_asset_job(
    name="checks_job",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Judge all organisations together; nothing is pulled or sent.",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_retries": "0"},
)
