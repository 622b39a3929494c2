"""Whether a person may be contacted: an opt-out wins, and only a newer explicit yes reopens.

Pure. Absent is no, doubt is no, and what is not a plain true is no consent. The answer never
depends on the order in which answers arrived. Source: ``FAULTS.md`` I8.
"""

import datetime as dt
from collections.abc import Iterable, Sequence

from crm_pipeline.core.records import ConsentRecord


def is_consent(value: object) -> bool | None:
    """Return an explicit answer as it is, None for everything else.

    >>> is_consent(True), is_consent(False), is_consent("true"), is_consent(1), is_consent(None)
    (True, False, None, None, None)
    """
    return value if isinstance(value, bool) else None


def decide(observations: Iterable[ConsentRecord]) -> bool:
    """Whether the channel is open after these answers about one person and channel.

    Open needs a yes. Once anybody has said no, it needs a yes whose time in the data is strictly
    later than that of every no; a no without a time is later than everything.
    """
    refused: list[dt.datetime | None] = []
    granted: list[dt.datetime | None] = []
    for each in observations:
        (granted if each.is_granted else refused).append(each.at)
    if not refused:
        return bool(granted)
    last_refusal = _latest(refused)
    last_grant = max((at for at in granted if at is not None), default=None)
    return last_grant is not None and last_refusal is not None and last_grant > last_refusal


def _latest(times: list[dt.datetime | None]) -> dt.datetime | None:
    """Return the latest time, None as soon as one is missing."""
    known = [time for time in times if time is not None]
    return max(known) if len(known) == len(times) else None


def is_open(current: object, observations: Iterable[ConsentRecord]) -> bool:
    """Whether a person may be contacted, given what the source says now and all past answers.

    The source must say yes at this moment: a yes of the past does not outlive its withdrawal.
    """
    return is_consent(current) is True and decide(observations)


def is_news(answer: bool, past: Sequence[ConsentRecord]) -> bool:
    """Whether an answer differs from the last one of the same origin, so that it is recorded.

    ``past`` is what that origin said about the channel, oldest first. A yes that only repeats an
    older yes is no new consent, however new the record that holds it.
    """
    return not past or past[-1].is_granted != answer
