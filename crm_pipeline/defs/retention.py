"""Old runs and their events: what may go without changing what the UI shows of today."""

import datetime as dt
from collections.abc import Iterator
from itertools import islice

import dagster as dg

PAGE_ROWS = 500
ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


def remove_old_runs(
    instance: dg.DagsterInstance, *, days: int, limit: int, now: dt.datetime
) -> int:
    """Remove at most ``limit`` runs that ended more than ``days`` ago; return how many.

    A run that holds the newest materialisation of a partition stays: without it the partition
    would look as if it had never been made.
    """
    before = now - dt.timedelta(days=days)
    newest = newest_materialisations(instance)
    removable = (
        run_id
        for run_id in old_runs(instance, before)
        if not newest & materialisations_of(instance, run_id)
    )
    chosen = list(islice(removable, limit))
    for run_id in chosen:
        instance.delete_run(run_id)
    return len(chosen)


def old_runs(instance: dg.DagsterInstance, before: dt.datetime) -> Iterator[str]:
    """Give the runs that ended before a moment, the oldest first, in pages."""
    filters = dg.RunsFilter(statuses=ENDED, updated_before=before)
    cursor = None
    while page := instance.get_run_records(filters, PAGE_ROWS, ascending=True, cursor=cursor):
        yield from (record.dagster_run.run_id for record in page)
        cursor = page[-1].dagster_run.run_id


def newest_materialisations(instance: dg.DagsterInstance) -> set[int]:
    """Return the storage ids of the newest materialisation of each asset and partition."""
    storage = instance.event_log_storage
    return {
        storage_id
        for key in instance.all_asset_keys()
        for storage_id in storage.get_latest_storage_id_by_partition(
            key, dg.DagsterEventType.ASSET_MATERIALIZATION
        ).values()
    }


def materialisations_of(instance: dg.DagsterInstance, run_id: str) -> set[int]:
    """Return the storage ids of the materialisations of one run."""
    records = instance.get_records_for_run(
        run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
    ).records
    return {record.storage_id for record in records}
