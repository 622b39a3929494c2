"""The one resource: a factory for the live product. It keeps no state between runs.

The environment is read by ``settings`` and objects are built by ``wiring``; here they are only
opened when a run, a tick or a check begins, and closed at its end.
"""

from collections.abc import Iterator
from dataclasses import replace

import dagster as dg

from crm_pipeline.defs.failures import dagster_failures
from crm_pipeline.wiring import Runtime, open_runtime_from_environment

#: A look must be short: one try, and a few seconds for it.
LOOKING_SECONDS = 4.0


@dg.resource(description="Organisations, ledger and lake, as the environment says.")
def runtime_resource(_context: dg.InitResourceContext) -> Iterator[Runtime]:
    """Open the product for one run or check. Secrets are looked up later, when they are used."""
    with dagster_failures():
        runtime = open_runtime_from_environment()
    with runtime:
        yield runtime


@dg.resource(description="The same with little patience: one try of a few seconds a call.")
def looking_resource(_context: dg.InitResourceContext) -> Iterator[Runtime]:
    """Open the product for a tick of a sensor, which has no time for retries."""
    with dagster_failures():
        settings = open_runtime_from_environment().settings
        seconds = min(settings.waits.timeout_seconds, LOOKING_SECONDS)
        waits = replace(
            settings.waits, attempts=1, timeout_seconds=seconds, connect_seconds=seconds
        )
        runtime = Runtime(settings.model_copy(update={"waits": waits}))
    with runtime:
        yield runtime
