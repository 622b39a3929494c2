"""Our errors as Dagster failures: the one place where an exception crosses into Dagster's store.

Dagster keeps exception text, causes and contexts in clear, so only our own messages pass: they hold
no personal data by contract. Of a foreign exception its type alone is told. Not here: retries. The
layer that knows whether a repeat can help is ``http`` and ``sync``; Dagster retries nothing.
"""

import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import dagster as dg
from dagster import DagsterError

from crm_pipeline.errors import BugError, CrmPipelineError

#: Names listed in a sentence; the table beside it holds all of them.
NAMES_SHOWN = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Trouble:
    """Why one organisation failed: our code and message, and whether a repeat can help."""

    organisation: str
    code: str
    next_step: str
    message: str


def as_our_error(error: Exception) -> CrmPipelineError:
    """Return our own errors as they are; of any other only its type and place are kept."""
    if isinstance(error, CrmPipelineError):
        return error
    return BugError(
        f"Unexpected error, type {type(error).__name__}, at {place_of(error)}.",
        remedy="Run `crm-pipeline sync --org ...` on the host to see it whole, then report it.",
    )


def place_of(error: BaseException) -> str:
    """Return the module and line of ours that an error came through last: code, never data."""
    frames = traceback.walk_tb(error.__traceback__)
    ours = [
        f"{frame.f_globals['__name__']}:{line}"
        for frame, line in frames
        if str(frame.f_globals.get("__name__", "")).startswith("crm_pipeline.")
    ]
    return ours[-1] if ours else "an unknown place"


def trouble_of(organisation: str, error: Exception) -> Trouble:
    """Return what may be said about an organisation's failure."""
    ours = as_our_error(error)
    return Trouble(
        organisation=organisation, code=ours.code, next_step=ours.next_step, message=str(ours)
    )


@contextmanager
def dagster_failures() -> Iterator[None]:
    """Let nothing out but ``dg.Failure``, Dagster's own errors and interrupts."""
    try:
        yield
    except (dg.Failure, DagsterError):
        raise
    except Exception as error:  # noqa: BLE001 - the boundary: foreign text must not pass
        failure = failure_of(as_our_error(error))
        raise failure from None


def failure_of(error: CrmPipelineError) -> dg.Failure:
    """Return one of our errors as Dagster shows it."""
    return dg.Failure(
        description=str(error),
        metadata={"code": error.code, "next_step": error.next_step},
        allow_retries=error.next_step == "retry",
    )


def failure_of_many(troubles: Iterable[Trouble], *, total: int) -> dg.Failure:
    """Return one failure that names every organisation that failed.

    A single organisation of one keeps its own message.
    """
    listed = sorted(troubles, key=lambda trouble: trouble.organisation)
    return dg.Failure(
        description=listed[0].message if total == 1 else _sentence(listed, total),
        metadata={"failed": len(listed), "of": total, "troubles": trouble_table(listed)},
        allow_retries=all(trouble.next_step == "retry" for trouble in listed),
    )


def trouble_table(troubles: Iterable[Trouble]) -> dg.TableMetadataValue:
    """Return one row for each organisation in trouble."""
    names = ("organisation", "code", "next_step", "message")
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord({name: getattr(trouble, name) for name in names}) for trouble in troubles
        ],
        schema=dg.TableSchema([dg.TableColumn(name) for name in names]),
    )


def named(organisations: Iterable[str]) -> str:
    """Return up to ``NAMES_SHOWN`` names in a row.

    >>> named(["alfa", "bravo"])
    'alfa, bravo'
    >>> named(f"o{number:02}" for number in range(23))[-19:]
    'o18, o19 and 3 more'
    """
    names = sorted(organisations)
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more:,} more" if more > 0 else "")


def _sentence(troubles: list[Trouble], total: int) -> str:
    names = named(f"{trouble.organisation} ({trouble.code})" for trouble in troubles)
    first = troubles[0]
    return (
        f"{len(troubles):,} of {total:,} organisations failed: {names}. The others are done. Run"
        " `sweep_job` with `which: FAILED`, or re-execute the failed partitions only. Why, for"
        f" example {first.organisation}: {first.message}"
    )
