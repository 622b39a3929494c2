"""Sync: pull, drain, resolve, plan, guard and apply for one organisation, in this process, now.

Each stage is safe to repeat and each failure is kept apart: a source that does not answer does
not stop what was landed before from being delivered.
"""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass, field

from crm_pipeline.core.records import PlanHeader
from crm_pipeline.errors import (
    BugError,
    ConfigurationError,
    CrmPipelineError,
    LeaseHeldError,
    PlanGuardedError,
)
from crm_pipeline.store.ledger import this_process
from crm_pipeline.sync.apply import ApplyReport, apply_plan, recover_writes
from crm_pipeline.sync.binding import DestinationBinding, OrganisationBinding, SourceBinding
from crm_pipeline.sync.drain import DrainReport, drain
from crm_pipeline.sync.erase.running import resume_erasures
from crm_pipeline.sync.land import PullReport, pull
from crm_pipeline.sync.owner import require_same_owner
from crm_pipeline.sync.plan import make_kind_plan, plan_name
from crm_pipeline.sync.resolve import ResolveReport, resolvers
from crm_pipeline.sync.workspace import Workspace

#: How datasets are read that webhooks tell of; a look at them costs a page when nothing is new.
_TOLD_BY_WEBHOOKS = ("newest_first", "keyed")


@dataclass(slots=True, kw_only=True)
class SyncReport:
    """What one sync did.

    ``pulls`` is keyed ``<source>/<dataset>``, ``resolved`` by the name of the desired objects,
    ``plans`` and ``applied`` by destination and kind (``plan_name``). ``errors`` holds every
    failure in the order in which it happened; empty means all is well.
    """

    organisation: str
    drained: DrainReport | None = None
    pulls: dict[str, PullReport] = field(default_factory=dict)
    resolved: dict[str, ResolveReport] = field(default_factory=dict)
    plans: dict[str, PlanHeader] = field(default_factory=dict)
    applied: dict[str, ApplyReport] = field(default_factory=dict)
    errors: list[CrmPipelineError] = field(default_factory=list)

    @property
    def error(self) -> CrmPipelineError | None:
        """The first failure, or None."""
        return self.errors[0] if self.errors else None

    @property
    def changes(self) -> int:
        """Changes that were planned."""
        return sum(plan.size for plan in self.plans.values())


def sync_organisation(
    ws: Workspace,
    organisation: OrganisationBinding,
    *,
    sources: Collection[str] | None = None,
    destinations: Collection[str] | None = None,
    datasets: Collection[str] | None = None,
    is_full: bool = False,
) -> SyncReport:
    """Bring every destination of one organisation up to date; never raises for a failed stage.

    ``sources``, ``destinations`` and ``datasets`` (``<source>/<dataset>``) narrow the work;
    ``is_full`` scans the whole source and compares everything. Without ``datasets``, those that
    have to be read whole are left to their schedules (``is_due``). Another sync of the same
    organisation in progress is a LeaseHeldError in the report. Success or failure is recorded for
    ``status``.
    """
    report = SyncReport(organisation=organisation.slug)
    lease_seconds = ws.waits.lease_seconds
    with _kept(report):
        require_active(ws, organisation)
        with ws.ledger.leases.hold(f"sync:{organisation.slug}", this_process(), lease_seconds):
            chosen = _Chosen(sources, destinations, datasets, is_full)
            _sync(ws, organisation, report, chosen)
    _record(ws, report)
    return report


