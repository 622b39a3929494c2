"""Requests and answers as the fake vendors see them: plain values, no server inside.

Here: reading a request, building an answer. Not here: sockets (``asgi``), endpoints.
"""

import dataclasses
import datetime as dt
import email.utils
import urllib.parse
from collections.abc import Callable
from typing import Any

import msgspec

#: Where the running server leaves the connection's transport inside the ASGI scope.
TRANSPORT_EXTENSION = "crm_pipeline.sandbox.transport"

Headers = list[tuple[bytes, bytes]]


@dataclasses.dataclass(slots=True)
class Request:
    """One call. ``segments`` are the parts of the path, percent-decoded one by one."""

    method: str
    path: str
    query_string: str
    segments: list[str]
    headers: dict[bytes, bytes]
    body: bytes = b""
    #: Set by a fault: rows that share a time come in another order at every call.
    tie_seed: int | None = None
    _query: dict[str, str] | None = None

    @property
    def query(self) -> dict[str, str]:
        """Return the query parameters; the last of equal names wins."""
        if self._query is None:
            pairs = urllib.parse.parse_qsl(self.query_string, keep_blank_values=True)
            self._query = dict(pairs)
        return self._query

    @property
    def target(self) -> str:
        """Return path and query, as sent."""
        return f"{self.path}?{self.query_string}" if self.query_string else self.path

    def header(self, name: bytes) -> str:
        """Return a header by lower-case name, empty when absent."""
        return self.headers.get(name, b"").decode("latin-1")


@dataclasses.dataclass(slots=True)
class Answer:
    """What to send back."""

    status: int
    body: bytes = b""
    headers: Headers = dataclasses.field(default_factory=list)
    content_type: bytes = b"application/json"


@dataclasses.dataclass(frozen=True, slots=True)
class Route:
    """Where a request goes: the template for counting, whom it concerns, who answers."""

    template: str
    handler: Callable[[Request], Answer]
    #: Names that a fault rule may use for the organisation; the first is written to the log.
    organisation: tuple[str, ...] = ()
    #: The name of the API key (CRM.COM): test, live, read; empty for LOKE.
    key_name: str = ""


def json_answer(value: Any, status: int = 200) -> Answer:
    """Answer with JSON."""
    return Answer(status, msgspec.json.encode(value))


def http_date(moment: dt.datetime) -> str:
    """Write a moment as an HTTP header does.

    >>> http_date(dt.datetime(2025, 3, 4, 5, 6, 7, tzinfo=dt.UTC))
    'Tue, 04 Mar 2025 05:06:07 GMT'
    """
    return email.utils.format_datetime(moment.astimezone(dt.UTC), usegmt=True)


def split_path(raw_path: str) -> list[str]:
    """Return the decoded parts of a path, so that an encoded slash stays inside its part.

    >>> split_path("/contacts/loke%3A01%2F2/tags")
    ['contacts', 'loke:01/2', 'tags']
    """
    parts = raw_path.strip("/").split("/")
    if "%" in raw_path:
        return [urllib.parse.unquote(part) for part in parts]
    return parts


def parse_moment(text: str) -> dt.datetime:
    """Read an RFC 3339 time that has a zone; raises ValueError for anything else."""
    moment = dt.datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no time zone")
    return moment.astimezone(dt.UTC)
