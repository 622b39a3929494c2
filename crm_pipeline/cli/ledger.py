"""``crm-pipeline ledger``: the state database."""

import typer

from crm_pipeline.cli.options import examples

EXAMPLES = examples("ledger migrate")

app = typer.Typer(help="The state database.", no_args_is_help=True, epilog=EXAMPLES)


@app.callback()
def root() -> None:
    """Look after the state database."""


@app.command(epilog=EXAMPLES)
def migrate() -> None:
    """Create the ledger's tables, or bring them to this version. Safe to repeat."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen

    with opened_runtime() as runtime:
        runtime.migrate_ledger()
    Screen().line("The ledger is up to date.")
