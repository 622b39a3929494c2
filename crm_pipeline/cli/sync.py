"""``crm-pipeline sync``: pull, resolve, plan, guard and apply, now and here."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from crm_pipeline.cli.options import (
    Datasets,
    Full,
    Json,
    MaybeDestination,
    MaybeOrganisation,
    MaybeSource,
    examples,
)
from crm_pipeline.errors import ConfigurationError, CrmPipelineError

if TYPE_CHECKING:
    from crm_pipeline.cli.progress import ProgressDisplay
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.sync.run import SyncReport
    from crm_pipeline.wiring import Runtime

EXAMPLES = examples(
    "sync --org harbour-coffee",
    "sync --org harbour-coffee --source loke --destination crm_com",
    "sync --all",
    "sync --all --full",
    "sync --all --loop --every 60",
)


def sync(  # noqa: PLR0913  one option each
    *,
    org: MaybeOrganisation = None,
    every_organisation: Annotated[
        bool, typer.Option("--all", help="Every organisation that is not paused.")
    ] = False,
    source: MaybeSource = None,
    destination: MaybeDestination = None,
    dataset: Datasets = None,
    full: Full = False,
    loop: Annotated[bool, typer.Option("--loop", help="Again and again, until Ctrl-C.")] = False,
    every: Annotated[
        float, typer.Option(min=0.1, metavar="SECONDS", help="Pause between rounds of --loop.")
    ] = 60.0,
    as_json: Json = False,
) -> None:
    """Bring the CRM up to date: one pass for one organisation, or for all.

    A failing organisation never stops the others; the exit code is the worst of all.
    """
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.progress import ProgressDisplay
    from crm_pipeline.cli.screen import Screen

    if (org is None) == (not every_organisation):
        raise ConfigurationError(
            "Say which organisations: --org SLUG for one, or --all.", not_done="Nothing was done."
        )
    screen = Screen(is_json=as_json)
    narrow = _Narrow(source, destination, dataset, is_full=full)
    with stopping() as stop, ProgressDisplay() as progress, opened_runtime(progress) as runtime:
        code = _one_round(runtime, org, narrow, screen, progress, stop)
        while loop and not stop.wait(every):
            runtime.reload()
            code = _one_round(runtime, org, narrow, screen, progress, stop)
    raise typer.Exit(code)


@contextmanager
def stopping() -> Iterator[threading.Event]:
    """Give an event that SIGTERM sets: the organisation at hand is finished, then it ends."""
    stop = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: stop.set())
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)


class _Narrow:
    """Which part of a sync was asked for."""

    def __init__(
        self,
        source: str | None,
        destination: str | None,
        datasets: list[str] | None,
        *,
        is_full: bool,
    ) -> None:
        self.datasets = datasets or None
        self.sources = None if source is None else [source]
        self.destinations = None if destination is None else [destination]
        self.is_full = is_full


def _one_round(
    runtime: "Runtime",
    org: str | None,
    narrow: _Narrow,
    screen: "Screen",
    progress: "ProgressDisplay",
    stop: threading.Event,
) -> int:
    from crm_pipeline.cli.exits import worst
    from crm_pipeline.cli.reports import exit_code_of, show_sync, summary_row, sync_json
    from crm_pipeline.errors import EXIT_CONFIGURATION

    slugs = [org] if org is not None else _all_slugs(runtime)
    reports: list[SyncReport] = []
    seconds: dict[str, float] = {}
    for slug in slugs:
        if stop.is_set():
            break
        progress.begin(slug)
        started = time.monotonic()
        reports.append(_sync_one(runtime, slug, narrow))
        seconds[slug] = time.monotonic() - started
        show_sync(screen, reports[-1], runtime.settings.is_debug)
    codes = [exit_code_of(report) for report in reports]
    if org is None:
        codes += [EXIT_CONFIGURATION] if runtime.broken else []
        _show_broken(runtime, screen)
    code = worst(codes)
    columns = ["Organisation", "Result", "Landed", "Planned", "Applied", "Set aside", "Seconds"]
    rows = [summary_row(report, seconds[report.organisation]) for report in reports]
    screen.table("", columns, rows)
    broken = [each.as_json() for listed in runtime.broken.values() for each in listed]
    document: dict[str, Any] = {
        "organisations": {each.organisation: sync_json(each) for each in reports},
        "broken": broken if org is None else [],
        "exit_code": code,
    }
    screen.result(document)
    return code


def _all_slugs(runtime: "Runtime") -> list[str]:
    paused = runtime.paused()
    slugs = [slug for slug in sorted(runtime.organisations) if slug not in paused]
    if not slugs and not paused and not runtime.broken:
        raise ConfigurationError(
            f"There is no organisation in {runtime.settings.config_folder}.",
            not_done="Nothing was done.",
            remedy="Add one with `crm-pipeline orgs add`, or set CRM_PIPELINE_CONFIG.",
        )
    return slugs


def _sync_one(runtime: "Runtime", slug: str, narrow: _Narrow) -> "SyncReport":
    from crm_pipeline.cli.choosing import check_datasets, chosen
    from crm_pipeline.sync.run import SyncReport, sync_organisation

    try:
        organisation = runtime.organisation(slug)
        for what, bindings, names in (
            ("source", organisation.sources, narrow.sources),
            ("destination", organisation.destinations, narrow.destinations),
        ):
            for name in names or ():
                chosen(what, bindings, name)
        check_datasets(organisation, narrow.datasets)
    except CrmPipelineError as error:
        return SyncReport(organisation=slug, errors=[error])
    return sync_organisation(
        runtime.workspace,
        organisation,
        sources=narrow.sources,
        destinations=narrow.destinations,
        datasets=narrow.datasets,
        is_full=narrow.is_full,
    )


def _show_broken(runtime: "Runtime", screen: "Screen") -> None:
    for problems in runtime.broken.values():
        for problem in problems:
            screen.note(f"Set aside: {problem}")
