"""Times as the ledger stores them: microseconds since 1970-01-01 UTC."""

import datetime as dt
from collections.abc import Callable
from typing import overload

#: The same as ``core.ports.Clock``, which cannot be had without loading Arrow.
Clock = Callable[[], dt.datetime]

_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MICROSECOND = dt.timedelta(microseconds=1)


@overload
def to_micros(time: dt.datetime) -> int: ...
@overload
def to_micros(time: None) -> None: ...
@overload
def to_micros(time: dt.datetime | None) -> int | None: ...
def to_micros(time: dt.datetime | None) -> int | None:
    """Return an aware time as microseconds.

    >>> to_micros(dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC))
    1000000
    """
    return None if time is None else (time - _EPOCH) // _MICROSECOND


@overload
def from_micros(micros: int) -> dt.datetime: ...
@overload
def from_micros(micros: None) -> None: ...
@overload
def from_micros(micros: int | None) -> dt.datetime | None: ...
def from_micros(micros: int | None) -> dt.datetime | None:
    """Return microseconds as an aware time.

    >>> from_micros(0).isoformat()
    '1970-01-01T00:00:00+00:00'
    """
    return None if micros is None else _EPOCH + micros * _MICROSECOND
