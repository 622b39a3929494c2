"""The schedules: the full scan of each organisation, read-backs, checks, cleaning.

After a pause of the daemon Dagster runs the newest missed tick only. The full scan asks which
organisations are due since their last one, so that none is forgotten and none runs twice.
"""

import datetime as dt

import dagster as dg

from crm_pipeline.defs.changes import sweep_requests, under_way
from crm_pipeline.defs.checks import checks_job
from crm_pipeline.defs.choosing import active_slugs
from crm_pipeline.defs.cron import last_due
from crm_pipeline.defs.failures import dagster_failures
from crm_pipeline.defs.jobs import retention_job, sweep_job, verify_job
from crm_pipeline.defs.standing import last_scans
from crm_pipeline.wiring import Runtime


@dg.schedule(
    cron_schedule="*/15 * * * *",
    job=sweep_job,
    description="Starts the full scan of each organisation that is due by the `full_scan` line of"
    " its own file (UTC).",
)
def full_scan_schedule(
    context: dg.ScheduleEvaluationContext, runtime: dg.ResourceParam[Runtime]
) -> list[dg.RunRequest] | dg.SkipReason:
    """Ask for a full scan of every organisation that is due and not at work."""
    with dagster_failures():
        due = due_for_scan(runtime, context.instance, context.scheduled_execution_time)
        requests = sweep_requests(due, cause="full_scan")
    return requests or dg.SkipReason("No organisation is due for a full scan.")


def due_for_scan(
    runtime: Runtime, instance: dg.DagsterInstance, now: dt.datetime
) -> dict[str, str]:
    """Return the organisations that are due, each with the time at which it came due.

    A scan that was tried and failed since then counts: the failure is reported, and the next one
    comes with the next line of the schedule or by hand.
    """
    slugs = sorted(set(active_slugs(runtime)) - under_way(instance))
    tried = last_scans(runtime, slugs)
    due: dict[str, str] = {}
    for slug in slugs:
        at = last_due(runtime.loaded.organisations[slug].schedules.full_scan, now)
        last = tried[slug]
        if at is not None and (last is None or last < at):
            due[slug] = at.isoformat()
    return due


verify_schedule = dg.ScheduleDefinition(
    name="verify_schedule",
    cron_schedule="0 5 * * 0",
    job=verify_job,
    run_config={"ops": {"read_back": {"config": {"which": "ALL"}}}},
    description="Reads every CRM back once a week, as much as each organisation's file says.",
)

checks_schedule = dg.ScheduleDefinition(
    name="checks_schedule",
    cron_schedule="*/30 * * * *",
    job=checks_job,
    description="Judges all organisations together: balance, guards, consent, uniqueness, age.",
)

retention_schedule = dg.ScheduleDefinition(
    name="retention_schedule",
    cron_schedule="30 2 * * *",
    job=retention_job,
    description="Removes old runs and their events.",
)

SCHEDULES = (full_scan_schedule, verify_schedule, checks_schedule, retention_schedule)
