"""``crm-pipeline sandbox``: the fake vendors by themselves."""

from pathlib import Path
from typing import Annotated

import typer

from crm_pipeline.cli.options import examples
from crm_pipeline.errors import ConfigurationError

EXAMPLES = examples(
    "sandbox",
    "sandbox --loke-port 0 --crm-com-port 0 --sopost-port 0 --ready-file sandbox.json",
)


def sandbox(
    loke_port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free port.")] = 8801,
    crm_com_port: Annotated[
        int, typer.Option(min=0, max=65535, help="0 picks a free port.")
    ] = 8802,
    sopost_port: Annotated[int, typer.Option(min=0, max=65535, help="0 picks a free port.")] = 8803,
    ready_file: Annotated[
        Path | None, typer.Option(help="Written with the addresses once all servers accept.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Another number gives other invented people.")] = 7,
    small: Annotated[
        bool, typer.Option("--small", help="50, 500 and 2,000 customers only.")
    ] = False,
) -> None:
    """Run a fake LOKE, a fake CRM.COM and a fake SoPost on this machine until Ctrl-C."""
    import dataclasses

    from crm_pipeline.sandbox import SandboxSettings, demo_organisations, run_sandbox

    organisations = demo_organisations()
    if small:
        organisations = tuple(
            dataclasses.replace(each, customers=min(each.customers, most))
            for each, most in zip(organisations, (50, 500, 2_000), strict=True)
        )
    settings = SandboxSettings(
        organisations=organisations,
        loke_port=loke_port,
        crm_com_port=crm_com_port,
        sopost_port=sopost_port,
        seed=seed,
    )
    try:
        run_sandbox(settings, ready_file=ready_file, announce=typer.echo)
    except OSError as error:
        raise ConfigurationError(
            f"The sandbox cannot listen on ports {loke_port}, {crm_com_port} and {sopost_port}"
            f" ({type(error).__name__}).",
            not_done="Nothing was started.",
            remedy="Choose other ports with --loke-port, --crm-com-port and --sopost-port; 0 picks"
            " free ones.",
        ) from error