def _sync(
    ws: Workspace,
    organisation: OrganisationBinding,
    report: SyncReport,
    chosen: "_Chosen",
) -> None:
    with _kept(report):
        for each in resume_erasures(ws, organisation):
            report.errors += each.troubles
    pulled: dict[str, dt.datetime] = {}
    for name, source in organisation.sources.items():
        if chosen.sources is None or name in chosen.sources:
            with _kept(report):
                began = ws.clock()
                pull_source(ws, organisation.slug, source, report, chosen.datasets, chosen.is_full)
                if caught_up(source, report):
                    pulled[name] = began
    with _kept(report):
        report.drained = drain(ws, organisation, pulled=pulled)
        report.errors += report.drained.errors
    is_whole = chosen.is_full and not report.errors
    for name, resolve in resolvers(organisation).items():
        with _kept(report):
            report.resolved[name] = resolve(ws, is_full=is_whole)
    for name, destination in organisation.destinations.items():
        if chosen.destinations is None or name in chosen.destinations:
            with _kept(report):
                deliver(ws, organisation.slug, destination, report, is_full=is_whole)


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What part of a sync was asked for; None is everything."""

    sources: Collection[str] | None
    destinations: Collection[str] | None
    datasets: Collection[str] | None
    is_full: bool


def is_due(
    ws: Workspace,
    slug: str,
    source: SourceBinding,
    dataset: str,
    datasets: Collection[str] | None,
    is_full: bool,
) -> bool:
    """Whether a sync reads a dataset.

    One that was named, in a full sync every one. Else those that cost a page when nothing is new,
    and any other that was never read.
    """
    if datasets is not None:
        return f"{source.spec.name}/{dataset}" in datasets
    if is_full or source.spec.datasets[dataset].reading in _TOLD_BY_WEBHOOKS:
        return True
    return ws.ledger.watermarks.get(slug, source.spec.name, dataset) is None


def caught_up(source: SourceBinding, report: SyncReport) -> bool:
    """Whether everything that webhooks tell of was read from a source: no webhook is missed."""
    datasets = source.spec.datasets
    told = [each for each in source.datasets if datasets[each].reading in _TOLD_BY_WEBHOOKS]
    return all(f"{source.spec.name}/{each}" in report.pulls for each in told)


def pull_source(
    ws: Workspace,
    slug: str,
    source: SourceBinding,
    report: SyncReport,
    datasets: Collection[str] | None,
    is_full: bool,
) -> None:
    """Pull the datasets of one source that are due into the lake."""
    due = [each for each in source.datasets if is_due(ws, slug, source, each, datasets, is_full)]
    if not due:
        return
    require_same_owner(ws, slug, source)
    api = source.connect()
    try:
        for dataset in due:
            report.pulls[f"{source.spec.name}/{dataset}"] = pull(
                ws,
                slug,
                source.spec,
                api,
                dataset,
                mode="sweep" if is_full else "incremental",
                rules=source.rules,
            )
    finally:
        api.close()


def deliver(
    ws: Workspace,
    slug: str,
    destination: DestinationBinding,
    report: SyncReport,
    *,
    is_full: bool,
) -> None:
    """Settle what an earlier process left behind, then plan and apply kind after kind.

    A plan that a guard stops does not stop the kinds that do not refer to it; those that do wait,
    because their objects would point at nothing. Any other failure ends the delivery.
    """
    spec = destination.spec
    api = destination.connect()
    try:
        recover_writes(ws, slug, destination, api)
        stopped: set[str] = set()
        for kind in destination.kinds:
            if stopped.intersection(spec.kind(kind).references.values()):
                stopped.add(kind)
                continue
            header = make_kind_plan(ws, slug, destination, kind, is_full=is_full)
            name = plan_name(spec.name, kind)
            report.plans[name] = header
            try:
                report.applied[name] = apply_plan(ws, slug, destination, api, header)
            except PlanGuardedError as error:
                report.errors.append(error)
                stopped.add(kind)
    finally:
        api.close()


def require_active(ws: Workspace, organisation: OrganisationBinding) -> None:
    """Raise ConfigurationError when the organisation is paused, by its file or by an operator."""
    if organisation.is_paused or ws.ledger.organisations.is_paused(organisation.slug):
        raise ConfigurationError(
            f"{organisation.slug} is paused.",
            not_done="Nothing was pulled or sent.",
            remedy=f"Resume it: `crm-pipeline orgs resume {organisation.slug}`.",
        )


class _kept:  # noqa: N801  reads as a statement: ``with _kept(report):``
    """Keeps a stage's failure in the report, so that the next stage still runs."""

    def __init__(self, report: SyncReport) -> None:
        self._report = report

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
        if isinstance(error, CrmPipelineError):
            self._report.errors.append(error)
            return True
        if isinstance(error, Exception):
            bug = BugError(
                f"{self._report.organisation}: an unexpected {type(error).__name__}.",
                remedy="Report it; `CRM_PIPELINE_DEBUG=1` shows where it came from.",
            )
            bug.__cause__ = error
            self._report.errors.append(bug)
            return True
        return False


def _record(ws: Workspace, report: SyncReport) -> None:
    """Note how it went; that another process is at work is neither a success nor a failure."""
    if report.error is None:
        ws.ledger.organisations.record_success(report.organisation)
    elif not isinstance(report.error, LeaseHeldError):
        ws.ledger.organisations.record_failure(
            report.organisation, report.error.code, str(report.error)
        )
