"""``crm-pipeline rejects``: records that were set aside, and why."""

from typing import Annotated

import typer

from crm_pipeline.cli.options import Json, Organisation, examples

EXAMPLES = examples("rejects list --org harbour-coffee")

FIELDS = ("stage", "dataset", "key", "reason", "detail")

app = typer.Typer(
    help="Records that were set aside, and why.", no_args_is_help=True, epilog=EXAMPLES
)


@app.callback()
def root() -> None:
    """Look at what was set aside."""


@app.command("list", epilog=EXAMPLES)
def list_rejects(
    org: Organisation,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 50,
    values: Annotated[
        bool, typer.Option("--values", help="Show the records too: personal data on your screen.")
    ] = False,
    as_json: Json = False,
) -> None:
    """List an organisation's rejects by reason and by key."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.reports import reject_json
    from crm_pipeline.cli.screen import Screen

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        runtime.loaded.require(org)
        counts = runtime.ledger.rejects.counts(org)
        rejects = runtime.ledger.rejects.list(org, limit)
    by_reason = [list(each) for each in counts.items()]
    screen.table(f"Rejects of {org}", ["Reason", "Records"], by_reason)
    if rejects:
        columns = [name.capitalize() for name in FIELDS]
        rows = [[getattr(each.reject, name) for name in FIELDS] for each in rejects]
        if values:
            columns.append("Record")
            rows = [[*row, each.reject.payload] for row, each in zip(rows, rejects, strict=True)]
        screen.table("", columns, rows)
    screen.result(
        {
            "organisation": org,
            "counts": dict(counts),
            "rejects": [reject_json(each, with_values=values) for each in rejects],
        }
    )
