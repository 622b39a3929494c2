"""``crm-pipeline erase``: one person out of every store and every CRM, for ever."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from crm_pipeline.cli.options import Json, Organisation, examples
from crm_pipeline.errors import EXIT_DATA, EXIT_OK, ConfigurationError

if TYPE_CHECKING:
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.binding import OrganisationBinding
    from crm_pipeline.sync.erase.running import ErasureReport, Findings
    from crm_pipeline.sync.workspace import Workspace

EXAMPLES = examples(
    "erase --org harbour-coffee --subject loke:01CMR2FT00QD28ZNBTZMAMRKJ5 --dry-run",
    "erase --org harbour-coffee --subject loke:01CMR2FT00QD28ZNBTZMAMRKJ5 --yes",
    "erase --org harbour-coffee --subject - < address.txt",
    "erase --org harbour-coffee --resume",
)

_NOBODY = "Nobody was found."


def erase(
    org: Organisation,
    *,
    subject: Annotated[
        str | None,
        typer.Option(
            metavar="WHO",
            help="A key, an id of LOKE's or SoPost's, an e-mail address or a phone number with"
            " plus; `-` reads it from standard input, so that no shell keeps it.",
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only count what is held; change nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do it without asking.")] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with erasures that are still open.")
    ] = False,
    again: Annotated[
        bool,
        typer.Option("--again", help="After a restored backup: erase anew who was erased before."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Erase one person everywhere, for ever: ledger, lake, webhooks, CRMs. Exit 65: nobody."""
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen

    if (subject is not None) + resume + again != 1:
        raise ConfigurationError(
            "Say whom: --subject; or --resume, or --again.", not_done="Nothing was erased."
        )
    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        organisation = runtime.organisation(org)
        ws = runtime.workspace
        if subject is None:
            reports = _go_on(ws, organisation, is_again=again)
        else:
            whom = sys.stdin.readline().strip() if subject == "-" else subject
            reports = _erase_one(screen, ws, organisation, whom, is_dry=dry_run, is_sure=yes)
    _show(screen, org, reports)


def _go_on(
    ws: "Workspace", organisation: "OrganisationBinding", *, is_again: bool
) -> "list[ErasureReport]":
    from crm_pipeline.cli.opening import operator_name
    from crm_pipeline.sync.erase.again import erase_again
    from crm_pipeline.sync.erase.running import resume

    go_on = erase_again if is_again else resume
    return go_on(ws, organisation, who=operator_name())


def _erase_one(
    screen: "Screen",
    ws: "Workspace",
    organisation: "OrganisationBinding",
    whom: str,
    *,
    is_dry: bool,
    is_sure: bool,
) -> "list[ErasureReport]":
    from crm_pipeline.cli.opening import operator_name
    from crm_pipeline.sync.erase.running import erase, look

    if is_dry or not is_sure:
        findings = look(ws, organisation, whom)
        _show_findings(screen, organisation.slug, findings, is_result=is_dry)
        if is_dry or findings.is_empty:
            raise typer.Exit(EXIT_DATA if findings.is_empty else EXIT_OK)
        _confirm()
    report = erase(ws, organisation, whom, who=operator_name())
    if report is None:
        screen.line(_NOBODY)
        screen.result({"organisation": organisation.slug, "erasures": []})
        raise typer.Exit(EXIT_DATA)
    return [report]


def _confirm() -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "An erasure cannot be undone, so that it has to be confirmed.",
            not_done="Nothing was erased.",
            remedy="Add `--yes`.",
        )
    typer.confirm("Erase this person everywhere, for ever?", abort=True, err=True)


def _show_findings(screen: "Screen", org: str, findings: "Findings", *, is_result: bool) -> None:
    rows = [
        *(["CRM", name, count] for name, count in findings.crm.items()),
        *(["ledger", table, count] for table, count in findings.ledger.items()),
        *(["lake", table, count] for table, count in findings.lake.items()),
    ]
    if findings.is_empty:
        screen.line(_NOBODY)
    elif findings.is_open:
        screen.line("An erasure of this person is open. It goes on when it is asked for again.")
    else:
        screen.table(f"Held of this person by {org}", ["Where", "What", "Number"], rows)
        screen.line(
            f"{findings.media} e-mail addresses and phone numbers; {findings.shared_media} more are"
            " other people's too and stay theirs."
        )
    if is_result or findings.is_empty:
        screen.result(
            {
                "organisation": org,
                "found": not findings.is_empty,
                "is_open": findings.is_open,
                "crm": dict(findings.crm),
                "ledger": dict(findings.ledger),
                "lake": dict(findings.lake),
                "media": findings.media,
                "shared_media": findings.shared_media,
            }
        )


def _show(screen: "Screen", org: str, reports: "list[ErasureReport]") -> None:
    from crm_pipeline.cli.exits import worst
    from crm_pipeline.cli.failures import error_json

    if not reports:
        screen.line("No erasure is open.")
    for report in reports:
        rows = [
            [step, what, count]
            for step, counts in report.removed.items()
            for what, count in counts.items()
            if count
        ]
        screen.table(f"Erasure {report.erasure}", ["Step", "What", "Number"], rows)
        if report.left_to_vendor:
            screen.note(
                f"{report.left_to_vendor} records of this person in a CRM can be erased by its"
                " owner only: see docs/erasure.md."
            )
        if report.is_complete:
            screen.line(f"Complete. Receipt: {report.receipt}")
        for error in report.troubles:
            screen.note(f"Still open: {error}")
    screen.result(
        {
            "organisation": org,
            "erasures": [
                {
                    "erasure": report.erasure,
                    "is_complete": report.is_complete,
                    "removed": {step: dict(counts) for step, counts in report.removed.items()},
                    "left_to_vendor": report.left_to_vendor,
                    "receipt": report.receipt,
                    "errors": [error_json(error) for error in report.troubles],
                }
                for report in reports
            ],
        }
    )
    raise typer.Exit(worst(e.exit_code for report in reports for e in report.troubles))
