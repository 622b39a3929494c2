"""Everything that Dagster shows, put together from the specs of sources and destinations."""

from collections.abc import Iterator

import dagster as dg

from crm_pipeline.defs.assets import DESIRED_ASSETS, desired_asset, landed_asset
from crm_pipeline.defs.checks import check_definition, checks_job, every_check
from crm_pipeline.defs.destinations import applied_asset, drift_asset, plan_asset
from crm_pipeline.defs.handover import handover_io_manager
from crm_pipeline.defs.jobs import JOBS
from crm_pipeline.defs.pos_jobs import POS_JOBS
from crm_pipeline.defs.resources import looking_resource, runtime_resource
from crm_pipeline.defs.schedules import SCHEDULES
from crm_pipeline.defs.sensors import SENSORS
from crm_pipeline.destinations import load_destinations
from crm_pipeline.sources import load_sources


def build_definitions() -> dg.Definitions:
    """Return all definitions. No network, no ledger and no environment is touched."""
    return dg.Definitions(
        assets=dg.with_source_code_references([*assets()]),
        asset_checks=[check_definition(each) for each in every_check()],
        jobs=[*JOBS, *POS_JOBS, checks_job],
        sensors=SENSORS,
        schedules=SCHEDULES,
        resources={
            "runtime": runtime_resource,
            "looking": looking_resource,
            "io_manager": handover_io_manager,
        },
        executor=dg.in_process_executor,
    )


def assets() -> Iterator[dg.AssetsDefinition]:
    """Give the assets of every source, what is desired, and those of every destination."""
    landed = [
        landed_asset(source, dataset)
        for source in load_sources().values()
        for dataset in source.datasets.values()
    ]
    yield from landed
    by_key = {asset.key: asset for asset in landed}
    for desired in DESIRED_ASSETS:
        yield desired_asset(desired, by_key)
    for spec in load_destinations().values():
        yield plan_asset(spec)
        yield applied_asset(spec)
        yield drift_asset(spec)
