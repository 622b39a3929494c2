"""uvicorn's HTTP protocol, opened a little: the application can reach the TCP connection.

Faults need that: a cut connection has to be a real close, which ASGI has no word for.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from crm_pipeline.sandbox.wire import TRANSPORT_EXTENSION


class OpenProtocol(HttpToolsProtocol):
    """Leaves its transport in ``scope["extensions"]``."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Remember the transport for every request of this connection."""
        super().connection_made(transport)
        self._extensions: dict[str, Any] = {TRANSPORT_EXTENSION: transport}

    def on_message_begin(self) -> None:
        """Add the transport to the scope of the request that begins."""
        super().on_message_begin()
        self.scope["extensions"] = self._extensions
