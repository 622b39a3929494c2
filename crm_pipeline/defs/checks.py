"""The checks: one question each, about all organisations together, or about those of a run.

Each answers in a sentence that a person can read ("3 of 1,000 organisations outside their guard:
..."), with a row for each offender. They read the ledger and a plan's own changes, never a CRM.

A run of some organisations judges those, and those that the check found at fault before: it must
neither cost a look at a thousand nor hide another's fault. `checks_job` judges all.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import dagster as dg
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from crm_pipeline.core.ports import DestinationSpec, SourceSpec
from crm_pipeline.defs.bindings import reads
from crm_pipeline.defs.failures import dagster_failures
from crm_pipeline.defs.judging import (
    Concerns,
    Judge,
    balance,
    consent,
    guarded,
    judge_each,
    silence,
    uniqueness,
)
from crm_pipeline.defs.verdicts import offenders_in, verdict
from crm_pipeline.destinations import load_destinations
from crm_pipeline.sources import load_sources
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.wiring import Runtime

_EVALUATED = frozenset(
    {AssetCheckExecutionRecordStatus.SUCCEEDED, AssetCheckExecutionRecordStatus.FAILED}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One check. ``fault`` completes "3 of 1,000 organisations are ..."."""

    asset: dg.AssetKey
    name: str
    description: str
    fault: str
    judge: Callable[[Runtime], Judge]
    concerns: Concerns
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR

    @property
    def key(self) -> dg.AssetCheckKey:
        """Its name in Dagster."""
        return dg.AssetCheckKey(self.asset, self.name)

    def evaluate(
        self, instance: dg.DagsterInstance, runtime: Runtime, only: Collection[str] | None
    ) -> dg.AssetCheckResult:
        """Judge every organisation, or some of them and those that were at fault before."""
        known = set() if only is None else found_before(instance, self.key)
        judged = judge_each(
            runtime, self.judge(runtime), self.concerns, None if only is None else {*only, *known}
        )
        return verdict(self.fault, judged, severity=self.severity)


def every_check() -> Iterator[Check]:
    """Give the checks of every source and of every destination."""
    for source in load_sources().values():
        for dataset in source.datasets.values():
            if dataset.reading != "keyed":
                yield freshness_check(source, dataset.name)
    for spec in load_destinations().values():
        yield from checks_of(spec)


def freshness_check(source: SourceSpec, dataset: str) -> Check:
    """Return the check of how old the newest complete reading is.

    A dataset that only webhooks name has none: no event is no sign of silence.
    """

    def concerns(organisation: OrganisationBinding) -> bool:
        return reads(organisation, source.name, dataset)

    return Check(
        asset=dg.AssetKey([source.name, dataset]),
        name="freshness",
        description="Every organisation that reads it has read it to the end within the last day.",
        fault="silent for more than a day",
        judge=lambda runtime: silence(runtime, source.name, dataset),
        concerns=concerns,
        severity=dg.AssetCheckSeverity.WARN,
    )


def checks_of(spec: DestinationSpec) -> Iterator[Check]:
    """Give the checks of one CRM."""

    def concerns(organisation: OrganisationBinding) -> bool:
        return spec.name in organisation.destinations

    plan, applied = dg.AssetKey([spec.name, "plan"]), dg.AssetKey([spec.name, "applied"])
    yield Check(
        asset=plan,
        name="guards",
        description="Each newest plan is inside its guards, or a person approved it.",
        fault="outside their guard",
        judge=lambda runtime: guarded(runtime, spec.name),
        concerns=concerns,
    )
    yield Check(
        asset=applied,
        name="balance",
        description="The outcomes of each applied plan add up to its changes.",
        fault="out of balance",
        judge=lambda runtime: balance(runtime, spec.name),
        concerns=concerns,
    )
    if "contact" not in {kind.name for kind in spec.kinds}:
        return
    yield Check(
        asset=plan,
        name="consent",
        description="Whoever the newest plan makes mailable has said yes, and not no since.",
        fault="widening consent without proof",
        judge=lambda runtime: consent(runtime, spec),
        concerns=concerns,
    )
    yield Check(
        asset=applied,
        name="uniqueness",
        description="No contact of the CRM, no e-mail address and no phone number stands for two"
        " people.",
        fault="holding somebody twice",
        judge=lambda runtime: uniqueness(runtime, spec),
        concerns=concerns,
    )


def check_definition(check: Check) -> dg.AssetChecksDefinition:
    """Return a check as Dagster runs it, by itself or after its asset."""

    @dg.asset_check(asset=check.asset, name=check.name, description=check.description)
    def judged(
        context: dg.AssetCheckExecutionContext, runtime: dg.ResourceParam[Runtime]
    ) -> dg.AssetCheckResult:
        with dagster_failures():
            return check.evaluate(context.instance, runtime, scope(context))

    return judged


def evaluations(
    instance: dg.DagsterInstance, runtime: Runtime, touched: Mapping[dg.AssetKey, Collection[str]]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Evaluate the checks of assets that a sweep has materialised, for its organisations."""
    for check in every_check():
        if check.asset in touched:
            result = check.evaluate(instance, runtime, touched[check.asset])
            yield dg.AssetCheckEvaluation(
                asset_key=check.asset,
                check_name=check.name,
                passed=result.passed,
                metadata=result.metadata,
                severity=result.severity,
                description=result.description,
            )


def found_before(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> set[str]:
    """Return the organisations that a check named when it was evaluated last."""
    records = instance.event_log_storage.get_asset_check_execution_history(
        key, limit=1, status=_EVALUATED
    )
    found = (record.evaluation for record in records)
    return {slug for each in found if each is not None for slug in offenders_in(each.metadata)}


def scope(context: dg.AssetCheckExecutionContext) -> Collection[str] | None:
    """Return the organisations of a partitioned run, or None: all."""
    has_partitions = context.has_partition_key or context.has_partition_key_range
    return context.partition_keys if has_partitions else None


checks_job = dg.define_asset_job(
    name="checks_job",
    selection=dg.AssetSelection.all_asset_checks(),
    description="Judge all organisations together; nothing is pulled or sent.",
    executor_def=dg.in_process_executor,
    tags={"dagster/max_retries": "0"},
)
