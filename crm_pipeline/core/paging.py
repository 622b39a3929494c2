"""Following next links: where one points, whose it is, and when to stop following.

Here: pure rules. Not here: requests, and when a pull is complete (``sync.land``).
"""

from hashlib import blake2b
from urllib.parse import SplitResult, urljoin, urlsplit

from crm_pipeline.errors import ForeignLinkError, MalformedAnswerError, SourceUnstableError

#: A longer link is no cursor. Real ones have a few hundred characters.
LONGEST_LINK = 16_384

#: Pages of one scan beyond which something goes in circles: a thousand million rows at 1,000 each.
MOST_PAGES = 1_000_000

_PORTS = {"http": 80, "https": 443}


def resolve_next_link(base_url: str, asked_url: str, header: str | None) -> str | None:
    """Return a next link as an absolute URL of the base's own server, or None at the end.

    ``header`` is a full URL or a path, as the source sent it; absent and empty mean the end. A
    path is taken below the base's server, a bare query below the URL that was asked for.
    Raises ForeignLinkError for another server, MalformedAnswerError for what is no link.

    >>> base = "https://api.example.com"
    >>> resolve_next_link(base, base + "/c?sort=updated", "/c?sort=updated&after=x")
    'https://api.example.com/c?sort=updated&after=x'
    >>> resolve_next_link(base, base + "/c", "") is None
    True
    """
    link = (header or "").strip()
    if not link:
        return None
    if len(link) > LONGEST_LINK or not _is_clean(link):
        raise MalformedAnswerError(
            "A next link is too long or holds characters that no address can hold.",
            not_done="It was not followed, and the watermark was not moved.",
            remedy="Run again; if it stays, ask the vendor.",
        )
    try:
        absolute = urljoin(asked_url if link.startswith("?") else f"{base_url}/", link)
        is_own = _server_of(urlsplit(absolute)) == _server_of(urlsplit(base_url))
    except ValueError:
        is_own = False
    if not is_own:
        raise ForeignLinkError(
            "A next link points to another server than the source's own.",
            not_done="It was not followed and no token was sent; the watermark was not moved.",
            remedy="Ask the vendor about it; do not put the other server into the settings.",
        )
    return absolute


class LinkTrail:
    """The links that one scan has followed. Finds circles and endless scans."""

    def __init__(self, most_pages: int = MOST_PAGES) -> None:
        self._most_pages = most_pages
        self._seen: set[bytes] = set()

    def follow(self, link: str) -> None:
        """Note a link that is about to be followed.

        Raises SourceUnstableError when it was followed before in this scan, or when the scan is
        longer than any real one.
        """
        mark = blake2b(link.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if mark in self._seen:
            raise _endless("The source's next links go in a circle.")
        if len(self._seen) >= self._most_pages:
            raise _endless(f"The source gave more than {self._most_pages} pages in one scan.")
        self._seen.add(mark)


def _endless(happened: str) -> SourceUnstableError:
    return SourceUnstableError(
        happened,
        not_done="The scan was stopped; the watermark was not moved.",
        remedy="Run again; if it stays, ask the vendor.",
    )


def _is_clean(link: str) -> bool:
    return link.isascii() and link.isprintable() and " " not in link and "\\" not in link


def _server_of(parts: SplitResult) -> tuple[str, str, int | None, str | None]:
    """Return scheme, host, port and user: all four must be equal before a token is sent."""
    port = parts.port or _PORTS.get(parts.scheme)
    return parts.scheme, parts.hostname or "", port, parts.username
