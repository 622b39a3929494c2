"""The sweep: many organisations in one process, each by itself.

A process for each organisation every few minutes does not scale; one op that handles a list of
them does. It calls the same use case as the command line and reports one materialisation for each
organisation and stage that really changed. Not here: choosing (``choosing``), metadata.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import TypeVar

import dagster as dg

from crm_pipeline.defs.checks import evaluations
from crm_pipeline.defs.choosing import SweepConfig, choose_readers
from crm_pipeline.defs.failures import Trouble, dagster_failures, failure_of_many, trouble_of
from crm_pipeline.defs.metadata import (
    Metadata,
    applied_metadata,
    desired_metadata,
    landed_metadata,
    plan_metadata,
)
from crm_pipeline.defs.partitions import add_partitions
from crm_pipeline.errors import ConfigurationError, LeaseHeldError
from crm_pipeline.sync.run import SyncReport, sync_organisation
from crm_pipeline.sync.together import Together
from crm_pipeline.wiring import Runtime

T = TypeVar("T")

Touched = dict[dg.AssetKey, set[str]]


@dg.op(
    out={},
    description="Pull, resolve, plan, guard and apply for each chosen organisation; then judge"
    " what has changed.",
    tags={"kind": "sweep"},
)
def sweep(
    context: dg.OpExecutionContext, config: SweepConfig, runtime: dg.ResourceParam[Runtime]
) -> Iterator[dg.AssetMaterialization | dg.AssetCheckEvaluation]:
    """Sync each organisation; one that fails does not fail the others; end red naming them."""
    troubles: list[Trouble] = []
    touched: Touched = defaultdict(set)
    with dagster_failures():
        slugs = choose_readers(runtime, config)
        add_partitions(context.instance, set(slugs) & set(runtime.organisations))
        for report in sync_each(runtime, slugs, config):
            context.log.info(sentence(report))
            for event in materialisations(runtime, report):
                touched[event.asset_key].add(report.organisation)
                yield event
            troubles += troubles_of(report)
        yield from evaluations(context.instance, runtime, touched)
        if troubles:
            raise failure_of_many(troubles, total=len(slugs))


def sync_each(runtime: Runtime, slugs: Sequence[str], config: SweepConfig) -> Iterator[SyncReport]:
    """Sync organisations, several at once, and give each report as it is there.

    When the run is stopped, those under way are finished and the rest is not begun.
    """
    work = partial(sync_one, runtime, datasets=config.datasets or None, is_full=config.is_full)
    with Together(work) as together:
        together.ask(slugs)
        yield from together.answers()


def sync_one(
    runtime: Runtime, slug: str, datasets: Collection[str] | None, *, is_full: bool
) -> SyncReport:
    """Sync one organisation. An organisation that cannot be used is a failure of its own."""
    try:
        binding = runtime.organisation(slug)
    except ConfigurationError as error:
        return SyncReport(organisation=slug, errors=[error])
    sources = None if datasets is None else {name.split("/")[0] for name in datasets}
    return sync_organisation(
        runtime.workspace, binding, sources=sources, datasets=datasets, is_full=is_full
    )


def troubles_of(report: SyncReport) -> list[Trouble]:
    """Return why an organisation failed: its first failure.

    An organisation that another run works on right now is passed over: that run reports it.
    """
    if report.error is None or is_busy(report):
        return []
    return [trouble_of(report.organisation, report.error)]


def is_busy(report: SyncReport) -> bool:
    """Whether another living process syncs this organisation."""
    return isinstance(report.error, LeaseHeldError)


def materialisations(runtime: Runtime, report: SyncReport) -> Iterator[dg.AssetMaterialization]:
    """Give one event for each stage that changed something, in the order of the stages.

    So does one that was worked through as a whole: nothing to be found there is something to know.
    """
    ws, slug = runtime.workspace, report.organisation
    for table, pulled in report.pulls.items():
        if pulled.rows_landed or pulled.is_sweep or pulled.is_first:
            metadata = landed_metadata(ws, slug, f"landed/{table}", pulled)
            yield _event(table.split("/"), slug, metadata)
    for name, resolved in report.resolved.items():
        if resolved.rows or resolved.rejects or resolved.is_full:
            yield _event([name], slug, desired_metadata(ws, slug, name, resolved))
    for name, headers in by_destination(report.plans).items():
        if any(header.size for header in headers.values()):
            yield _event([name, "plan"], slug, plan_metadata(list(headers.values())))
    for name, applied in by_destination(report.applied).items():
        if any(any(each.counts.values()) for each in applied.values()):
            yield _event([name, "applied"], slug, applied_metadata(applied))


def by_destination(reports: Mapping[str, T]) -> dict[str, dict[str, T]]:
    """Return reports by destination and kind of object.

    >>> by_destination({"crm_com": 1, "crm_com/purchase": 2})
    {'crm_com': {'contact': 1, 'purchase': 2}}
    """
    found: dict[str, dict[str, T]] = {}
    for name, report in reports.items():
        destination, _, kind = name.partition("/")
        found.setdefault(destination, {})[kind or "contact"] = report
    return found


def _event(key: Sequence[str], slug: str, metadata: Metadata) -> dg.AssetMaterialization:
    return dg.AssetMaterialization(dg.AssetKey(key), partition=slug, metadata=metadata)


def sentence(report: SyncReport) -> str:
    """Return one line about an organisation: counts and codes."""
    if is_busy(report):
        return f"{report.organisation}: passed over, another run works on it."
    landed = sum(pulled.rows_landed for pulled in report.pulls.values())
    outcomes: Counter[str] = Counter()
    for applied in report.applied.values():
        outcomes.update(applied.counts)
    counts = ", ".join(f"{count:,} {kind}" for kind, count in outcomes.items() if count)
    ending = f" Failed: {report.error.code}." if report.error is not None else ""
    return (
        f"{report.organisation}: {landed:,} rows landed, {report.changes:,} changes planned,"
        f" {counts or 'nothing to apply'}.{ending}"
    )
