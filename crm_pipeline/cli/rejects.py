"""``crm-pipeline rejects``: records that were set aside, why, and what becomes of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from crm_pipeline.cli.options import Json, Organisation, examples
from crm_pipeline.errors import EXIT_DATA, EXIT_OK

if TYPE_CHECKING:
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.store.ledger import StoredReject
    from crm_pipeline.sync.retry import RetryReport

KEY = "loke:01HRP5E5X8V37E3S3E28JT97KB"
LIST_EXAMPLES = examples("rejects list --org harbour-coffee")
SHOW_EXAMPLES = examples(f"rejects show --org harbour-coffee {KEY}")
RETRY_EXAMPLES = examples(
    f"rejects retry --org harbour-coffee {KEY}",
    "rejects retry --org harbour-coffee --reason tag_unknown",
    "rejects retry --org harbour-coffee --all",
)
DISCARD_EXAMPLES = examples(
    f'rejects discard --org harbour-coffee {KEY} --reason "removed in the CRM on request"'
)
EXAMPLES = examples(
    "rejects list --org harbour-coffee",
    f"rejects show --org harbour-coffee {KEY}",
    "rejects retry --org harbour-coffee --all",
)

FIELDS = ("stage", "dataset", "key", "reason", "detail")
NEXT_STEPS = {
    "retry": "retry",
    "fix_data": "fix the data",
    "fix_configuration": "fix the configuration",
    "report_bug": "report a bug",
}

app = typer.Typer(
    help="Records that were set aside: look, try again, strike off.",
    no_args_is_help=True,
    epilog=EXAMPLES,
)

Values = Annotated[
    bool, typer.Option("--values", help="Show the records too: personal data on your screen.")
]
Keys = Annotated[list[str], typer.Argument(metavar="KEY...", help="As `rejects list` shows them.")]


@app.callback()
def root() -> None:
    """Look at what was set aside, try it again, or strike it off."""


@app.command("list", epilog=LIST_EXAMPLES)
def list_rejects(
    org: Organisation,
    *,
    limit: Annotated[int, typer.Option(min=1, help="How many to show.")] = 50,
    values: Values = False,
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


@app.command(epilog=SHOW_EXAMPLES)
def show(
    org: Organisation,
    key: Annotated[str, typer.Argument(metavar="KEY", help="As `rejects list` shows it.")],
    *,
    values: Values = False,
    as_json: Json = False,
) -> None:
    """Show everything about one reject, and what to do about it."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.reports import reject_json
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.core.remedies import remedy_for
    from crm_pipeline.sync.retry import choose

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        runtime.loaded.require(org)
        chosen = choose(runtime.ledger.rejects.list(org), [key])
    documents = []
    for each in chosen:
        remedy = remedy_for(each.reject.reason)
        _show_one(screen, each, NEXT_STEPS[remedy.next_step], remedy.advice, with_values=values)
        document = reject_json(each, with_values=values)
        documents.append({**document, "next_step": remedy.next_step, "remedy": remedy.advice})
    screen.result({"organisation": org, "rejects": documents})


@app.command(epilog=RETRY_EXAMPLES)
def retry(
    org: Organisation,
    keys: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY...]", help="As `rejects list` shows them.")
    ] = None,
    *,
    reason: Annotated[
        str | None, typer.Option(metavar="CODE", help="All that were set aside for this reason.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Everything that is set aside.")] = False,
    as_json: Json = False,
) -> None:
    """Try again what was set aside: read, resolve or send it again. Exit code 65: some stay."""
    from crm_pipeline.cli.opening import opened_runtime, operator_name
    from crm_pipeline.cli.progress import ProgressDisplay
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.retry import choose
    from crm_pipeline.sync.retry import retry as use_case
    from crm_pipeline.sync.run import require_active

    screen = Screen(is_json=as_json)
    with ProgressDisplay() as progress, opened_runtime(progress) as runtime:
        progress.begin(org)
        ws, organisation = runtime.workspace, runtime.organisation(org)
        require_active(ws, organisation)
        stored = ws.ledger.rejects.list(org)
        chosen = choose(stored, keys or (), reason=reason, is_all=every)
        report = use_case(ws, organisation, chosen, by=operator_name())
    raise typer.Exit(_tell_retry(screen, report))


@app.command(epilog=DISCARD_EXAMPLES)
def discard(
    org: Organisation,
    keys: Keys,
    *,
    reason: Annotated[
        str, typer.Option(metavar="WHY", help="For the audit log: no names or addresses.")
    ],
    as_json: Json = False,
) -> None:
    """Strike rejects off the list. No data is removed; what is refused again is listed again."""
    from crm_pipeline.cli.opening import opened_runtime, operator_name
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.retry import choose
    from crm_pipeline.sync.retry import discard as use_case

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        runtime.loaded.require(org)
        chosen = choose(runtime.ledger.rejects.list(org), keys)
        number = use_case(runtime.workspace, org, chosen, by=operator_name(), why=reason)
    screen.line(f"{number:,} rejects of {org} were struck off; see `crm-pipeline audit list`.")
    screen.result({"organisation": org, "discarded": number})


def _show_one(
    screen: "Screen", each: "StoredReject", step: str, advice: str, *, with_values: bool
) -> None:
    reject = each.reject
    rows: list[Sequence[object]] = [
        ["Reason", reject.reason],
        ["Stage", f"{reject.stage}, {each.party}, {reject.dataset}"],
        ["Detail", reject.detail],
        ["Set aside", f"{each.rejected_at:%Y-%m-%d %H:%M:%S} UTC, {each.times:,} times in all"],
        ["Next step", step],
        ["What to do", advice],
    ]
    if reject.plan_digest:
        rows.append(["Plan", reject.plan_digest])
    if with_values:
        rows.append(["Record", reject.payload])
    screen.table(reject.key or "(without a key)", ["", ""], rows)


def _tell_retry(screen: "Screen", report: "RetryReport") -> int:
    from crm_pipeline.cli.exits import worst
    from crm_pipeline.cli.failures import error_json

    words = {"done": "went through", "refused": "set aside again", "waiting": "still waiting"}
    rows = [
        [each.stored.reject.key, each.stored.reject.stage, words[each.ending], each.reason]
        for each in report.retried
    ]
    if rows:
        screen.table("", ["Key", "Stage", "Became", "Reason"], rows)
    else:
        screen.line("Nothing is set aside.")
    for error in report.errors:
        screen.note(f"Error: {error}")
    staying = EXIT_DATA if report.staying else EXIT_OK
    code = worst((staying, *(error.exit_code for error in report.errors)))
    documents = [
        {
            "key": each.stored.reject.key,
            "stage": each.stored.reject.stage,
            "dataset": each.stored.reject.dataset,
            "ending": each.ending,
            "reason": each.reason,
        }
        for each in report.retried
    ]
    errors = [error_json(error) for error in report.errors]
    document = {"organisation": report.organisation, "retried": documents, "errors": errors}
    screen.result({**document, "exit_code": code})
    return code
