"""The schedules: full scans, lists and catalogues, read-backs, checks, and keeping things small.

Those of readings ask every few minutes who is due by a line of their own file (``due``).
"""

import dagster as dg

from crm_pipeline.defs.checks import checks_job
from crm_pipeline.defs.due import due_for_reading, due_for_scan
from crm_pipeline.defs.failures import dagster_failures
from crm_pipeline.defs.jobs import (
    compaction_job,
    lists_job,
    products_job,
    retention_job,
    sweep_job,
    verify_job,
)
from crm_pipeline.defs.readings import CATALOGUES, lists
from crm_pipeline.defs.requests import sweep_requests
from crm_pipeline.wiring import Runtime

Requests = list[dg.RunRequest] | dg.SkipReason


@dg.schedule(
    cron_schedule="*/15 * * * *",
    job=sweep_job,
    description="Starts the full scan of each organisation that is due by the `full_scan` line of"
    " its own file (UTC).",
)
def full_scan_schedule(
    context: dg.ScheduleEvaluationContext, runtime: dg.ResourceParam[Runtime]
) -> Requests:
    """Ask for a full scan of every organisation that is due and not at work."""
    with dagster_failures():
        due = due_for_scan(runtime, context.instance, context.scheduled_execution_time)
        requests = sweep_requests(due, cause="full_scan")
    return requests or dg.SkipReason("No organisation is due for a full scan.")


@dg.schedule(
    cron_schedule="*/5 * * * *",
    job=lists_job,
    description="Reads the lists of each organisation that is due by the `lists` line of its own"
    " file (UTC): who is in them, and LOKE's orders.",
)
def lists_schedule(
    context: dg.ScheduleEvaluationContext, runtime: dg.ResourceParam[Runtime]
) -> Requests:
    """Ask for the lists of every organisation that is due and not at work."""
    with dagster_failures():
        due = due_for_reading(
            runtime,
            context.instance,
            context.scheduled_execution_time,
            datasets=lists(),
            cron_of=lambda schedules: schedules.lists,
        )
        requests = sweep_requests(due, cause="lists", datasets=lists())
    return requests or dg.SkipReason("No organisation is due for its lists.")


@dg.schedule(
    cron_schedule="*/15 * * * *",
    job=products_job,
    description="Reads the catalogue of each organisation that is due by the `products` line of"
    " its own file (UTC), and sends products that have changed.",
)
def products_schedule(
    context: dg.ScheduleEvaluationContext, runtime: dg.ResourceParam[Runtime]
) -> Requests:
    """Ask for the catalogue of every organisation that is due and not at work."""
    with dagster_failures():
        due = due_for_reading(
            runtime,
            context.instance,
            context.scheduled_execution_time,
            datasets=CATALOGUES,
            cron_of=lambda schedules: schedules.products,
        )
        requests = sweep_requests(due, cause="products", datasets=CATALOGUES)
    return requests or dg.SkipReason("No organisation is due for its catalogue.")


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
    description="Removes old runs and their events, and what is over its age by each"
    " organisation's file.",
)

compaction_schedule = dg.ScheduleDefinition(
    name="compaction_schedule",
    cron_schedule="30 1 * * *",
    job=compaction_job,
    run_config={"ops": {"compact": {"config": {"which": "ALL"}}}},
    description="Folds the lake's small files and deletes old ones, once a night.",
)

SCHEDULES = (
    full_scan_schedule,
    lists_schedule,
    products_schedule,
    verify_schedule,
    checks_schedule,
    retention_schedule,
    compaction_schedule,
)
