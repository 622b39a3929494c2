"""When a pull of a newest-first list may stop, and what it may remember.

Pure. A list that moves while it is read has no safe short cut; these are the rules of ``FAULTS.md``
finding 4. Only the source's own times are compared, never ours.
"""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

#: A source may be this far ahead of its own ``Date`` header before a time counts as nonsense.
FUTURE_TOLERANCE = dt.timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PullRules:
    """How carefully one dataset is pulled.

    ``overlap_seconds`` is how late a row may become visible. A sweep is repeated until
    ``clean_sweeps`` passes in a row add nothing, ``max_sweeps`` at most. A sweep with less than
    ``min_share`` of the known rows is suspicious. ``group_pages`` pages go into one commit.
    """

    overlap_seconds: float = 600.0
    clean_sweeps: int = 2
    max_sweeps: int = 4
    min_share: float = 0.8
    group_pages: int = 32

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


def is_settled(added: Sequence[int], clean_sweeps: int) -> bool:
    """Whether the last passes of a sweep added nothing; ``added`` counts late finds by pass.

    >>> is_settled([3, 0], 2), is_settled([3, 0, 0], 2)
    (False, True)
    """
    return len(added) >= clean_sweeps and not any(added[len(added) - clean_sweeps :])
