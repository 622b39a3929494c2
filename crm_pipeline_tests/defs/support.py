"""Questions that several tests ask of a run and of the instance."""

from typing import Any

import dagster as dg


def failures_of(result: dg.ExecuteInProcessResult) -> dict[str, str]:
    """Return the failed steps with their messages, as Dagster stored them."""
    return {
        event.step_key or "": event.event_specific_data.error.message
        for event in result.all_events
        if event.is_step_failure
    }


def events_of(result: dg.ExecuteInProcessResult) -> set[tuple[str, str]]:
    """Return asset and partition of each materialisation of a run."""
    return {
        (event.asset_key.to_user_string(), event.partition)
        for event in result.all_events
        if event.is_step_materialization
    }


def metadata_of(instance: dg.DagsterInstance, key: str, slug: str) -> dict[str, Any]:
    """Return the metadata of the newest materialisation of one organisation."""
    records = instance.fetch_materializations(
        dg.AssetRecordsFilter(dg.AssetKey(key.split("/")), asset_partitions=[slug]), limit=1
    ).records
    return {name: each.value for name, each in records[0].asset_materialization.metadata.items()}


def check_of(result: dg.ExecuteInProcessResult, name: str) -> Any:
    """Return one check's evaluation of a run: of LOKE's customers, or of CRM.COM."""
    found = [each for each in result.get_asset_check_evaluations() if each.check_name == name]
    wanted = (["loke", "customers"], ["crm_com", "plan"], ["crm_com", "applied"])
    (one,) = [each for each in found if list(each.asset_key.path) in wanted]
    return one
