"""``crm-pipeline undo``: take an applied plan back, where nobody has changed anything since."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.options import Json, MaybeDestination, Organisation, examples
from crm_pipeline.errors import EXIT_DATA, EXIT_OK

if TYPE_CHECKING:
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.undo import UndoReport

EXAMPLES = examples(
    "undo --org harbour-coffee 3f9c2a7b11aa --dry-run",
    "undo --org harbour-coffee 3f9c2a7b11aa",
    "undo --org harbour-coffee 3f9c2a7b11aa --archive-created",
)
#: What was left is listed by key up to this number; counts say the rest.
SKIPPED_SHOWN = 50


def undo(
    org: Organisation,
    digest: Annotated[str, typer.Argument(help="Of the applied plan; see `plan list`.")],
    *,
    destination: MaybeDestination = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read the CRM and tell; send and store nothing.")
    ] = False,
    archive_created: Annotated[
        bool, typer.Option("--archive-created", help="Opt out the contacts that the plan created.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write back what the CRM held before a plan, where it still holds what the plan wrote.

    Exit code 65: something was refused, or a guard stopped the undo.
    """
    from crm_pipeline.cli.choosing import one_destination
    from crm_pipeline.cli.opening import opened_runtime, operator_name
    from crm_pipeline.cli.progress import ProgressDisplay
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.undo import undo as use_case

    screen = Screen(is_json=as_json)
    with ProgressDisplay() as progress, opened_runtime(progress) as runtime:
        progress.begin(org)
        organisation = runtime.organisation(org)
        name = one_destination(organisation, destination)
        report = use_case(
            runtime.workspace,
            org,
            organisation.destinations[name],
            digest,
            by=operator_name(),
            is_dry_run=dry_run,
            is_archiving=archive_created,
        )
    _show(screen, org, name, report, is_dry_run=dry_run)
    applied = report.applied
    code = EXIT_DATA if applied and applied.counts.get("rejected", 0) else EXIT_OK
    screen.result({**_document(org, name, report), "is_dry_run": dry_run, "exit_code": code})
    raise typer.Exit(code)


def _show(
    screen: "Screen", org: str, destination: str, report: "UndoReport", *, is_dry_run: bool
) -> None:
    from crm_pipeline.cli.apply import show_outcomes
    from crm_pipeline.core.render import SHORT_DIGEST
    from crm_pipeline.sync.undo import REASONS

    undone = report.undone.digest[:SHORT_DIGEST]
    would = "would be" if is_dry_run else "are"
    screen.line(f"Plan {undone} of {org} for {destination}", style="bold")
    screen.line(f"{report.objects:,} objects {would} taken back, {report.archived:,} archived.")
    if report.fields:
        fields = [list(each) for each in report.fields.most_common()]
        screen.table("", ["Field", "Objects"], fields)
    if report.skipped:
        rows = [[name, count, REASONS[name]] for name, count in report.reasons.items()]  # type: ignore[index]
        screen.table("", ["Left as it is because", "Times", "Meaning"], rows)
        shown = report.skipped[:SKIPPED_SHOWN]
        keys = [[each.key, each.reason, ", ".join(each.fields) or "all"] for each in shown]
        screen.table("", ["Key", "Reason", "Fields"], keys)
    if report.applied is not None:
        show_outcomes(screen, org, destination, report.applied)
        screen.line("No later plan writes this again by itself: it would be set aside as `undone`.")
    elif report.plan is None and not is_dry_run:
        screen.line("There is nothing that can be taken back.")


def _document(org: str, destination: str, report: "UndoReport") -> Mapping[str, Any]:
    from crm_pipeline.cli.apply import report_json
    from crm_pipeline.cli.plan_view import plan_document

    return {
        "organisation": org,
        "destination": destination,
        "undone": report.undone.digest,
        "objects": report.objects,
        "archived": report.archived,
        "fields": dict(report.fields),
        "skipped": [
            {"key": each.key, "reason": each.reason, "fields": list(each.fields)}
            for each in report.skipped
        ],
        "reasons": dict(report.reasons),
        "plan": None if report.plan is None else plan_document(report.plan),
        "applied": None if report.applied is None else report_json(report.applied),
    }
