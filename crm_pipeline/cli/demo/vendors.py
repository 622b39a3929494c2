"""The fake vendors' admin calls, as anybody could make them with curl.

Here: addresses, JSON, failures. Not here: what is done with them (``acts``).
"""

import http.client
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from crm_pipeline.cli.demo.state import Ports
from crm_pipeline.errors import TryLaterError

_TIMEOUT_SECONDS = 10.0
Document = dict[str, Any]


class Vendors:
    """The three fake vendors of one demo: ``loke``, ``sopost`` and ``crm_com``."""

    def __init__(self, ports: Ports) -> None:
        self._ports = {"loke": ports.loke, "sopost": ports.sopost, "crm_com": ports.crm_com}

    def url(self, vendor: str, command: str, **query: str) -> str:
        """Return where a person sees what a command answers."""
        return f"http://127.0.0.1:{self._ports[vendor]}{_path(command, query)}"

    def ask(self, vendor: str, command: str, **query: str) -> Document:
        """Read something. Raises TryLaterError."""
        return self._call(vendor, "GET", _path(command, query))

    def do(self, vendor: str, command: str, **body: object) -> Document:
        """Make something happen. Raises TryLaterError."""
        return self._call(vendor, "POST", _path(command, {}), json.dumps(body))

    def _call(self, vendor: str, method: str, path: str, body: str | None = None) -> Document:
        port = self._ports[vendor]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
        try:
            connection.request(method, path, body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            status, text = answer.status, answer.read()
            document: Document = json.loads(text)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _failed(vendor, path, type(error).__name__) from error
        finally:
            connection.close()
        if status != http.client.OK:
            raise _failed(vendor, path, f"status {status}")
        return document


def _path(command: str, query: Mapping[str, str]) -> str:
    return f"/_sandbox/{command}" + (f"?{urlencode(query, safe=':')}" if query else "")


def _failed(vendor: str, path: str, how: str) -> TryLaterError:
    return TryLaterError(
        f"The demo's {vendor} did not do {path.partition('?')[0]} ({how}).",
        not_done="Nothing happened there.",
        remedy="Look whether the demo still runs; its logs are in `logs` of its folder.",
    )
