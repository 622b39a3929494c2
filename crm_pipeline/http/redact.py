"""Takes secrets and personal data out of text that somebody else wrote.

Here: patterns. Not here: our own messages, which never hold such data in the first place.
"""

import re
from collections.abc import Iterable

_MARK = "[removed]"

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(bearer|basic)\s+[\w.~+/=-]+"), rf"\1 {_MARK}"),
    (
        re.compile(
            r"(?i)([\"']?\b(?:api[_-]?key|access_token|refresh_token|client_secret|password"
            r"|secret|authorization)\b[\"']?\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;&}\]]+)"
        ),
        rf"\1{_MARK}",
    ),
    (re.compile(r"([?&][\w.\[\]~-]{1,60}=)[^&\s\"'<>]+"), rf"\1{_MARK}"),
    (re.compile(r"://[^/\s:@\"']+:[^/\s@\"']+@"), f"://{_MARK}@"),
    (re.compile(r"[^\s@<>\"'(),;:=%]+(?:@|%40)[^\s@<>\"'(),;:=%]+\.[^\s@<>\"'(),;:=%]+"), _MARK),
    (re.compile(r"(?:\+|%2B|\b00)\d[\d ().-]{6,18}\d"), _MARK),
    (re.compile(r"(?<![\w.:-])0\d(?:[ ().-]?\d){6,12}(?![\w-])"), _MARK),
)


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return ``text`` without credentials, query values, e-mail addresses and phone numbers.

    ``secrets`` are values to remove wherever they stand.

    >>> redact("GET /c?email=mina%40example.com: mina@example.com, +61 400 000 001, Bearer abc")
    'GET /c?email=[removed] [removed], [removed], Bearer [removed]'
    >>> redact("key k-123 refused", secrets=["k-123"])
    'key [removed] refused'
    """
    for secret in secrets:
        if secret:
            text = text.replace(secret, _MARK)
    for pattern, replacement in _PATTERNS:
        text = pattern.sub(replacement, text)
    return text
