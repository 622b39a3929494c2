"""The receiver's sockets: limits on connections and heads, and a shutdown that finishes its work.

uvicorn's protocol without its server: that one waits a tenth of a second for everything, and sets
no limit on the time or the size of a request's head.
"""

import asyncio
import logging
import socket
from collections.abc import Callable
from typing import Any

from starlette.types import ASGIApp
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

HEAD_SECONDS = 5.0
HEAD_BYTES = 16 * 1024
_BACKLOG = 2_048
_KEEP_ALIVE_SECONDS = 30
_POLL_SECONDS = 0.02


class LimitedProtocol(HttpToolsProtocol):
    """Drops a connection whose request head is too slow or too long."""

    _head_timer: asyncio.TimerHandle | None = None
    _head_bytes = 0
    _is_in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for the first request, not for ever."""
        super().connection_made(transport)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the timer."""
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head."""
        self._head_bytes += len(data) if self._is_in_head else 0
        super().data_received(data)
        if self._is_in_head and self._head_bytes > HEAD_BYTES:
            self._drop()

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._head_bytes = 0
        self._watch_head()
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header."""
        super().on_header(name, value)
        if sum(len(each) + len(text) for each, text in self.headers) > HEAD_BYTES:
            self._drop()

    def on_headers_complete(self) -> None:
        """Let a whole head through, unless it was too long."""
        self._end_head()
        if not self.transport.is_closing():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body of a request that was let through."""
        if self.cycle is not None:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End a request that was let through."""
        if self.cycle is not None:
            super().on_message_complete()

    def _watch_head(self) -> None:
        self._end_head()
        self._is_in_head = True
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._drop)

    def _end_head(self) -> None:
        self._is_in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _drop(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()


class Listener:
    """One socket with its application; made inside the event loop by ``start``."""

    def __init__(self, app: ASGIApp, opened: socket.socket, *, max_connections: int) -> None:
        self._config = Config(
            app,
            http=LimitedProtocol,
            ws="none",
            lifespan="off",
            interface="asgi3",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            limit_concurrency=max_connections,
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        )
        self._config.load()
        self._socket = opened
        self._state = ServerState()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Accept connections."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(self._protocol, sock=self._socket, backlog=_BACKLOG)

    def stop_accepting(self) -> None:
        """Take no new connection; those that are idle are closed, the others after their answer."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()

    async def finish(self, seconds: float) -> None:
        """Wait for the requests that are being answered; after ``seconds`` cut them off."""
        deadline = asyncio.get_running_loop().time() + seconds
        while self._state.tasks and asyncio.get_running_loop().time() < deadline:
            await asyncio.sleep(_POLL_SECONDS)
        for connection in list(self._state.connections):
            connection.transport.close()
        for task in list(self._state.tasks):
            task.cancel()
        await asyncio.gather(*self._state.tasks, return_exceptions=True)

    def _protocol(self) -> LimitedProtocol:
        return LimitedProtocol(config=self._config, server_state=self._state, app_state={})


def open_socket(host: str, port: int) -> socket.socket:
    """Listen on an address; port 0 picks a free one. Raises OSError when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def port_of(opened: socket.socket) -> int:
    """Return the port of a listening socket."""
    address: tuple[Any, ...] = opened.getsockname()
    return int(address[1])


def url_of(host: str, opened: socket.socket) -> str:
    """Return the address of a listening socket."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port_of(opened)}"


def silence_uvicorn() -> None:
    """Keep uvicorn from writing: what it logs of a request may be a person's."""
    logger = logging.getLogger("uvicorn.error")
    logger.propagate = False
    logger.addHandler(logging.NullHandler())


def run_in_loop(main: Callable[[], Any]) -> None:
    """Run a coroutine function in the fastest event loop that there is."""
    try:
        from uvloop import run  # noqa: PLC0415 - not on every system
    except ImportError:
        asyncio.run(main())
    else:
        run(main())
