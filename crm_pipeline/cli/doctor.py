"""``crm-pipeline doctor``: prove that one organisation can work, step by step."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Protocol
from urllib.parse import urlsplit

import typer

from crm_pipeline.cli.options import Json, examples
from crm_pipeline.core.records import Finding
from crm_pipeline.errors import EXIT_CONFIGURATION, CrmPipelineError

if TYPE_CHECKING:
    from crm_pipeline.wiring import Runtime

EXAMPLES = examples("doctor harbour-coffee", "doctor harbour-coffee --json")


class _Checked(Protocol):
    def check(self) -> Sequence[Finding]: ...

    def close(self) -> None: ...


def doctor(
    org: Annotated[str, typer.Argument(metavar="ORG", help="The organisation, by its slug.")],
    *,
    as_json: Json = False,
) -> None:
    """Check files, secrets, credentials, reach and set-up of one organisation. Changes nothing.

    Exit code 78: something has to be put right.
    """
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.screen import Screen

    screen = Screen(is_json=as_json)
    with opened_runtime() as runtime:
        findings = list(_examine(runtime, org))
    rows = [
        ["ok" if each.is_ok else "NOT OK", each.check, " ".join((each.message, each.remedy))]
        for each in findings
    ]
    screen.table(f"{org}", ["", "Check", "Finding"], rows)
    is_well = all(each.is_ok for each in findings)
    screen.line(f"Next: `crm-pipeline sync --org {org}`." if is_well else "Put this right first.")
    documents = [
        {"check": e.check, "is_ok": e.is_ok, "message": e.message, "remedy": e.remedy}
        for e in findings
    ]
    screen.result({"organisation": org, "is_ok": is_well, "findings": documents})
    if not is_well:
        raise typer.Exit(EXIT_CONFIGURATION)


def _examine(runtime: "Runtime", slug: str) -> Iterator[Finding]:
    organisation = runtime.organisation(slug)
    file = runtime.loaded.files[slug]
    yield Finding(check="file", is_ok=True, message=f"{file.name} is right.")
    home = runtime.settings.home
    yield _attempt("ledger", lambda: _open_ledger(runtime), f"Opened; state is under {home}.")
    is_paused = slug in runtime.paused()
    if is_paused:
        yield Finding(check="paused", is_ok=True, message="The organisation is paused.")
    for name, destination in runtime.loaded.organisations[slug].destinations.items():
        yield _judge_mode(name, destination.mode, destination.base_url)
    for source_name, source in organisation.sources.items():
        yield from _check_api(f"source {source_name}", source.connect)
    for name, binding in organisation.destinations.items():
        yield from _check_api(f"destination {name}", binding.connect)


def _open_ledger(runtime: "Runtime") -> None:
    runtime.ledger  # noqa: B018  opening it is the check


def _attempt(check: str, action: Callable[[], None], message: str) -> Finding:
    try:
        action()
    except CrmPipelineError as error:
        return Finding(check=check, is_ok=False, message=error.happened, remedy=error.remedy)
    return Finding(check=check, is_ok=True, message=message)


def _check_api(what: str, connect: Callable[[], _Checked]) -> Iterator[Finding]:
    try:
        api = connect()
    except CrmPipelineError as error:
        yield Finding(check=what, is_ok=False, message=error.happened, remedy=error.remedy)
        return
    try:
        for finding in api.check():
            yield Finding(
                check=f"{what}: {finding.check}",
                is_ok=finding.is_ok,
                message=finding.message,
                remedy=finding.remedy,
            )
    except CrmPipelineError as error:
        yield Finding(check=what, is_ok=False, message=error.happened, remedy=error.remedy)
    finally:
        with suppress(CrmPipelineError):
            api.close()


def _judge_mode(name: str, mode: str, base_url: str) -> Finding:
    host = urlsplit(base_url).hostname or ""
    is_test_host = "sandbox" in host or "staging" in host
    is_live_host = host == "app.crm.com"
    is_right = not (is_test_host if mode == "live" else is_live_host)
    return Finding(
        check=f"destination {name}: mode",
        is_ok=is_right,
        message=f"Mode is {mode}, the host is {host}.",
        remedy="" if is_right else "Correct `mode` or `base_url` in the organisation's file.",
    )
