"""Where a catalogue's file is: on this machine, or on a web server.

Here: getting its bytes, never more than the limit. Not here: its format (``formats``).
"""

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urldefrag, urlsplit

from crm_pipeline.core.ports import SourceConnection
from crm_pipeline.errors import ConfigurationError
from crm_pipeline.http import ApiClient, Seams

#: No catalogue comes near it; what does is another file.
LIMIT_BYTES = 200 * 1024 * 1024

_ABSENT_STATUSES = frozenset({401, 403, 404, 410})


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A file's content, and the server's clock where there is a server."""

    body: bytes
    server_date: dt.datetime | None


class Place(Protocol):
    """Where a file is. ``path`` tells its ending."""

    path: str

    def fetch(self) -> Fetched:
        """Read the whole file."""
        ...

    def close(self) -> None:
        """Give connections back."""
        ...


def open_place(connection: SourceConnection, seams: Seams | None) -> Place:
    """Return the place that ``location`` names: a path, or a file, https or loopback http URL.

    Raises ConfigurationError for any other.
    """
    location = connection.options.get("location", "").strip()
    if location.lower().startswith(("https://", "http://")):
        return _WebPlace(location, connection, seams)
    if location.lower().startswith("file://"):
        parts = urlsplit(location)
        if parts.netloc not in ("", "localhost"):
            raise _unusable("names a file on another machine")
        return _FilePlace(unquote(parts.path))
    if not location or "://" in location or not location.isprintable():
        raise _unusable("is neither a path nor a file or https address")
    return _FilePlace(location)


class _FilePlace:
    def __init__(self, path: str) -> None:
        self.path = path

    def fetch(self) -> Fetched:
        """Read the whole file."""
        try:
            path = Path(self.path).expanduser()
            if not path.is_file() and path.exists():  # a pipe would keep us waiting
                raise _unusable("names no file")
            if path.stat().st_size > LIMIT_BYTES:
                raise _too_long()
            with path.open("rb") as file:
                body = file.read(LIMIT_BYTES + 1)
        except OSError as error:
            raise ConfigurationError(
                f"The catalogue's file cannot be read ({type(error).__name__}).",
                not_done="No product was read.",
                remedy="Put the file in its place, make it readable, or correct the source's"
                " `location`; a path that is not absolute starts at the working folder.",
            ) from None
        if len(body) > LIMIT_BYTES:  # it grew meanwhile
            raise _too_long()
        return Fetched(body=body, server_date=None)

    def close(self) -> None:
        """There is nothing to give back."""


class _WebPlace:
    def __init__(self, url: str, connection: SourceConnection, seams: Seams | None) -> None:
        try:
            parts = urlsplit(urldefrag(url).url)
        except ValueError:
            raise _unusable("is no address") from None
        self.path = unquote(parts.path)
        self._url = parts.geturl()
        self._client = ApiClient(
            f"{parts.scheme}://{parts.netloc}",
            waits=connection.waits,
            refused_statuses=frozenset(),
            connections=1,
            body_limit_bytes=LIMIT_BYTES,
            seams=seams,
        )

    def fetch(self) -> Fetched:
        """Read the whole file."""
        answer = self._client.send("GET", self._url, is_repeatable=True, headers={"Accept": "*/*"})
        if answer.status in _ABSENT_STATUSES:
            raise ConfigurationError(
                f"{answer.call}: the catalogue's file is not there for us"
                f" (status {answer.status}).",
                not_done="No product was read.",
                remedy="Correct the source's `location`, or let the server give the file out.",
            )
        if not answer.is_success:
            raise answer.malformed("is not the catalogue's file")
        return Fetched(body=answer.body, server_date=answer.server_date)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _too_long() -> ConfigurationError:
    return _unusable(f"names a file of more than {LIMIT_BYTES} bytes")


def _unusable(fault: str) -> ConfigurationError:
    return ConfigurationError(
        f"The catalogue's `location` {fault}.",
        not_done="No product was read.",
        remedy="Give a path, a file:// address or an https:// address of the file.",
    )
