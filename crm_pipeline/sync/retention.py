"""Retention: what is old, holds people, and is needed for nothing any more goes on time.

Three things go: versions of landed records that a newer one superseded, webhooks that are done
with, the changes of old plans (then a plan cannot be undone). Everything that work is done from
stays: the newest version of each record, desired and applied objects, consents, links, tombstones,
rejects, outcomes, the audit log, and what is open. So the next plan is the same with and without.

Here: which these are. Not here: one person's erasure (``erase``), Dagster's runs (``defs``).
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from crm_pipeline.core.retention import cutoff
from crm_pipeline.store.lake import VERSION_RANK
from crm_pipeline.store.ledger import this_process
from crm_pipeline.sync.audit import record
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.land import landed_table
from crm_pipeline.sync.plan.stored import plan_table
from crm_pipeline.sync.workspace import Workspace

#: Datasets whose older versions are still worked from: consents and approvals are judged by every
#: state of a sample order, and a product that a catalogue ever listed stays the catalogue's.
WHOLE = frozenset({("sopost", "orders"), ("catalogue", "products")})
#: The newest of the versions that landed before the cut-off, of each record with several of them.
_NEWEST = f"""
WITH ranked AS (SELECT id, batch, {VERSION_RANK} AS rank FROM stored WHERE landed_at < ?),
newest AS (
    SELECT id, max(rank) AS rank, arg_max(batch, rank) AS batch
    FROM ranked GROUP BY id HAVING count(*) > 1
)
"""  # noqa: S608  our own names
_STORED_RANK = VERSION_RANK.replace("batch", "stored.batch")
#: A version goes when another one is newer, landed later, and that before the cut-off.
_SUPERSEDED = (
    f"stored.landed_at < ? AND {_STORED_RANK} < newest.rank AND stored.batch < newest.batch"
)
_COUNT = (
    f"{_NEWEST} SELECT count(*) FROM stored JOIN newest USING (id)"  # noqa: S608
    f" WHERE {_SUPERSEDED}"
)
_KEPT = (
    f"{_NEWEST} SELECT stored.* FROM stored LEFT JOIN newest USING (id)"  # noqa: S608
    f" WHERE newest.id IS NULL OR NOT ({_SUPERSEDED})"
)
_CHANGES = "SELECT count(*) FROM stored WHERE plan_digest IN (SELECT unnest(?::VARCHAR[]))"
_OTHER_CHANGES = "SELECT * FROM stored WHERE plan_digest NOT IN (SELECT unnest(?::VARCHAR[]))"


@dataclass(slots=True, kw_only=True)
class RetentionReport:
    """What went, or would go.

    ``landed`` counts versions by table, ``changes`` planned changes by destination. ``files`` are
    files of the lake that were deleted: those that nothing has referred to for a week.
    """

    organisation: str
    is_dry_run: bool
    webhooks: int = 0
    landed: dict[str, int] = field(default_factory=dict)
    changes: dict[str, int] = field(default_factory=dict)
    files: int = 0

    @property
    def counts(self) -> Mapping[str, int]:
        """How much of each kind."""
        return {
            "webhooks": self.webhooks,
            "landed": sum(self.landed.values()),
            "changes": sum(self.changes.values()),
        }


def apply_retention(
    ws: Workspace, organisation: OrganisationBinding, *, by: str, is_dry_run: bool = False
) -> RetentionReport:
    """Remove what is over its age and return how much; a dry run only counts.

    Safe to repeat and to kill. Works for a paused organisation: time passes for it as well. Raises
    LeaseHeldError while another process is at work on the organisation.
    """
    report = RetentionReport(organisation=organisation.slug, is_dry_run=is_dry_run)
    if is_dry_run:
        _work(ws, organisation, report)
        return report
    name, seconds = f"sync:{organisation.slug}", ws.waits.lease_seconds
    with ws.ledger.leases.hold(name, this_process(), seconds):
        work_off(ws, organisation, report, by=by)
    return report


def work_off(
    ws: Workspace, organisation: OrganisationBinding, report: RetentionReport, *, by: str
) -> None:
    """Remove what is over its age; the caller holds the organisation's lease."""
    _work(ws, organisation, report)
    if any(report.counts.values()) and not report.is_dry_run:
        record(ws, organisation.slug, by=by, what="retention_applied", details={**report.counts})


def _work(ws: Workspace, organisation: OrganisationBinding, report: RetentionReport) -> None:
    rules, now, slug = organisation.retention, ws.clock(), organisation.slug
    before = cutoff(rules.webhooks_days, now)
    if before is not None:
        inbox = ws.ledger.inbox
        count = inbox.count_old if report.is_dry_run else inbox.purge
        report.webhooks = count(before, slug)
    before = _settled(ws, slug, cutoff(rules.landed_days, now))
    if before is not None:
        _drop_versions(ws, organisation, report, before)
    before = cutoff(rules.plans_days, now)
    if before is not None:
        _drop_changes(ws, organisation, report, before)


def _drop_versions(
    ws: Workspace, organisation: OrganisationBinding, report: RetentionReport, before: dt.datetime
) -> None:
    for table in _landed_tables(ws, organisation):
        gone = _drop(ws, report, table, (_COUNT, _KEPT), (before, before))
        report.landed.update({table: gone} if gone else {})


def _drop_changes(
    ws: Workspace, organisation: OrganisationBinding, report: RetentionReport, before: dt.datetime
) -> None:
    slug = organisation.slug
    for destination in organisation.destinations:
        digests = ws.ledger.plans.closed_before(slug, destination, before)
        table = plan_table(destination)
        if digests and ws.lake.exists(slug, table):
            gone = _drop(ws, report, table, (_CHANGES, _OTHER_CHANGES), [sorted(digests)])
            report.changes.update({destination: gone} if gone else {})


def _settled(ws: Workspace, slug: str, before: dt.datetime | None) -> dt.datetime | None:
    """Return the earlier of a moment and the last whole success: what came later may be unread."""
    done = ws.ledger.organisations.status(slug).last_success
    return None if before is None or done is None else min(before, done)


def _landed_tables(ws: Workspace, organisation: OrganisationBinding) -> Iterator[str]:
    for source, binding in organisation.sources.items():
        for dataset in binding.spec.datasets:
            table = landed_table(source, dataset)
            if (source, dataset) not in WHOLE and ws.lake.exists(organisation.slug, table):
                yield table


def _drop(
    ws: Workspace,
    report: RetentionReport,
    table: str,
    queries: tuple[str, str],
    parameters: Sequence[object],
) -> int:
    """Take out of a table what the first query counts; the second tells all other rows."""
    count, others = queries
    with ws.lake.session() as session:
        session.attach("stored", report.organisation, table)
        gone = int(session.value(count, parameters))
    if not report.is_dry_run:
        if gone:
            ws.lake.keep(report.organisation, table, others, parameters)
        report.files += ws.lake.vacuum(report.organisation, table)
    return gone
