"""Which organisations a job works on, as run configuration.

Run configuration is stored in clear: slugs, digests and switches only.
"""

from collections.abc import Collection, Iterable
from enum import Enum

import dagster as dg
from pydantic import Field

from crm_pipeline.defs.bindings import reads_any
from crm_pipeline.defs.readings import every_name
from crm_pipeline.defs.standing import failed_slugs
from crm_pipeline.errors import ConfigurationError
from crm_pipeline.wiring import Runtime


class Which(Enum):
    """The organisations of a job."""

    LISTED = "listed"
    ALL = "all"
    FAILED = "failed"


class ChoiceConfig(dg.Config):
    """Which organisations to work on."""

    which: Which = Field(
        default=Which.LISTED,
        description="`LISTED`: those named below. `ALL`: every organisation that is not paused."
        " `FAILED`: those whose last run failed.",
    )
    organisations: list[str] = Field(
        default_factory=list, description="Slugs, for `LISTED`: [harbour-coffee, metro-sushi]."
    )


class SweepConfig(ChoiceConfig):
    """What a sweep does."""

    is_full: bool = Field(
        default=False,
        description="Read the whole source and compare everything, not only what is new.",
    )
    datasets: list[str] = Field(
        default_factory=list,
        description="Read these alone: [loke/list_members]. Empty: what can tell cheaply that"
        " nothing is new, and what was never read.",
    )


def choose(runtime: Runtime, config: ChoiceConfig) -> list[str]:
    """Return the slugs that a job shall work on, in order.

    Raises ConfigurationError when none is listed; an unknown one fails later, by itself.
    """
    if config.which is Which.LISTED:
        if not config.organisations:
            raise ConfigurationError(
                "No organisation is listed.",
                not_done="Nothing was done.",
                remedy="List slugs under `organisations`, or set `which` to `ALL` or `FAILED`.",
            )
        return sorted(set(config.organisations))
    active = active_slugs(runtime)
    return active if config.which is Which.ALL else failed_slugs(runtime, active)


def choose_readers(runtime: Runtime, config: SweepConfig) -> list[str]:
    """Return the slugs of a sweep: who reads none of its datasets is left out unless listed.

    Raises ConfigurationError for a dataset that no source has.
    """
    unknown = sorted(set(config.datasets) - set(every_name()))
    if unknown:
        raise ConfigurationError(
            f"No source has the dataset {', '.join(unknown)}.",
            not_done="Nothing was read.",
            remedy=f"Choose among {', '.join(every_name())}.",
        )
    slugs = choose(runtime, config)
    if config.which is Which.LISTED or not config.datasets:
        return slugs
    return readers(runtime, slugs, config.datasets)


def readers(runtime: Runtime, slugs: Iterable[str], datasets: Collection[str]) -> list[str]:
    """Return those organisations that read one of some datasets."""
    return [slug for slug in slugs if reads_any(runtime.organisations[slug], datasets)]


def active_slugs(runtime: Runtime) -> list[str]:
    """Return the organisations that are neither broken nor paused, in order."""
    return sorted(runtime.organisations.keys() - runtime.paused())


def broken_slugs(runtime: Runtime) -> set[str]:
    """Return the organisations whose file is there and cannot be used."""
    broken = runtime.broken
    by_file = {slug for slug, file in runtime.loaded.files.items() if file in broken}
    return by_file | {file.stem for file in broken}
