"""``crm-pipeline verify``: read the CRM back and show where it differs from what it took."""

from typing import TYPE_CHECKING, Annotated

import typer

from crm_pipeline.cli.options import Json, MaybeDestination, Organisation, examples
from crm_pipeline.errors import EXIT_DATA, EXIT_OK

if TYPE_CHECKING:
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.verify import DriftReport

EXAMPLES = examples("verify --org harbour-coffee", "verify --org metro-sushi --sample 500")


def verify(
    org: Organisation,
    *,
    destination: MaybeDestination = None,
    sample: Annotated[
        str | None,
        typer.Option(metavar="N|all", help="How many objects; default: the organisation's file."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Read back what the CRM holds and report drift. Nothing is written. Exit code 65: drift."""
    from crm_pipeline.cli.choosing import chosen_destinations
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.progress import ProgressDisplay
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync import verify as use_case
    from crm_pipeline.sync.run import require_active

    wanted = _sample_size(sample)
    screen = Screen(is_json=as_json)
    reports: dict[str, DriftReport] = {}
    with ProgressDisplay() as progress, opened_runtime(progress) as runtime:
        progress.begin(org)
        organisation = runtime.organisation(org)
        require_active(runtime.workspace, organisation)
        for name, binding in chosen_destinations(organisation, destination).items():
            size = binding.verify.sample if sample is None else wanted
            api = binding.connect()
            try:
                reports[name] = use_case.verify(runtime.workspace, org, binding, api, sample=size)
            finally:
                api.close()
    for name, report in reports.items():
        _show(screen, org, name, report)
    code = EXIT_OK if all(report.is_clean for report in reports.values()) else EXIT_DATA
    documents = {name: _document(report) for name, report in reports.items()}
    screen.result({"organisation": org, "drift": documents, "exit_code": code})
    raise typer.Exit(code)


def _sample_size(text: str | None) -> int | None:
    if text is None or text == "all":
        return None
    if text.isdecimal() and int(text) > 0:
        return int(text)
    raise typer.BadParameter("--sample takes `all` or a number of objects, at least 1.")


def _show(screen: "Screen", org: str, destination: str, report: "DriftReport") -> None:
    from crm_pipeline.core.render import duration

    rows = [
        ["read back", report.checked],
        ["changed by somebody else", report.changed],
        ["missing", report.missing],
        ["not ours", report.foreign],
        ["opted out in the CRM", report.opted_out],
    ]
    if report.moving:
        rows.append(["just written, not compared", report.moving])
    screen.table(f"{org} in {destination}", ["Finding", "Objects"], rows)
    if report.fields:
        fields = [list(each) for each in report.fields.items()]
        screen.table("", ["Drifted field", "Objects"], fields)
    screen.line(f"{_verdict(report)} {duration(report.seconds)}.")


def _verdict(report: "DriftReport") -> str:
    if not report.is_clean:
        return "There is drift."
    if report.moving:
        return (
            "Nothing of what was compared has drifted. Run it again for what was just written:"
            " the CRM may show that late."
        )
    return "The CRM holds what it acknowledged."


def _document(report: "DriftReport") -> dict[str, object]:
    return {
        "checked": report.checked,
        "changed": report.changed,
        "missing": report.missing,
        "foreign": report.foreign,
        "opted_out": report.opted_out,
        "moving": report.moving,
        "fields": dict(report.fields),
        "is_clean": report.is_clean,
        "seconds": round(report.seconds, 3),
    }
