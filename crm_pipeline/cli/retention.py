"""``crm-pipeline retention``: what is over its age, and removing it."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.options import Json, MaybeOrganisation, Organisation, examples
from crm_pipeline.errors import ConfigurationError, CrmPipelineError

if TYPE_CHECKING:
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.retention import RetentionReport
    from crm_pipeline.wiring import Runtime

EXAMPLES = examples(
    "retention show --org harbour-coffee",
    "retention apply --org harbour-coffee",
    "retention apply --all --yes",
)

app = typer.Typer(help="How long things are kept.", no_args_is_help=True, epilog=EXAMPLES)


@app.callback()
def root() -> None:
    """Look after what is over its age."""


@app.command("show", epilog=examples("retention show --org harbour-coffee"))
def show(org: Organisation, *, as_json: Json = False) -> None:
    """Say how long an organisation keeps what, and how much is over its age. Changes nothing."""
    import dataclasses

    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.retention import apply_retention

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        organisation = runtime.organisation(org)
        report = apply_retention(runtime.workspace, organisation, by="", is_dry_run=True)
    rules = dataclasses.asdict(organisation.retention)
    days = [[name, "for ever" if each is None else each] for name, each in rules.items()]
    screen.table(f"Kept by {org}", ["What", "Days"], days)
    _show(screen, report)
    screen.result({"organisation": org, "days": rules, **_document(report)})


@app.command("apply", epilog=examples("retention apply --org harbour-coffee --yes"))
def apply(
    *,
    org: MaybeOrganisation = None,
    every_organisation: Annotated[
        bool, typer.Option("--all", help="Every organisation, paused ones too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what.")] = False,
    as_json: Json = False,
) -> None:
    """Remove what is over its age; it cannot be brought back. The next plan is the same."""
    from crm_pipeline.cli.exits import worst
    from crm_pipeline.cli.failures import error_json
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen

    if (org is None) == (not every_organisation):
        raise ConfigurationError(
            "Say which organisations: --org SLUG for one, or --all.", not_done="Nothing was done."
        )
    screen = Screen(is_json=as_json)
    documents: list[dict[str, Any]] = []
    codes = []
    with opened_runtime() as runtime:
        for slug in [org] if org is not None else sorted(runtime.organisations):
            try:
                report = _apply_one(runtime, slug, is_dry_run=not yes)
            except CrmPipelineError as error:
                screen.note(f"{slug}: {error}")
                codes.append(error.exit_code)
                documents.append({"organisation": slug, "error": error_json(error)})
            else:
                _show(screen, report)
                documents.append({"organisation": slug, **_document(report)})
    if not yes:
        screen.line("Nothing was removed: add `--yes`.")
    code = worst(codes)
    screen.result({"organisations": documents, "exit_code": code})
    raise typer.Exit(code)


def _apply_one(runtime: "Runtime", slug: str, *, is_dry_run: bool) -> "RetentionReport":
    from crm_pipeline.cli.opening import operator_name
    from crm_pipeline.sync.retention import apply_retention

    return apply_retention(
        runtime.workspace, runtime.organisation(slug), by=operator_name(), is_dry_run=is_dry_run
    )


def _show(screen: "Screen", report: "RetentionReport") -> None:
    would = "would go" if report.is_dry_run else "are gone"
    rows = [
        ["webhooks", report.webhooks],
        *([f"versions in {table}", count] for table, count in report.landed.items()),
        *([f"changes of plans for {name}", count] for name, count in report.changes.items()),
    ]
    if any(report.counts.values()):
        screen.table(f"{report.organisation}: {would}", ["What", "Number"], rows)
    else:
        screen.line(f"{report.organisation}: nothing is over its age.")


def _document(report: "RetentionReport") -> dict[str, Any]:
    return {
        "is_dry_run": report.is_dry_run,
        "webhooks": report.webhooks,
        "landed": dict(report.landed),
        "changes": dict(report.changes),
        "files": report.files,
    }
