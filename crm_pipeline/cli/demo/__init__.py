"""``crm-pipeline demo``: the whole product on this machine, against fake vendors."""

from enum import StrEnum
from typing import Annotated

import typer

from crm_pipeline.cli.options import examples
from crm_pipeline.errors import ConfigurationError

EXAMPLES = examples(
    "demo",
    "demo --no-ui --once --customers small",
    "demo --port 3100 --every 60",
    "demo act --list",
    "demo act payment",
)
ACT_EXAMPLES = examples("demo act --list", "demo act payment", "demo act refund")

app = typer.Typer()


class Customers(StrEnum):
    """How many people the fake LOKE knows."""

    SMALL = "small"
    FULL = "full"


@app.callback(invoke_without_command=True, epilog=EXAMPLES)
def demo(
    context: typer.Context,
    *,
    no_ui: Annotated[bool, typer.Option("--no-ui", help="Without Dagster.")] = False,
    once: Annotated[
        bool, typer.Option("--once", help="Stop after the first sync of every organisation.")
    ] = False,
    customers: Annotated[
        Customers, typer.Option(help="full: 50, 5,000 and 100,000; small: 50, 500 and 2,000.")
    ] = Customers.FULL,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Of the Dagster UI.")] = 3000,
    every: Annotated[
        float,
        typer.Option(
            min=1, metavar="SECONDS", help="Between two things that happen by themselves."
        ),
    ] = 20.0,
    quiet_vendors: Annotated[
        bool, typer.Option("--quiet-vendors", help="Nothing happens by itself at the vendors.")
    ] = False,
) -> None:
    """Run the whole product on this machine: fake vendors, first sync, Dagster. Ctrl-C stops it.

    Then something happens at the vendors now and again, and the demo tells when it has arrived.
    Nothing leaves this machine. The state is new each time, under .demo in the checkout or under
    CRM_PIPELINE_HOME.
    """
    if context.invoked_subcommand is not None:
        return
    from crm_pipeline.cli.demo.running import DemoOptions, run_demo
    from crm_pipeline.cli.opening import current_environ

    options = DemoOptions(
        has_ui=not no_ui,
        is_once=once,
        is_small=customers is Customers.SMALL,
        port=port,
        every=every,
        is_quiet=quiet_vendors,
    )
    raise typer.Exit(run_demo(options, current_environ()))


@app.command("act", epilog=ACT_EXAMPLES)
def act(
    name: Annotated[str | None, typer.Argument(help="What shall happen.")] = None,
    *,
    list_all: Annotated[bool, typer.Option("--list", help="Show what can happen.")] = False,
) -> None:
    """Let one thing happen at a running demo, and wait until it has arrived.

    Exit code 75: it has not arrived within five minutes.
    """
    from crm_pipeline.cli.demo.acting import list_acts, run_act
    from crm_pipeline.cli.opening import current_environ

    if list_all:
        typer.echo(list_acts())
        return
    if name is None:
        raise ConfigurationError(
            "Say what shall happen.", not_done="Nothing happened.", remedy="See `--list`."
        )
    raise typer.Exit(run_act(name, current_environ()))
