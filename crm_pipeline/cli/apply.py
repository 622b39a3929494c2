"""``crm-pipeline apply``: carry out a stored plan, exactly."""

from typing import TYPE_CHECKING, Annotated

import typer

from crm_pipeline.cli.options import Json, MaybeDestination, Organisation, examples
from crm_pipeline.errors import EXIT_DATA, EXIT_OK

if TYPE_CHECKING:
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.apply import ApplyReport

EXAMPLES = examples(
    "apply --org harbour-coffee",
    "apply --org harbour-coffee 3f9c2a7b11aa",
    "apply --org harbour-coffee 3f9c2a7b11aa --approve",
)


def apply(
    org: Organisation,
    digest: Annotated[
        str | None,
        typer.Argument(metavar="[DIGEST]", help="Default: the newest of each kind."),
    ] = None,
    *,
    destination: MaybeDestination = None,
    approve: Annotated[
        bool, typer.Option("--approve", help="Approve the plan first, although a guard stopped it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Send the changes of a plan to the CRM, each exactly once."""
    from crm_pipeline.cli.choosing import chosen_destinations, one_destination
    from crm_pipeline.cli.exits import worst
    from crm_pipeline.cli.opening import opened_runtime, operator_name
    from crm_pipeline.cli.progress import ProgressDisplay
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.errors import ConfigurationError
    from crm_pipeline.sync.apply import apply_plan, approve_plan
    from crm_pipeline.sync.plan import plan_name, plans_to_apply
    from crm_pipeline.sync.run import require_active

    if approve and digest is None:
        raise ConfigurationError(
            "--approve needs the digest of the plan that you looked at.",
            not_done="Nothing was sent.",
            remedy=f"See `crm-pipeline plan show --org {org}`.",
        )
    screen = Screen(is_json=as_json)
    by = operator_name()
    reports: dict[str, ApplyReport] = {}
    with ProgressDisplay() as progress, opened_runtime(progress) as runtime:
        progress.begin(org)
        organisation = runtime.organisation(org)
        require_active(runtime.workspace, organisation)
        if digest is not None:
            destination = one_destination(organisation, destination)
        for name, binding in chosen_destinations(organisation, destination).items():
            headers = plans_to_apply(runtime.workspace, org, binding, digest)
            if approve:
                approve_plan(runtime.workspace, org, name, headers[0].digest, by=by)
            api = binding.connect()
            try:
                for header in headers:
                    report = apply_plan(runtime.workspace, org, binding, api, header, by=by)
                    reports[plan_name(name, header.object_kind)] = report
            finally:
                api.close()
    for name, report in reports.items():
        show_outcomes(screen, org, name, report)
    code = worst(exit_code_of(report) for report in reports.values())
    documents = {name: report_json(report) for name, report in reports.items()}
    screen.result({"organisation": org, "applied": documents, "exit_code": code})
    raise typer.Exit(code)


def exit_code_of(report: "ApplyReport") -> int:
    """Return 65 when changes were set aside, 0 otherwise."""
    return EXIT_DATA if report.counts.get("rejected", 0) else EXIT_OK


def report_json(report: "ApplyReport") -> dict[str, object]:
    """Return how a plan ended, for ``--json``."""
    return {
        "digest": report.digest,
        "counts": dict(report.counts),
        "calls": report.calls,
        "seconds": round(report.seconds, 3),
        "reject_reasons": dict(report.reject_reasons),
    }


def show_outcomes(screen: "Screen", org: str, destination: str, report: "ApplyReport") -> None:
    """Write how a plan ended for a person."""
    from crm_pipeline.core.render import SHORT_DIGEST, duration

    title = f"Plan {report.digest[:SHORT_DIGEST]} of {org} for {destination}"
    counts = [[kind, count] for kind, count in report.counts.items() if count]
    screen.table(title, ["Outcome", "Changes"], counts or [["nothing to do", 0]])
    if report.reject_reasons:
        reasons = [list(each) for each in report.reject_reasons.items()]
        screen.table("", ["Rejected because", "Changes"], reasons)
        screen.line(f"See `crm-pipeline rejects list --org {org}`.")
    screen.line(f"{report.calls:,} calls in {duration(report.seconds)}.")
