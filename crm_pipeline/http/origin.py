"""One server's address: what may be called, and what may never get our credentials.

Here: the https rule and the resolving of paths. Not here: next links (``core.paging``).
"""

import ipaddress
from dataclasses import dataclass
from urllib.parse import SplitResult, quote, urlsplit

from crm_pipeline.errors import ConfigurationError, ForeignLinkError

_DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Scheme, host and port of one server, and the path that all its paths start with."""

    scheme: str
    host: str
    port: int
    prefix: str

    def url_of(self, path_or_url: str) -> str:
        """Return the absolute URL of a path below the base, or of a URL on this very server.

        Raises ForeignLinkError for any other server.
        """
        if path_or_url.startswith("/") and not path_or_url.startswith("//"):
            return f"{self.scheme}://{self.authority}{self.prefix}{path_or_url}"
        if not self.owns(path_or_url):
            raise ForeignLinkError(
                f"A call was asked for on another server than {self.host}.",
                not_done="No request was made and no credentials were sent.",
                remedy="Ask the vendor about it; do not put the other server into the settings.",
            )
        return path_or_url

    @property
    def authority(self) -> str:
        """Host and port as a URL writes them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    def owns(self, url: str) -> bool:
        """Whether a URL is of this scheme, host and port, and carries no user name."""
        parts = _split(url)
        if parts is None or parts.username is not None or parts.scheme != self.scheme:
            return False
        return (parts.hostname or "") == self.host and _port_of(parts) == self.port


def parse_origin(base_url: str) -> Origin:
    """Return the server of a base URL. Raises ConfigurationError when it may not be called.

    >>> parse_origin("https://api.example.com/v2/").url_of("/contacts")
    'https://api.example.com/v2/contacts'
    """
    parts = _split(base_url)
    if parts is None or parts.scheme not in _DEFAULT_PORTS or not parts.hostname:
        raise _unusable("is not an http or https address")
    if parts.username is not None or parts.query or parts.fragment:
        raise _unusable("holds a user name, a query or a fragment")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise _unusable("is plain http, which would send credentials and people in clear")
    return Origin(
        scheme=parts.scheme,
        host=parts.hostname,
        port=_port_of(parts),
        prefix=parts.path.rstrip("/"),
    )


def path_of(*segments: str) -> str:
    """Return the path of the segments, each percent-encoded, so that none can change the path.

    >>> path_of("contacts", "loke:01H/..")
    '/contacts/loke%3A01H%2F..'
    >>> path_of("contacts", "..")
    '/contacts/%2E%2E'
    """
    return "".join(f"/{_segment_of(segment)}" for segment in segments)


def _segment_of(segment: str) -> str:
    if segment in {".", ".."}:
        return segment.replace(".", "%2E")
    if not segment:
        raise ValueError("a path segment is empty")
    return quote(segment, safe="", errors="surrogatepass")


def is_loopback(host: str) -> bool:
    """Whether a host name is this very machine.

    >>> [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "127.0.0.1.example.com")]
    [True, True, True, False]
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult | None:
    """Split a URL; None when it is not a clean one (white space, controls, odd port)."""
    if not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _port_of(parts: SplitResult) -> int:
    return parts.port or _DEFAULT_PORTS.get(parts.scheme, 0)


def _unusable(fault: str) -> ConfigurationError:
    return ConfigurationError(
        f"A base URL {fault}.",
        not_done="Nothing was sent.",
        remedy="Put the https address that the vendor gave you into the organisation's file"
        " (plain http is allowed for this machine only).",
    )
