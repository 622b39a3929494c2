"""Questions that several tests ask of a run and of the instance."""

import datetime as dt
from typing import Any

import dagster as dg

from crm_pipeline.defs.resources import looking_resource, runtime_resource


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


def evaluated(world, name: str, cursor: str | None = None):
    """Evaluate one tick of a sensor with the resources that the code server would give it."""
    sensor = world.definitions.get_repository_def().get_sensor_def(name)
    with dg.build_sensor_context(
        instance=world.instance, cursor=cursor, resources=resources(sensor)
    ) as context:
        return sensor.evaluate_tick(context)


def scheduled(world, name: str, at: dt.datetime | None = None):
    """Evaluate one tick of a schedule at a time, which is now unless told."""
    schedule = world.definitions.get_repository_def().get_schedule_def(name)
    folder = world.root / "scheduled"
    folder.mkdir(exist_ok=True)
    with (
        dg.DagsterInstance.local_temp(str(folder)) as instance,
        dg.build_schedule_context(
            instance=instance,
            scheduled_execution_time=at or dt.datetime.now(dt.UTC),
            resources=resources(schedule),
        ) as context,
    ):
        return schedule.evaluate_tick(context)


def resources(instigator) -> dict[str, dg.ResourceDefinition]:
    """Return the resources that a sensor or a schedule asks for."""
    every = {"runtime": runtime_resource, "looking": looking_resource}
    return {name: every[name] for name in instigator.required_resource_keys}


def sweeps_of(data) -> list[dict[str, Any]]:
    """Return the configuration of each sweep that a tick asks for."""
    return [request.run_config["ops"]["sweep"]["config"] for request in data.run_requests]


def asked_for(data) -> list[str]:
    """Return the organisations of all sweeps that a tick asks for."""
    return [slug for config in sweeps_of(data) for slug in config["organisations"]]
