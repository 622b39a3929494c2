"""Old runs and their events: what may go without changing what the UI shows of today."""

import datetime as dt

import dagster as dg

ENDED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]


def remove_old_runs(instance: dg.DagsterInstance, *, days: int, limit: int) -> int:
    """Remove ended runs older than ``days``, oldest first; return how many.

    A run that holds the newest materialisation of a partition stays: without it the partition
    would look as if it had never been made.
    """
    before = dt.datetime.now(dt.UTC) - dt.timedelta(days=days)
    old = instance.get_run_records(
        filters=dg.RunsFilter(statuses=ENDED, updated_before=before), limit=limit, ascending=True
    )
    newest = newest_materialisations(instance)
    removable = [
        record.dagster_run.run_id
        for record in old
        if not newest & materialisations_of(instance, record.dagster_run.run_id)
    ]
    for run_id in removable:
        instance.delete_run(run_id)
    return len(removable)


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
