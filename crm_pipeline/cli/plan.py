"""``crm-pipeline plan``: make a plan, look at plans, approve one by its digest."""

from typing import Annotated

import typer

from crm_pipeline.cli.options import (
    Full,
    Json,
    MaybeDestination,
    MaybeOrganisation,
    Organisation,
    examples,
)
from crm_pipeline.errors import EXIT_CHANGES, EXIT_OK

EXAMPLES = examples(
    "plan --org harbour-coffee",
    "plan --org harbour-coffee --full",
    "plan show --org harbour-coffee",
    "plan approve --org harbour-coffee 3f9c2a7b11aa",
)

app = typer.Typer(
    help="Work out what has to change in the CRM. Nothing is sent. Exit code 2: there are changes.",
    invoke_without_command=True,
    epilog=EXAMPLES,
)

Digest = Annotated[
    str | None,
    typer.Argument(metavar="[DIGEST]", help="Eight characters or more."),
]


@app.callback()
def make(
    context: typer.Context,
    *,
    org: MaybeOrganisation = None,
    destination: MaybeDestination = None,
    full: Full = False,
    as_json: Json = False,
) -> None:
    """Make and store a plan from what was pulled."""
    if context.invoked_subcommand is not None:
        return
    if org is None:
        raise typer.BadParameter("name the organisation: --org SLUG.", ctx=context)
    raise typer.Exit(_make(org, destination, is_full=full, is_json=as_json))


def _make(slug: str, destination: str | None, *, is_full: bool, is_json: bool) -> int:
    from crm_pipeline.cli.choosing import chosen_destinations
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.plan_view import plan_document, show_plan
    from crm_pipeline.cli.progress import ProgressDisplay
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.account import require_same_account
    from crm_pipeline.sync.beside import beside_sync
    from crm_pipeline.sync.plan import make_kind_plan
    from crm_pipeline.sync.run import require_active

    screen = Screen(is_json=is_json)
    with ProgressDisplay() as progress, opened_runtime(progress) as runtime:
        progress.begin(slug)
        ws, organisation = runtime.workspace, runtime.organisation(slug)
        require_active(ws, organisation)
        chosen = chosen_destinations(organisation, destination).values()
        for each in chosen:
            require_same_account(ws, slug, each)
        with beside_sync(ws, slug, "plan"):
            headers = [
                make_kind_plan(ws, slug, each, kind, is_full=is_full)
                for each in chosen
                for kind in each.kinds
            ]
    for header in headers:
        if header.size or header.object_kind == "contact":
            show_plan(screen, header)
    has_changes = any(header.size for header in headers)
    code = EXIT_CHANGES if has_changes else EXIT_OK
    screen.line(
        f"Next: `crm-pipeline apply --org {slug}`." if has_changes else "Nothing to change."
    )
    screen.result({"plans": [plan_document(each) for each in headers], "exit_code": code})
    return code


@app.command(epilog=examples("plan show --org harbour-coffee --limit 5"))
def show(
    org: Organisation,
    digest: Digest = None,
    *,
    destination: MaybeDestination = None,
    limit: Annotated[int, typer.Option(min=0, help="How many changes to show.")] = 20,
    values: Annotated[
        bool, typer.Option("--values", help="Show values too: personal data on your screen.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show a stored plan and a sample of its changes by key, with the names of their fields."""
    from crm_pipeline.cli.choosing import one_destination
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.plan_view import change_json, plan_document, show_changes, show_plan
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.plan import iter_changes, load_plan

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        name = one_destination(runtime.organisation(org), destination)
        header = load_plan(runtime.workspace, org, name, digest)
        changes = list(iter_changes(runtime.workspace, header, limit=limit)) if limit else []
    show_plan(screen, header)
    show_changes(screen, changes, with_values=values)
    if limit and header.size and not changes:
        screen.line("The changes themselves are not kept any more: see `retention`.")
    elif header.size > len(changes):
        screen.line(f"{len(changes):,} of {header.size:,} changes shown; see --limit.")
    shown = [change_json(change, with_values=values) for change in changes]
    screen.result({"plan": plan_document(header), "changes": shown})


@app.command("list", epilog=examples("plan list --org harbour-coffee"))
def list_plans(
    org: Organisation,
    *,
    destination: MaybeDestination = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """List an organisation's plans, the newest first."""
    from crm_pipeline.cli.choosing import one_destination
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.plan_view import plan_document
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.core.render import SHORT_DIGEST, summary

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        name = one_destination(runtime.organisation(org), destination)
        stored = runtime.ledger.plans.list(org, name, limit)
    screen.table(
        f"Plans of {org} for {name}",
        ["Digest", "Of", "Made", "Status", "Changes"],
        [
            [
                each.header.digest[:SHORT_DIGEST],
                each.header.object_kind,
                f"{each.header.created_at:%Y-%m-%d %H:%M:%S} UTC",
                each.status,
                summary(each.header),
            ]
            for each in stored
        ],
    )
    documents = [{**plan_document(each.header), "status": each.status} for each in stored]
    screen.result({"plans": documents})


@app.command(epilog=examples("plan approve --org harbour-coffee 3f9c2a7b11aa --hours 4"))
def approve(
    org: Organisation,
    digest: Annotated[str, typer.Argument(help="Of the plan you looked at.")],
    *,
    destination: MaybeDestination = None,
    hours: Annotated[float, typer.Option(min=0.1, max=168, help="How long it holds.")] = 24,
    as_json: Json = False,
) -> None:
    """Let exactly this plan be applied although a guard stopped it."""
    from crm_pipeline.cli.choosing import one_destination
    from crm_pipeline.cli.opening import opened_runtime, operator_name
    from crm_pipeline.cli.plan_view import plan_document
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.apply import approve_plan

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        name = one_destination(runtime.organisation(org), destination)
        by = operator_name()
        header = approve_plan(runtime.workspace, org, name, digest, by=by, hours=hours)
    screen.line(f"Approved for {hours:g} hours by {by}: {header.size:,} changes.")
    screen.line(f"Next: `crm-pipeline apply --org {org}`.")
    screen.result({"plan": plan_document(header), "approved_by": by, "hours": hours})
