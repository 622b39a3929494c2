"""``crm-pipeline demo``: the whole product on this machine, against fake vendors."""

from enum import StrEnum
from typing import Annotated

import typer

from crm_pipeline.cli.options import examples

EXAMPLES = examples("demo", "demo --no-ui --once --customers small", "demo --port 3100")


class Customers(StrEnum):
    """How many people the fake LOKE knows."""

    SMALL = "small"
    FULL = "full"


def demo(
    *,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Without Dagster.")] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Stop after the first sync of every organisation.")
    ] = False,
    customers: Annotated[
        Customers, typer.Option(help="full: 50, 5,000 and 100,000; small: 50, 500 and 2,000.")
    ] = Customers.FULL,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the Dagster UI.")] = 3000,
) -> None:
    """Run the whole product on this machine: fake vendors, first sync, Dagster. Ctrl-C stops it.

    Nothing leaves this machine. The state is new each time, under .demo in the checkout or under
    CRM_PIPELINE_HOME.
    """
    from crm_pipeline.cli.demo.running import DemoOptions, run_demo
    from crm_pipeline.cli.opening import current_environ

    options = DemoOptions(
        has_ui=not no_ui, is_once=once, is_small=customers is Customers.SMALL, port=port
    )
    raise typer.Exit(run_demo(options, current_environ()))
