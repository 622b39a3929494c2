"""One attempt at a write: what an exception makes of it, and the words for how it ended."""

from collections.abc import Callable
from dataclasses import replace

from crm_pipeline.core.records import WriteResult
from crm_pipeline.destinations.crm_com_classic.calls import Tally
from crm_pipeline.destinations.crm_com_classic.envelope import ClassicRefusedError
from crm_pipeline.errors import DataError, ThrottledError, TryLaterError, UnreachableError

INVALID_VALUE = "invalid_value"
NOT_POSSIBLE = "not_possible_classic"
FOUND = "found"
NOTHING_TO_SEND = "nothing_to_send"

Attempt = Callable[[Tally], WriteResult]


def try_once(attempt: Attempt) -> WriteResult:
    """Make one attempt and count its calls. Raises only what stops the whole destination.

    What surely did nothing may be tried again; what may have done something is unknown.
    """
    tally = Tally()
    try:
        result = attempt(tally)
    except ClassicRefusedError as error:
        result = rejected(INVALID_VALUE, f"CRM.COM refused it ({error.told}).")
    except (DataError, TryLaterError) as error:
        result = _undecided(error, tally)
    return replace(result, calls=tally.calls)


def _undecided(error: DataError | TryLaterError, tally: Tally) -> WriteResult:
    """Say whether a call that brought no answer may have had an effect."""
    is_surely_undone = isinstance(error, ThrottledError | UnreachableError)
    in_doubt = tally.has_written or (tally.is_writing and not is_surely_undone)
    return WriteResult(
        status="unknown" if in_doubt else "retry",
        reason=error.code,
        detail=error.happened,
        retry_after_seconds=getattr(error, "retry_after_seconds", None),
    )


def acked(crm_id: str, *, reason: str = "", detail: str = "") -> WriteResult:
    """CRM.COM holds it."""
    return WriteResult(status="acked", crm_id=crm_id, reason=reason, detail=detail)


def rejected(reason: str, detail: str) -> WriteResult:
    """CRM.COM does not take it, and will not before somebody changes something."""
    return WriteResult(status="rejected", reason=reason, detail=detail)
