"""Reading and writing times as sources spell them.

RFC 3339 in (and its ISO 8601 short forms), aware UTC out. A time without an offset is refused, not
guessed. Sources mix whole seconds, milliseconds and finer, and a leap second (``:60``) is the last
moment of its minute.
"""

import datetime as dt
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

UTC = dt.UTC
TIME_TYPE = pa.timestamp("us", tz="UTC")
#: How a version without a time ranks: below every one that has one.
UNDATED = dt.datetime.min.replace(tzinfo=UTC)
#: By how much a version is newer that has to be, and has no time of its own that says so.
A_MOMENT = dt.timedelta(microseconds=1)

_RFC_3339 = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2})(?::(\d{2})(?::(\d{2})(?:\.(\d{1,30}))?)?)?"
    r"(?:[Zz]|([+-]\d{2})(?::?(\d{2}))?)"
)
_MICROSECOND_DIGITS = 6


class UnreadableTimeError(ValueError):
    """A text is not a moment: another form, an impossible date, or no offset."""


@dataclass(frozen=True, slots=True)
class ReadTimes:
    """A column of times: ``values`` is null where a text was absent or unreadable."""

    values: pa.Array
    unreadable: int


def parse_time(text: str) -> dt.datetime:
    """Return the moment that an RFC 3339 text names, aware and in UTC.

    Digits below a microsecond are cut. Raises UnreadableTimeError.

    >>> parse_time("2024-06-07T10:00:00.1234567Z").isoformat()
    '2024-06-07T10:00:00.123456+00:00'
    >>> parse_time("2016-12-31T23:59:60Z").isoformat()
    '2016-12-31T23:59:59.999999+00:00'
    >>> parse_time("2024-06-07T10:00:00")
    Traceback (most recent call last):
    ...
    crm_pipeline.core.times.UnreadableTimeError: not an RFC 3339 time with an offset
    """
    found = _RFC_3339.fullmatch(text)
    if found is None or not text.isascii():
        raise UnreadableTimeError("not an RFC 3339 time with an offset")
    day, hour, minute, second, fraction, zone_hour, zone_minute = found.groups(default="")
    digits = fraction[:_MICROSECOND_DIGITS].ljust(_MICROSECOND_DIGITS, "0")
    if second == "60":
        second, digits = "59", "9" * _MICROSECOND_DIGITS
    clock = f"{hour}:{minute or '00'}:{second or '00'}.{digits}"
    zone = f"{zone_hour or '+00'}:{zone_minute or '00'}"
    try:
        moment = dt.datetime.fromisoformat(f"{day}T{clock}{zone}")
        return moment.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UnreadableTimeError("not a moment of the calendar") from error


def format_time(moment: dt.datetime) -> str:
    """Return an aware time in the one form that we write: UTC, ``Z``, no empty fraction.

    Raises ValueError for a time without an offset.

    >>> format_time(dt.datetime(2024, 6, 7, 10, tzinfo=dt.UTC))
    '2024-06-07T10:00:00Z'
    """
    if moment.tzinfo is None:
        raise ValueError("a time without an offset names no moment")
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"


def parse_times(texts: pa.Array) -> ReadTimes:
    """Read a whole column of texts at once; the odd ones one by one.

    >>> parse_times(pa.array(["2024-06-07T10:00:00Z", None, "soon"])).unreadable
    1
    """
    try:
        return ReadTimes(pc.cast(texts, TIME_TYPE), 0)
    except pa.ArrowInvalid:
        return _parse_one_by_one(texts)


def _parse_one_by_one(texts: pa.Array) -> ReadTimes:
    moments: list[dt.datetime | None] = []
    unreadable = 0
    for text in texts.to_pylist():
        moment = None
        if text is not None:
            try:
                moment = parse_time(text)
            except UnreadableTimeError:
                unreadable += 1
        moments.append(moment)
    return ReadTimes(pa.array(moments, TIME_TYPE), unreadable)
