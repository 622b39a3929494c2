"""How long to wait before a call is tried again.

Here: pure arithmetic on waits and the ``Retry-After`` header. Not here: which calls may be tried
again (``client``).
"""

import datetime as dt
import re

from crm_pipeline.core.records import Waits
from crm_pipeline.http.answer import parse_http_date

#: A server that asks for more than this is not waited for: the run ends and comes back later.
LONGEST_WAIT_SECONDS = 3600.0

#: No header value above a year is believed; it only says "much later".
_LONGEST_BELIEVED_SECONDS = 366 * 24 * 3600.0

_WHOLE_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{1,9})?")


def parse_retry_after(text: str | None, *, now: dt.datetime) -> float | None:
    """Return the seconds that a ``Retry-After`` header asks for, or None when it says nothing.

    Negative, past and unreadable values count as absent. Source: RFC 9110, section 10.2.3.

    >>> at = dt.datetime(2025, 11, 21, 10, tzinfo=dt.UTC)
    >>> [parse_retry_after(text, now=at) for text in ("3", "-5", "soon", None, "")]
    [3.0, None, None, None, None]
    >>> parse_retry_after("Fri, 21 Nov 2025 10:00:30 GMT", now=at)
    30.0
    >>> parse_retry_after("Fri, 21 Nov 2025 09:00:00 GMT", now=at) is None
    True
    """
    value = (text or "").strip()
    if _WHOLE_SECONDS.fullmatch(value):
        return min(float(value), _LONGEST_BELIEVED_SECONDS)
    until = parse_http_date(value) if value else None
    if until is None:
        return None
    seconds = (until - now).total_seconds()
    return min(seconds, _LONGEST_BELIEVED_SECONDS) if seconds > 0 else None


def retry_delay_seconds(
    attempt: int, *, waits: Waits, retry_after: float | None, chance: float
) -> float:
    """Return the wait before the next try. ``attempt`` counts from 1, ``chance`` is 0 up to 1.

    Without a header the wait is anything from zero to a doubling limit ("full jitter"); a header
    wins, up to the longest wait, with a little jitter so that callers do not come back as one.

    >>> waits = Waits(retry_base_seconds=1.0, retry_max_seconds=8.0)
    >>> [retry_delay_seconds(n, waits=waits, retry_after=None, chance=1.0) for n in (1, 2, 3, 9)]
    [1.0, 2.0, 4.0, 8.0]
    >>> retry_delay_seconds(1, waits=waits, retry_after=5.0, chance=0.5)
    5.5
    >>> retry_delay_seconds(1, waits=waits, retry_after=900.0, chance=0.5)
    8.0
    """
    if attempt < 1:
        raise ValueError(f"attempt counts from 1, got {attempt}")
    if retry_after is not None:
        return min(waits.retry_max_seconds, retry_after + chance * waits.retry_base_seconds)
    doublings = min(attempt - 1, 60)
    return chance * min(waits.retry_max_seconds, waits.retry_base_seconds * 2.0**doublings)
