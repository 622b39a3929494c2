"""When a schedule of five cron fields last came due. Pure; UTC; numbers only.

Our organisations each have a cron line of their own; Dagster's schedules have one for all.
"""

import datetime as dt
from functools import lru_cache

_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
#: A line such as 29 February comes due once in eight years at the longest.
_LONGEST_DAYS = 8 * 366


def last_due(cron: str, now: dt.datetime) -> dt.datetime | None:
    """Return the last time at or before ``now`` at which ``cron`` came due, or None.

    >>> at = dt.datetime(2026, 3, 1, 2, 30, tzinfo=dt.UTC)
    >>> last_due("0 3 * * *", at).isoformat()
    '2026-02-28T03:00:00+00:00'
    >>> last_due("*/15 * * * 0", at).isoformat()
    '2026-03-01T02:30:00+00:00'
    """
    minutes, hours, days, months, weekdays = _parsed(cron)
    is_any_day = cron.split()[2] == "*"
    is_any_weekday = cron.split()[4] == "*"
    for back in range(_LONGEST_DAYS):
        day = (now - dt.timedelta(days=back)).replace(hour=0, minute=0, second=0, microsecond=0)
        fits_day, fits_weekday = day.day in days, day.isoweekday() % 7 in weekdays
        either = not is_any_day and not is_any_weekday
        fits = (fits_day or fits_weekday) if either else (fits_day and fits_weekday)
        if day.month not in months or not fits:
            continue
        times = (day.replace(hour=h, minute=m) for h in hours for m in minutes)
        due = max((time for time in times if time <= now), default=None)
        if due is not None:
            return due
    return None


@lru_cache(maxsize=1_000)
def _parsed(cron: str) -> tuple[frozenset[int], ...]:
    fields = [_values(part, *limits) for part, limits in zip(cron.split(), _RANGES, strict=True)]
    weekdays = frozenset(day % 7 for day in fields[4])
    return (*fields[:4], weekdays)


def _values(text: str, low: int, high: int) -> frozenset[int]:
    found: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        start = low if span == "*" else int(first)
        end = high if span == "*" or (step and not last) else int(last or first)
        found.update(range(start, end + 1, int(step or 1)))
    return frozenset(found)
