"""Which organisations have something new: a cheap look at the first pages of each.

Here: a look, and the sweeps that follow from a round of looks. Not here: the window and the time
budget (``window``), Dagster's tick (``sensors``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import dagster as dg

from crm_pipeline.defs.choosing import active_slugs
from crm_pipeline.defs.failures import as_our_error, named
from crm_pipeline.defs.requests import sweep_requests, under_way
from crm_pipeline.defs.standing import rests, unfinished_version
from crm_pipeline.defs.window import Looked, look_at_each, window_after
from crm_pipeline.store.ledger import OrganisationStatus
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.land import peek
from crm_pipeline.wiring import Runtime

#: Organisations looked at in one tick at most, and how long that may take. A tick has 60 s.
WINDOW = 500
LOOK_SECONDS = 6.0
GRACE_SECONDS = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look saw: a version that names what is new, or nothing, or a trouble's code."""

    version: str = ""
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """A round of looks: what to ask for, where to go on, and one line about it."""

    requests: list[dg.RunRequest]
    cursor: str
    sentence: str


def look_for_changes(instance: dg.DagsterInstance, runtime: Runtime, cursor: str | None) -> Round:
    """Look at the next window of organisations and ask for sweeps of those that changed.

    An organisation that a sweep already waits for or works on is left out.
    """
    busy = under_way(instance, runtime)
    slugs = [slug for slug in active_slugs(runtime) if slug not in busy]
    window = window_after(slugs, cursor, WINDOW)
    statuses = runtime.ledger.organisations.status_all(window)
    looked = look_at_each(
        window,
        lambda slug: look_at(runtime, statuses[slug]),
        seconds=LOOK_SECONDS,
        grace_seconds=GRACE_SECONDS,
    )
    changed = {slug: look.version for slug, look in looked.answers.items() if look.version}
    return Round(
        requests=sweep_requests(changed, cause="changes"),
        cursor=looked.cursor or (cursor or ""),
        sentence=sentence(looked, changed, total=len(slugs)),
    )


def look_at(runtime: Runtime, status: OrganisationStatus) -> Look:
    """Look at the first page of each of an organisation's datasets, and at what was left undone.

    One that failed a moment ago is left alone, so that a lasting fault does not ask for a run
    with every tick.
    """
    if rests(status, runtime.clock()):
        return Look()
    try:
        seen = [*versions_of(runtime, runtime.organisation(status.organisation))]
    except Exception as error:  # noqa: BLE001 - one organisation must not end the round
        return Look(trouble=as_our_error(error).code)
    left = unfinished_version(status)
    if not left and not any(version for _, version in seen):
        return Look()
    return Look(version=";".join([left, *(f"{name}={version}" for name, version in seen)]))


def versions_of(runtime: Runtime, organisation: OrganisationBinding) -> Iterator[tuple[str, str]]:
    """Give each dataset with a name for what is new in it, empty when nothing is."""
    for source in organisation.sources.values():
        api = source.connect()
        try:
            for dataset in source.datasets:
                report = peek(
                    runtime.workspace, organisation.slug, source.spec, api, dataset, source.rules
                )
                yield f"{source.spec.name}/{dataset}", report.version if report else ""
        finally:
            api.close()


def sentence(looked: Looked[Look], changed: Mapping[str, str], *, total: int) -> str:
    """Return one line about a round, with the names of those that could not be looked at."""
    troubles = [f"{slug} ({look.trouble})" for slug, look in looked.answers.items() if look.trouble]
    troubles += [f"{slug} (late)" for slug in looked.late]
    seen = f"Looked at {len(looked.answers):,} of {total:,} organisations"
    ending = f" Not answered: {named(troubles)}." if troubles else ""
    return f"{seen}, {len(changed):,} changed.{ending}"
