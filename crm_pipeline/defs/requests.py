"""Asking for sweeps: run requests for lists of organisations, and who is asked for already."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, cast

import dagster as dg

from crm_pipeline.defs.window import digest_of, in_lists

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


def under_way(instance: dg.DagsterInstance) -> set[str]:
    """Return the organisations of all sweeps that wait or run."""
    listed: set[str] = set()
    for job in SWEEP_JOBS:
        runs = instance.get_runs(dg.RunsFilter(job_name=job, statuses=UNFINISHED), limit=100)
        for run in runs:
            config = cast("Mapping[str, Any]", run.run_config)
            sweep = config.get("ops", {}).get("sweep", {}).get("config", {})
            listed.update(sweep.get("organisations", ()))
    return listed
