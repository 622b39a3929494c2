"""Who is due for what is read by the clock: full scans, lists, catalogues, CRM.COM's orders.

Each organisation has cron lines of its own in its file. After a pause of the daemon Dagster runs
the newest missed tick only; asking who is due since their last reading forgets none and runs none
twice.
"""

import datetime as dt
from collections.abc import Callable, Collection, Mapping

import dagster as dg

from crm_pipeline.defs.choosing import active_slugs, readers
from crm_pipeline.defs.cron import last_due
from crm_pipeline.defs.readings import ORDERS
from crm_pipeline.defs.requests import under_way
from crm_pipeline.defs.standing import last_readings, last_scans, rests
from crm_pipeline.settings.organisation import ScheduleSettings
from crm_pipeline.wiring import Runtime

CronOf = Callable[[ScheduleSettings], str]

#: CRM.COM's orders come oldest first, so the first page tells nothing: the list is read whole,
#: more seldom where webhooks tell of orders and reading mends only what they lost.
ORDERS_EVERY = dt.timedelta(seconds=40)
ORDERS_EVERY_WITH_WEBHOOKS = dt.timedelta(minutes=5)


def due_for_scan(
    runtime: Runtime, instance: dg.DagsterInstance, now: dt.datetime
) -> dict[str, str]:
    """Return the organisations that are due for a full scan, each with the time it came due."""
    slugs = idle_slugs(runtime, instance)
    tried = last_scans(runtime, slugs)
    return came_due(runtime, tried, lambda schedules: schedules.full_scan, now)


def due_for_reading(
    runtime: Runtime,
    instance: dg.DagsterInstance,
    now: dt.datetime,
    *,
    datasets: Collection[str],
    cron_of: CronOf,
) -> dict[str, str]:
    """Return who is due for reading some datasets, each with the time it came due."""
    slugs = readers(runtime, idle_slugs(runtime, instance), datasets)
    return came_due(runtime, last_readings(runtime, slugs, datasets), cron_of, now)


def due_for_orders(runtime: Runtime, instance: dg.DagsterInstance) -> dict[str, str]:
    """Return whose orders at CRM.COM were not read for a while, each with a name for now.

    The name changes every minute, so that a reading that came to nothing is asked for again.
    """
    slugs = readers(runtime, idle_slugs(runtime, instance), ORDERS)
    statuses = runtime.ledger.organisations.status_all(slugs)
    tried = last_readings(runtime, slugs, ORDERS)
    now = runtime.clock()
    due: dict[str, str] = {}
    for slug in slugs:
        last = tried[slug]
        is_old = last is None or now - last >= orders_interval(runtime, slug)
        if is_old and not rests(statuses[slug], now):
            due[slug] = f"{now:%Y-%m-%dT%H:%M}"
    return due


def orders_interval(runtime: Runtime, slug: str) -> dt.timedelta:
    """Return how old the last reading of an organisation's orders may be."""
    settings = runtime.loaded.organisations[slug].sources["crm_com"]
    return ORDERS_EVERY if settings.webhooks is None else ORDERS_EVERY_WITH_WEBHOOKS


def idle_slugs(runtime: Runtime, instance: dg.DagsterInstance) -> list[str]:
    """Return the organisations that no sweep waits for or works on."""
    return sorted(set(active_slugs(runtime)) - under_way(instance, runtime))


def came_due(
    runtime: Runtime,
    tried: Mapping[str, dt.datetime | None],
    cron_of: CronOf,
    now: dt.datetime,
) -> dict[str, str]:
    """Return those whose own line came due since their last try.

    A try that failed counts: the failure is reported, and the next one comes with the next line
    of the schedule or by hand.
    """
    due: dict[str, str] = {}
    for slug, last in tried.items():
        at = last_due(cron_of(runtime.loaded.organisations[slug].schedules), now)
        if at is not None and (last is None or last < at):
            due[slug] = at.isoformat()
    return due
