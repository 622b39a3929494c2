"""One attempt at one change: what an exception makes of it, and the words for how it ended.

Here: what every kind of object has in common. Not here: what is sent.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from crm_pipeline.core.records import WriteResult
from crm_pipeline.destinations.crm_com.calls import Tally
from crm_pipeline.errors import (
    AnswerLostError,
    MalformedAnswerError,
    SourceUnstableError,
    ThrottledError,
    UnreachableError,
)
from crm_pipeline.http import Answer

INVALID_VALUE = "invalid_value"
GONE = "gone_from_crm"
FOUND = "found"
NOTHING_TO_SEND = "nothing_to_send"


def try_once(attempt: Callable[[Tally], WriteResult]) -> WriteResult:
    """Make one attempt and count its calls. Raises only what stops the whole destination.

    What surely did nothing may be tried again; what may have done something is unknown.
    """
    tally = Tally()
    try:
        result = attempt(tally)
    except (ThrottledError, UnreachableError) as error:
        result = WriteResult(
            status="unknown" if tally.has_written else "retry",
            reason=error.code,
            detail=error.happened,
            retry_after_seconds=getattr(error, "retry_after_seconds", None),
        )
    except (AnswerLostError, MalformedAnswerError, SourceUnstableError) as error:
        in_doubt = tally.is_writing or tally.has_written
        result = WriteResult(
            status="unknown" if in_doubt else "retry", reason=error.code, detail=error.happened
        )
    return replace(result, calls=tally.calls)


def id_in(answer: Answer) -> str | None:
    """Return the id in the answer to a write; None when the body is empty or has none."""
    if not answer.body.strip():
        return None
    content: Any = answer.json()
    crm_id = content.get("id") if isinstance(content, dict) else None
    return crm_id if isinstance(crm_id, str) and crm_id else None


def acked(crm_id: str, *, reason: str = "") -> WriteResult:
    """CRM.COM holds it."""
    return WriteResult(status="acked", crm_id=crm_id, reason=reason)


def rejected(reason: str, detail: str) -> WriteResult:
    """CRM.COM does not take it, and will not before somebody changes something."""
    return WriteResult(status="rejected", reason=reason, detail=detail)
