"""Asking for sweeps: run requests for lists of organisations, and who is asked for already."""

import datetime as dt
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, cast

import dagster as dg

from crm_pipeline.defs.dead_runs import find_dead_runs
from crm_pipeline.defs.window import digest_of, in_lists
from crm_pipeline.store.ledger import OrganisationStatus
from crm_pipeline.wiring import Runtime

#: Organisations handled by one run of the sweep.
ORGANISATIONS_PER_SWEEP = 250
#: The jobs that sync organisations; each has the op `sweep`.
SWEEP_JOBS = ("sweep_job", "lists_job", "products_job")
UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
]


def sweep_requests(
    versions: Mapping[str, str],
    *,
    cause: str,
    datasets: Collection[str] = (),
    size: int = ORGANISATIONS_PER_SWEEP,
) -> list[dg.RunRequest]:
    """Return sweeps of lists of organisations.

    A run key is spent for ever, so it names the organisations together with what was seen of
    each: the same sight asks once, a new one asks again.
    """
    return [
        dg.RunRequest(
            run_key=digest_of({slug: f"{cause}:{versions[slug]}" for slug in part}),
            run_config=sweep_config(part, is_full=cause == "full_scan", datasets=datasets),
            tags={"crm_pipeline/cause": cause, "crm_pipeline/organisations": str(len(part))},
        )
        for part in in_lists(sorted(versions), size)
    ]


def sweep_config(
    slugs: Iterable[str], *, is_full: bool = False, datasets: Collection[str] = ()
) -> dict[str, object]:
    """Return the run configuration of a sweep: slugs, a switch, names of datasets."""
    config: dict[str, object] = {"organisations": list(slugs), "is_full": is_full}
    if datasets:
        config["datasets"] = list(datasets)
    return {"ops": {"sweep": {"config": config}}}


def under_way(instance: dg.DagsterInstance, runtime: Runtime) -> set[str]:
    """Return the organisations that a sweep waits for or works on.

    One that a running sweep is done with is free, however long others of that sweep take; so is
    one of a sweep whose process is gone, before anybody has ended that run.
    """
    dead = {each.run_id for each in find_dead_runs(instance, dt.datetime.now(dt.UTC))}
    begun: dict[str, float] = {}
    for record in _unfinished(instance):
        if record.dagster_run.run_id in dead:
            continue
        config = cast("Mapping[str, Any]", record.dagster_run.run_config)
        sweep = config.get("ops", {}).get("sweep", {}).get("config", {})
        # A sweep that has not begun counts as one that begins after everything.
        start = math.inf if record.start_time is None else record.start_time
        for slug in sweep.get("organisations", ()):
            begun[slug] = max(start, begun.get(slug, start))
    statuses = runtime.ledger.organisations.status_all(sorted(begun))
    return {slug for slug, start in begun.items() if _last_end(statuses[slug]) < start}


def _unfinished(instance: dg.DagsterInstance) -> Iterator[dg.RunRecord]:
    for job in SWEEP_JOBS:
        filters = dg.RunsFilter(job_name=job, statuses=UNFINISHED)
        yield from instance.get_run_records(filters, limit=100)


def _last_end(status: OrganisationStatus) -> float:
    """Return when the last sync of an organisation ended, well or not, in seconds (epoch)."""
    ends = (status.last_success, status.failed_at)
    return max((each.timestamp() for each in ends if each is not None), default=-math.inf)
