"""What a server answered, read whole, with strict JSON.

Here: the value and its decoding. Not here: what a status means.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import msgspec

from crm_pipeline.errors import MalformedAnswerError

_DECODER = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One complete answer. Header names are in lower case; ``call`` names the call in messages.

    ``body`` may hold personal data: it never goes into a message.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    call: str

    @property
    def is_success(self) -> bool:
        """Whether the server took the call (any 2xx)."""
        return 200 <= self.status < 300

    @property
    def server_date(self) -> dt.datetime | None:
        """The server's own clock from the ``Date`` header, aware, in UTC; None when unreadable."""
        return parse_http_date(self.headers.get("date", ""))

    def json(self) -> Any:
        """Decode the body. Raises MalformedAnswerError for anything but one whole JSON value."""
        try:
            return _DECODER.decode(self.body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise self.malformed("is not JSON") from None

    def malformed(self, fault: str) -> MalformedAnswerError:
        """Return the error for an answer that breaks its contract; ``fault`` has no body text."""
        kind = self.headers.get("content-type", "no content type").partition(";")[0][:60]
        return MalformedAnswerError(
            f"{self.call}: the answer {fault} (status {self.status}, {kind},"
            f" {len(self.body)} bytes).",
            not_done="It was not used.",
            remedy="Check the base URL in the organisation's file, and whether a proxy answers in"
            " the server's place.",
        )


def parse_http_date(text: str) -> dt.datetime | None:
    """Return an HTTP date as an aware UTC time, or None.

    >>> parse_http_date("Fri, 21 Nov 2025 10:00:00 GMT").isoformat()
    '2025-11-21T10:00:00+00:00'
    >>> parse_http_date("soon") is None
    True
    """
    try:
        parsed = parsedate_to_datetime(text)
        if parsed.tzinfo is None:
            return parsed.replace(tzinfo=dt.UTC)
        return parsed.astimezone(dt.UTC)
    except (TypeError, ValueError, OverflowError):
        return None
