"""Cursors and next links.

A cursor is opaque to clients. Inside: what list it belongs to, its kind, the page number, and
where to go on: after a sort key, or at an offset.
"""

import base64
import urllib.parse
from typing import Literal

import msgspec

from crm_pipeline.sandbox.loke.ordering import Key


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a list goes on."""

    scope: str
    kind: Literal["key", "offset"]
    page: int
    offset: int = 0
    key: Key = (0, 0)

    def text(self) -> str:
        """Write the cursor as clients see it."""
        return base64.urlsafe_b64encode(msgspec.msgpack.encode(self)).decode().rstrip("=")


class ForeignCursorError(ValueError):
    """The cursor was not made here, or for another list."""


def read_cursor(text: str, scope: str) -> Cursor:
    """Read a cursor of a list. Raises ForeignCursorError."""
    cursor = _decode(text)
    if cursor.scope != scope:
        raise ForeignCursorError(text)
    return cursor


def page_in(text: str) -> int:
    """Return the page that a cursor leads to, 1 when it is no cursor."""
    try:
        return _decode(text).page
    except ForeignCursorError:
        return 1


def _decode(text: str) -> Cursor:
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        return msgspec.msgpack.decode(raw, type=Cursor)
    except (ValueError, msgspec.MsgspecError) as error:
        raise ForeignCursorError(text) from error


def next_target(path: str, query: dict[str, str], after: str) -> str:
    """Return path and query of the next page; everything but the cursor stays."""
    rest = {name: value for name, value in query.items() if name != "after"}
    return f"{path}?{urllib.parse.urlencode({**rest, 'after': after})}"
