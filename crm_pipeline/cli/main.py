"""The application: every command by name, and the boundary where errors become exit codes."""

import gc
import os
import resource
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from crm_pipeline.cli import (
    apply,
    audit,
    customers,
    demo,
    doctor,
    erase,
    explain,
    ledger,
    orgs,
    plan,
    pos,
    pull,
    receiver,
    rejects,
    retention,
    runs,
    sandbox,
    status,
    sync,
    undo,
    verify,
    webhooks,
)
from crm_pipeline.cli.failures import handle_failures
from crm_pipeline.cli.options import lines

EXIT_CODES = lines(
    "Exit codes:",
    " 0  done, nothing pending",
    " 2  changes are planned (`plan` only)",
    "65  data was set aside, or a guard stopped a plan",
    "70  a bug of ours",
    "75  try later",
    "78  something has to be configured, or was typed wrong",
    "With several organisations the worst wins: 70, 78, 65, 75, 2, 0.",
)

app = typer.Typer(
    name="crm-pipeline",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=EXIT_CODES,
)


def _show_version(is_wanted: bool) -> None:
    if is_wanted:
        from crm_pipeline import __version__

        typer.echo(f"crm-pipeline {__version__}")
        raise typer.Exit


@app.callback()
def root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Show the version.", callback=_show_version, is_eager=True),
    ] = False,
) -> None:
    """Keep every organisation's CRM equal to what its loyalty platform says about its people.

    Start with `crm-pipeline demo`: the whole product on this machine, against fake vendors.
    """


app.add_typer(demo.app, name="demo")
app.command("sync", epilog=sync.EXAMPLES)(sync.sync)
app.command("status", epilog=status.EXAMPLES)(status.status)
app.command("pull", epilog=pull.EXAMPLES)(pull.pull)
app.add_typer(plan.app, name="plan")
app.command("apply", epilog=apply.EXAMPLES)(apply.apply)
app.command("undo", epilog=undo.EXAMPLES)(undo.undo)
app.command("verify", epilog=verify.EXAMPLES)(verify.verify)
app.command("explain", epilog=explain.EXAMPLES)(explain.explain)
app.add_typer(customers.app, name="customers")
app.command("erase", epilog=erase.EXAMPLES)(erase.erase)
app.command("doctor", epilog=doctor.EXAMPLES)(doctor.doctor)
app.add_typer(orgs.app, name="orgs")
app.add_typer(rejects.app, name="rejects")
app.add_typer(retention.app, name="retention")
app.add_typer(audit.app, name="audit")
app.add_typer(ledger.app, name="ledger")
app.add_typer(runs.app, name="runs")
app.add_typer(pos.app, name="pos")
app.command("receiver", epilog=receiver.EXAMPLES)(receiver.receiver)
app.add_typer(webhooks.app, name="webhooks")
app.command("sandbox", epilog=sandbox.EXAMPLES)(sandbox.sandbox)


def run(arguments: Sequence[str] | None = None) -> None:
    """Run one command and end the process with its exit code. The console script's entry."""
    os.umask(0o077)
    # A core dump would hold people and secrets.
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    given = list(sys.argv[1:] if arguments is None else arguments)
    code = handle_failures(app, given, os.environ)
    # An error's traceback may still hold a DuckDB result; DuckDB writes pages of "leaked instance"
    # to the terminal when the interpreter ends before it.
    gc.collect()
    sys.exit(code)
