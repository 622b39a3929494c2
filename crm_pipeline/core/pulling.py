"""How carefully a source is read: when a pull may stop, and what it may remember and believe.

Pure. A newest-first list that moves while it is read has no safe short cut; these are the rules of
``FAULTS.md`` finding 4. Only the source's own times are compared, never ours.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

#: A source may be this far ahead of its own ``Date`` header before a time counts as nonsense.
FUTURE_TOLERANCE = dt.timedelta(hours=1)

#: Less than this share of the members that a source counts is no whole reading of a list.
TOLD_SHARE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRule:
    """One list of people that is read. ``name`` is what it should be called at the source.

    A reading with less than ``min_share`` of the known members removes nobody, unless the source
    itself counts as few.
    """

    id: str
    name: str
    min_share: float = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRules:
    """How carefully one dataset is pulled.

    ``overlap_seconds`` is how late a row may become visible. A sweep is repeated until
    ``clean_sweeps`` passes in a row add nothing, ``max_sweeps`` at most. A sweep with less than
    ``min_share`` of the known rows is suspicious. ``group_pages`` pages go into one commit.
    ``lists`` are the lists whose members are read. Records of a ``keyed`` dataset that are not
    finished are read again every ``recheck_seconds``, ``recheck_records`` of them at most, none
    younger than ``recheck_age_seconds``.
    """

    overlap_seconds: float = 600.0
    clean_sweeps: int = 2
    max_sweeps: int = 4
    min_share: float = 0.8
    group_pages: int = 32
    lists: tuple[ListRule, ...] = ()
    recheck_seconds: float = 900.0
    recheck_records: int = 200
    recheck_age_seconds: float = 10.0

    @property
    def overlap(self) -> dt.timedelta:
        """The overlap as a span of time."""
        return dt.timedelta(seconds=self.overlap_seconds)


def stop_floor(watermark: dt.datetime | None, overlap: dt.timedelta) -> dt.datetime | None:
    """Return the time below which rows are known; None when nothing is known.

    A watermark near the start of the calendar has no floor.
    """
    if watermark is None:
        return None
    try:
        return watermark - overlap
    except OverflowError:
        return None


def may_stop(times: Sequence[dt.datetime | None], floor: dt.datetime | None) -> bool:
    """Whether a page with these times, in its order, is the last one that an update can be on.

    True when its last row that has a time is strictly older than the floor. Equal times are read
    on, rows without a time decide nothing.

    >>> floor = dt.datetime(2024, 6, 7, tzinfo=dt.UTC)
    >>> may_stop([floor, None], floor)
    False
    """
    last = next((time for time in reversed(times) if time is not None), None)
    return floor is not None and last is not None and last < floor


def latest_plausible(server_date: dt.datetime) -> dt.datetime:
    """Return the time beyond which a row's time cannot be right."""
    return server_date + FUTURE_TOLERANCE


def next_watermark(
    first_page: Sequence[dt.datetime | None], server_date: dt.datetime
) -> dt.datetime | None:
    """Return the watermark that a scan may set when it is complete: None when it may set none.

    It is the highest time of the first page; whatever is updated later has a higher one. Times
    beyond the tolerance are left out, and a time within it counts as the source's now: a
    watermark ahead of the source's clock would make the next pull skip what is updated until
    then, while a lower one only reads more again.
    """
    limit = latest_plausible(server_date)
    highest = max((time for time in first_page if time is not None and time <= limit), default=None)
    return None if highest is None else min(highest, server_date)


def is_suspiciously_short(seen: int, known: int, min_share: float) -> bool:
    """Whether a whole scan saw so few of the known rows that the source must be wrong.

    >>> is_suspiciously_short(79, 100, 0.8), is_suspiciously_short(80, 100, 0.8)
    (True, False)
    """
    return seen < known * min_share


def doubt_of_members(
    *, seen: int, known: int, told: int | None, min_share: float, was_empty: bool
) -> str:
    """Return why a whole reading of a list may not remove anybody; empty when it may.

    ``told`` is the source's own count, which may lag. That everybody left is believed only when
    the source counts nobody and did so the last time, too (``was_empty``). A ``min_share`` of 0
    believes every other reading.

    >>> doubt_of_members(seen=10, known=100, told=10, min_share=0.5, was_empty=False)
    ''
    >>> doubt_of_members(seen=10, known=100, told=98, min_share=0.5, was_empty=False)
    'list_short'
    >>> doubt_of_members(seen=0, known=100, told=0, min_share=0.5, was_empty=False)
    'list_empty'
    """
    if seen == 0 and known > 0:
        return "" if told == 0 and was_empty else "list_empty"
    if min_share > 0 and told is not None and is_suspiciously_short(seen, told, TOLD_SHARE):
        return "list_short"
    is_told = told is not None and is_suspiciously_short(told, known, min_share)
    is_short = is_suspiciously_short(seen, known, min_share)
    return "list_short" if is_short and not is_told else ""


def is_settled(added: Sequence[int], clean_sweeps: int) -> bool:
    """Whether the last passes of a sweep added nothing; ``added`` counts late finds by pass.

    >>> is_settled([3, 0], 2), is_settled([3, 0, 0], 2)
    (False, True)
    """
    return len(added) >= clean_sweeps and not any(added[len(added) - clean_sweeps :])
