"""Whose webhooks wait in the inbox: one query that reads an index, and the sweeps that follow.

Nothing is claimed and no source is asked. Not here: what becomes of an event (``sync.drain``).
"""

import datetime as dt
from collections.abc import Mapping

import dagster as dg

from crm_pipeline.defs.choosing import active_slugs
from crm_pipeline.defs.requests import sweep_requests, under_way
from crm_pipeline.defs.standing import rests_shortly
from crm_pipeline.store.ledger import InboxCounts
from crm_pipeline.wiring import Runtime

#: Organisations asked for in one tick at most, those that wait longest first.
MOST_WAITING = 1_000
#: Fewer than in other sweeps: webhooks shall arrive soon, and several runs go on at once.
ORGANISATIONS_PER_SWEEP = 50
#: What still waits after this long is asked for again, such as when a run was killed.
ASK_AGAIN = dt.timedelta(minutes=1)


def ask_for_waiting(
    instance: dg.DagsterInstance, runtime: Runtime
) -> tuple[list[dg.RunRequest], str]:
    """Return sweeps of the organisations whose webhooks wait, and one line about it.

    One that failed a moment ago waits a little, but never as long as it would without webhooks.
    """
    waiting = {
        slug: counts for slug, counts in runtime.ledger.inbox.counts().items() if counts.is_due
    }
    if not waiting:
        return [], "No webhook waits."
    chosen = choose_waiting(instance, runtime, waiting)
    now = runtime.clock()
    versions = {slug: version_of(waiting[slug], now) for slug in chosen}
    events = sum(waiting[slug].pending for slug in chosen)
    sentence = (
        f"Webhooks of {len(waiting):,} organisations wait; {len(chosen):,} of them are asked for"
        f" ({events:,} webhooks)."
    )
    return sweep_requests(versions, cause="webhooks", size=ORGANISATIONS_PER_SWEEP), sentence


def choose_waiting(
    instance: dg.DagsterInstance, runtime: Runtime, waiting: Mapping[str, InboxCounts]
) -> list[str]:
    """Return those that can be swept now: neither paused, nor at work, nor failed just now."""
    active = waiting.keys() & set(active_slugs(runtime)) - under_way(instance, runtime)
    statuses = runtime.ledger.organisations.status_all(sorted(active))
    now = runtime.clock()
    ready = [slug for slug in active if not rests_shortly(statuses[slug], now)]
    return sorted(ready, key=lambda slug: (waiting[slug].oldest or now, slug))[:MOST_WAITING]


def version_of(counts: InboxCounts, now: dt.datetime) -> str:
    """Name what waits: another name when more came, when less waits, and after a while.

    >>> at = dt.datetime(2026, 1, 1, 0, 0, 30, tzinfo=dt.UTC)
    >>> version_of(InboxCounts(pending=2, newest=7), at)
    '7:2:29453760'
    """
    return f"{counts.newest}:{counts.pending}:{int(now.timestamp() // ASK_AGAIN.total_seconds())}"
