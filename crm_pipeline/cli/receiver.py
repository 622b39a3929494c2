"""``crm-pipeline receiver``: take webhooks, until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer

from crm_pipeline.cli.options import examples
from crm_pipeline.errors import ConfigurationError

EXAMPLES = examples(
    "receiver",
    "receiver --host 127.0.0.1 --port 0 --ready-file receiver.port",
    "receiver --port 8810 --metrics-port 8811",
)


def receiver(
    host: Annotated[
        str, typer.Option(help="The address to listen on. Put a proxy with TLS before it.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free port.")] = 8810,
    ready_file: Annotated[
        Path | None, typer.Option(help="Gets the port once webhooks are taken.")
    ] = None,
    metrics_host: Annotated[
        str, typer.Option(help="The address for health and figures.")
    ] = "127.0.0.1",
    metrics_port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="The port for health and figures; none by default."),
    ] = None,
    max_body_kb: Annotated[
        int, typer.Option(min=64, max=65_536, help="A larger body is refused with 413.")
    ] = 1_024,
    max_connections: Annotated[
        int, typer.Option(min=10, max=50_000, help="Above it, every request gets 503.")
    ] = 1_000,
) -> None:
    """Take webhooks of every organisation: proved, stored durably, then answered.

    An organisation that is added, and a secret that is replaced, need no restart.
    """
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.webhooks import ReceiverOptions, run_receiver

    options = ReceiverOptions(
        host=host,
        port=port,
        ready_file=ready_file,
        metrics_host=metrics_host,
        metrics_port=metrics_port,
        max_body_kb=max_body_kb,
        max_connections=max_connections,
    )
    with opened_runtime() as runtime:
        _ = runtime.ledger  # makes what is missing, on SQLite; says what to run, on Postgres
        try:
            run_receiver(runtime.settings, options, clock=runtime.clock, announce=typer.echo)
        except OSError as error:
            raise ConfigurationError(
                f"The receiver cannot listen on {host} port {port}"
                + (f" and {metrics_host} port {metrics_port}" if metrics_port else "")
                + f" ({type(error).__name__}).",
                not_done="Nothing was started.",
                remedy="Choose other ports with --port and --metrics-port; 0 picks free ones.",
            ) from error
