"""``crm-pipeline sync``: pull, resolve, plan, guard and apply, now and here."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
    from crm_pipeline.sync.binding import OrganisationBinding
    from crm_pipeline.sync.run import SyncReport
    from crm_pipeline.sync.together import Together
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
        float,
        typer.Option(min=0.1, metavar="SECONDS", help="How often a round of --loop begins."),
    ] = 60.0,
    as_json: Json = False,
) -> None:
    """Bring the CRM up to date: one pass for one organisation, or for all.

    A failing organisation never stops the others; the exit code is the worst of all. Several are
    at work at once; one that takes longer than a round of --loop is left out of the next ones.
    """
    from crm_pipeline.cli.opening import opened_runtime
    from crm_pipeline.cli.progress import ProgressDisplay
    from crm_pipeline.cli.screen import Screen

    if (org is None) == (not every_organisation):
        raise ConfigurationError(
            "Say which organisations: --org SLUG for one, or --all.", not_done="Nothing was done."
        )
    from crm_pipeline.sync.together import Together

    screen = Screen(is_json=as_json)
    narrow = _Narrow(source, destination, dataset, is_full=full)
    with (
        stopping() as stop,
        ProgressDisplay() as progress,
        opened_runtime() as runtime,
        Together(lambda slug: _sync_one(runtime, slug, narrow, progress)) as together,
    ):
        one_round = _Round(runtime, org, screen, together, stop)
        code = one_round.run(every if loop else None)
        while loop and not stop.is_set():
            runtime.reload()
            code = one_round.run(every)
        if together.is_busy:
            code = one_round.finish()
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


#: Seconds after which a round looks whether it was told to stop.
_LOOK_SECONDS = 0.2


class _Round:
    """Rounds through all organisations, or through one."""

    def __init__(
        self,
        runtime: "Runtime",
        org: str | None,
        screen: "Screen",
        together: "Together[_Synced]",
        stop: threading.Event,
    ) -> None:
        self._runtime = runtime
        self._org = org
        self._screen = screen
        self._together = together
        self._stop = stop

    def run(self, seconds: float | None) -> int:
        """Sync each organisation that is not at work, show it, return the exit code of all.

        With ``seconds`` it lasts exactly so long: who is at work then is shown by a later round.
        """
        end = None if seconds is None else time.monotonic() + seconds
        self._together.ask([self._org] if self._org is not None else _all_slugs(self._runtime))
        synced = list(self._shown(end))
        code = self._show(synced)
        if end is not None:
            self._stop.wait(max(0.0, end - time.monotonic()))
        return code

    def finish(self) -> int:
        """Wait for those that are at work, show them, return the exit code of these."""
        return self._show(list(self._shown(None)))

    def _shown(self, end: float | None) -> Iterator["_Synced"]:
        """Give each organisation when it is done, until all are, or the time is over."""
        from crm_pipeline.cli.reports import show_sync

        while self._together.is_busy and (end is None or time.monotonic() < end):
            if self._stop.is_set():
                self._together.forget()
                end = None  # those at work are finished
            for each in self._together.answers(_LOOK_SECONDS):
                show_sync(self._screen, each.report, self._runtime.settings.is_debug)
                yield each

    def _show(self, synced: "list[_Synced]") -> int:
        from crm_pipeline.cli.exits import worst
        from crm_pipeline.cli.reports import exit_code_of, summary_row, sync_json
        from crm_pipeline.errors import EXIT_CONFIGURATION

        is_all, broken = self._org is None, self._runtime.broken
        codes = [exit_code_of(each.report) for each in synced]
        if is_all:
            codes += [EXIT_CONFIGURATION] if broken else []
            _show_broken(self._runtime, self._screen)
        synced.sort(key=lambda each: each.report.organisation)
        rows = [summary_row(each.report, each.seconds) for each in synced]
        columns = ["Organisation", "Result", "Landed", "Planned", "Applied", "Set aside", "Seconds"]
        self._screen.table("", columns, rows)
        at_work = sorted(self._together.at_work)
        if at_work:
            self._screen.note(f"Still at work: {', '.join(at_work)}")
        document: dict[str, Any] = {
            "organisations": {
                each.report.organisation: {
                    **sync_json(each.report),
                    "seconds": round(each.seconds, 3),
                }
                for each in synced
            },
            "still_at_work": at_work,
            "broken": [one.as_json() for some in broken.values() for one in some] if is_all else [],
            "exit_code": worst(codes),
        }
        self._screen.result(document)
        return worst(codes)


@dataclass(frozen=True, slots=True)
class _Synced:
    """What a sync came to, and how long it took."""

    report: "SyncReport"
    seconds: float


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


def _sync_one(
    runtime: "Runtime", slug: str, narrow: _Narrow, progress: "ProgressDisplay"
) -> _Synced:
    from crm_pipeline.sync.run import sync_organisation

    started = time.monotonic()
    organisation = _organisation(runtime, slug, narrow)
    if isinstance(organisation, CrmPipelineError):
        return _Synced(_failed(slug, organisation), time.monotonic() - started)
    report = sync_organisation(
        replace(runtime.workspace, report_progress=progress.about(slug)),
        organisation,
        sources=narrow.sources,
        destinations=narrow.destinations,
        datasets=narrow.datasets,
        is_full=narrow.is_full,
    )
    return _Synced(report, time.monotonic() - started)


def _organisation(
    runtime: "Runtime", slug: str, narrow: _Narrow
) -> "OrganisationBinding | CrmPipelineError":
    """Return an organisation that has what was asked for, or why it cannot be synced."""
    from crm_pipeline.cli.choosing import check_datasets, chosen

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
        return error
    return organisation


def _failed(slug: str, error: CrmPipelineError) -> "SyncReport":
    from crm_pipeline.sync.run import SyncReport

    return SyncReport(organisation=slug, errors=[error])


def _show_broken(runtime: "Runtime", screen: "Screen") -> None:
    for problems in runtime.broken.values():
        for problem in problems:
            screen.note(f"Set aside: {problem}")
