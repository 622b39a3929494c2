"""The sensors: partitions kept in step with the organisations' files, dead runs, and what is new.

Cheap and bounded: first pages and counters only, a window a tick, a time budget, no data in the
cursor. They ask for sweeps and do nothing themselves, but for ending runs that are dead.
"""

import datetime as dt

import dagster as dg

from crm_pipeline.defs.changes import look_for_changes
from crm_pipeline.defs.choosing import broken_slugs
from crm_pipeline.defs.dead_runs import close_dead_runs
from crm_pipeline.defs.due import due_for_orders
from crm_pipeline.defs.failures import dagster_failures
from crm_pipeline.defs.jobs import sweep_job
from crm_pipeline.defs.partitions import compare_partitions, organisations
from crm_pipeline.defs.readings import ORDERS
from crm_pipeline.defs.requests import sweep_requests
from crm_pipeline.defs.waiting import ask_for_waiting
from crm_pipeline.wiring import Runtime


@dg.sensor(
    minimum_interval_seconds=60,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Keeps the partitions in step with the organisations' files. A file that cannot"
    " be read keeps its partition.",
)
def organisations_sensor(
    context: dg.SensorEvaluationContext, runtime: dg.ResourceParam[Runtime]
) -> dg.SensorResult:
    """Add new organisations, take away those whose file is gone."""
    with dagster_failures():
        difference = compare_partitions(
            context.instance, usable=runtime.organisations, broken=broken_slugs(runtime)
        )
    requests = [
        build(list(slugs))
        for build, slugs in (
            (organisations.build_add_request, difference.added),
            (organisations.build_delete_request, difference.removed),
        )
        if slugs
    ]
    reason = None if requests else f"In step with {len(runtime.organisations):,} organisations."
    return dg.SensorResult(dynamic_partitions_requests=requests, skip_reason=reason)


@dg.sensor(
    minimum_interval_seconds=30,
    default_status=dg.DefaultSensorStatus.RUNNING,
    description="Ends runs whose process is gone, such as after a power cut, so that they hold"
    " nothing up.",
)
def dead_runs_sensor(context: dg.SensorEvaluationContext) -> dg.SkipReason:
    """End what is dead; ask for nothing: other sensors see what is left to do."""
    with dagster_failures():
        closed = close_dead_runs(context.instance, dt.datetime.now(dt.UTC))
    for each in closed:
        context.log.info(f"Ended run {each.run_id} of {each.job}. {each.reason}")
    return dg.SkipReason(f"Open runs whose process is gone, now ended: {len(closed):,}.")


@dg.sensor(
    job=sweep_job,
    minimum_interval_seconds=30,
    description="Looks at the newest first pages (customers, payments) of each organisation, a"
    " window of them a tick, and asks for a sweep of those that changed.",
)
def changes_sensor(
    context: dg.SensorEvaluationContext, looking: dg.ResourceParam[Runtime]
) -> dg.SensorResult:
    """Ask for work only where something changed."""
    with dagster_failures():
        round_ = look_for_changes(context.instance, looking, context.cursor)
    context.log.info(round_.sentence)
    return dg.SensorResult(
        run_requests=round_.requests,
        cursor=round_.cursor,
        skip_reason=None if round_.requests else round_.sentence,
    )


@dg.sensor(
    job=sweep_job,
    minimum_interval_seconds=10,
    description="Looks at how many webhooks wait in the inbox, with one query, and asks for a"
    " sweep of the organisations that have some: it lands, plans and applies them.",
)
def inbox_sensor(
    context: dg.SensorEvaluationContext, runtime: dg.ResourceParam[Runtime]
) -> dg.SensorResult:
    """Ask for work where webhooks wait."""
    with dagster_failures():
        requests, sentence = ask_for_waiting(context.instance, runtime)
    context.log.info(sentence)
    return dg.SensorResult(run_requests=requests, skip_reason=None if requests else sentence)


@dg.sensor(
    job=sweep_job,
    minimum_interval_seconds=60,
    description="Asks for a reading of the orders placed at CRM.COM, whose list has no cheap"
    " look: every minute, or every 5 minutes where webhooks tell of them.",
)
def orders_sensor(
    context: dg.SensorEvaluationContext, runtime: dg.ResourceParam[Runtime]
) -> dg.SensorResult:
    """Ask for CRM.COM's orders where the last reading is old."""
    with dagster_failures():
        due = due_for_orders(runtime, context.instance)
        requests = sweep_requests(due, cause="orders", datasets=ORDERS)
    sentence = f"{len(due):,} organisations are due for CRM.COM's orders."
    return dg.SensorResult(run_requests=requests, skip_reason=None if requests else sentence)


SENSORS = (organisations_sensor, dead_runs_sensor, changes_sensor, inbox_sensor, orders_sensor)
