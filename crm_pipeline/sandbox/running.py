"""The fake vendors as servers: in a background thread for tests, in the foreground for the CLI.

Here: sockets, the event loop, start and stop. Not here: what is answered.
"""

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec
from uvicorn.config import Config
from uvicorn.server import ServerState

from crm_pipeline.sandbox.asgi import ByPrefix, VendorApp
from crm_pipeline.sandbox.classic.routes import PREFIX as CLASSIC_PREFIX
from crm_pipeline.sandbox.classic.routes import ClassicRoutes
from crm_pipeline.sandbox.classic.vendor import Classic
from crm_pipeline.sandbox.crm_com.routes import PREFIX, CrmComRoutes
from crm_pipeline.sandbox.crm_com.vendor import CrmCom
from crm_pipeline.sandbox.loke.routes import LokeRoutes
from crm_pipeline.sandbox.loke.vendor import Loke
from crm_pipeline.sandbox.settings import SandboxSettings
from crm_pipeline.sandbox.sopost.routes import PREFIX as SOPOST_PREFIX
from crm_pipeline.sandbox.sopost.routes import SopostRoutes
from crm_pipeline.sandbox.sopost.vendor import Sopost
from crm_pipeline.sandbox.transport import OpenProtocol

if sys.platform == "win32":
    run_loop = asyncio.run
else:
    from uvloop import run as run_loop

App = VendorApp | ByPrefix

_START_SECONDS = 30.0
_BACKLOG = 2048
_KEEP_ALIVE_SECONDS = 60


class Sandbox:
    """The running sandbox; a context manager.

    ``loke``, ``crm_com``, ``classic`` (CRM.COM's first generation, on the same port) and ``sopost``
    are the state that the servers answer from, for tests in process.
    """

    def __init__(self, settings: SandboxSettings | None = None) -> None:
        """Prepare state; nothing listens yet."""
        self.settings = settings or SandboxSettings()
        self.loke = Loke(self.settings)
        self.crm_com = CrmCom(self.settings)
        self.classic = Classic(self.crm_com)
        self.sopost = Sopost(self.settings)
        self.loke_url = ""
        self.token_url = ""
        self.crm_com_url = ""
        self.classic_url = ""
        self.sopost_url = ""
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ended: asyncio.Event | None = None
        self._failure: BaseException | None = None

    def __enter__(self) -> "Sandbox":
        """Start the servers and wait until they accept."""
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the servers."""
        self.stop()

    def start(self) -> None:
        """Listen. Raises OSError when a port is taken."""
        settings = self.settings
        sockets: list[socket.socket] = []
        try:
            for port in (settings.loke_port, settings.crm_com_port, settings.sopost_port):
                sockets.append(_listen(settings.host, port))
        except OSError:
            for opened in sockets:
                opened.close()
            raise
        loke_url, crm_url, sopost_url = (_url(settings.host, each) for each in sockets)
        self.loke_url, self.token_url = loke_url, f"{loke_url}/token"
        self.crm_com_url = crm_url + PREFIX
        self.classic_url = crm_url + CLASSIC_PREFIX
        self.sopost_url = sopost_url + SOPOST_PREFIX
        self.loke.base_url = loke_url
        loke_routes = LokeRoutes(self.loke)
        if settings.preserialise:
            loke_routes.build_pages()
        apps = (
            VendorApp(loke_routes),
            ByPrefix(
                CLASSIC_PREFIX,
                VendorApp(ClassicRoutes(self.classic)),
                VendorApp(CrmComRoutes(self.crm_com)),
            ),
            VendorApp(SopostRoutes(self.sopost)),
        )
        accepting = threading.Event()
        self._failure = None
        self._thread = threading.Thread(
            target=self._run,
            args=(list(zip(apps, sockets, strict=True)), accepting),
            name="sandbox",
            daemon=True,
        )
        self._thread.start()
        if not accepting.wait(_START_SECONDS) or self._failure is not None:
            self.stop()
            raise RuntimeError("The sandbox did not start.") from self._failure

    def stop(self) -> None:
        """Stop listening, drop open connections, wait for the thread. Safe to repeat."""
        thread, loop, ended = self._thread, self._loop, self._ended
        if thread is None:
            return
        if thread.is_alive() and loop is not None and ended is not None:
            loop.call_soon_threadsafe(ended.set)
        thread.join()
        for hooks in (self.loke.hooks, self.crm_com.hooks, self.sopost.hooks):
            hooks.stop()
        self._thread = self._loop = self._ended = None

    def urls(self) -> dict[str, str]:
        """Return the addresses, as the ready file holds them."""
        return {
            "loke_url": self.loke_url,
            "token_url": self.token_url,
            "crm_com_url": self.crm_com_url,
            "classic_url": self.classic_url,
            "sopost_url": self.sopost_url,
        }

    def _run(self, pairs: list[tuple[App, socket.socket]], accepting: threading.Event) -> None:
        try:
            run_loop(self._serve(pairs, accepting))
        except BaseException as error:  # noqa: BLE001 - handed to start(), which raises from it
            self._failure = error
        finally:
            accepting.set()

    async def _serve(
        self, pairs: list[tuple[App, socket.socket]], accepting: threading.Event
    ) -> None:
        loop = asyncio.get_running_loop()
        self._loop, self._ended = loop, asyncio.Event()
        state = ServerState()
        servers = [
            await loop.create_server(_protocol_factory(app, state), sock=opened, backlog=_BACKLOG)
            for app, opened in pairs
        ]
        accepting.set()
        await self._ended.wait()
        for server in servers:
            server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        for task in list(state.tasks):
            task.cancel()
        await asyncio.gather(*state.tasks, return_exceptions=True)


def run_sandbox(
    settings: SandboxSettings, *, ready_file: Path | None, announce: Callable[[str], None]
) -> None:
    """Serve until SIGINT or SIGTERM, then stop cleanly. Call it from the main thread.

    ``announce`` gets one line for each address. The ready file appears, whole, once all servers
    accept, and is removed at the end.
    """
    ended = threading.Event()
    before = {
        each: signal.signal(each, lambda *_: ended.set())
        for each in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with Sandbox(settings) as sandbox:
            if ready_file is not None:
                _write_whole(ready_file, msgspec.json.encode(sandbox.urls()))
            for name, url in sandbox.urls().items():
                announce(f"{name} {url}")
            ended.wait()
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_STREAM)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        # Listening from here on: whoever learns the address can connect at once.
        opened.listen(_BACKLOG)
    except OSError:
        opened.close()
        raise
    return opened


def _url(host: str, opened: socket.socket) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"http://{shown}:{opened.getsockname()[1]}"


def _protocol_factory(app: App, state: ServerState) -> Callable[[], OpenProtocol]:
    """Use uvicorn's protocol without its server, whose start and stop wait a tenth of a second."""
    config = Config(
        app,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
    )
    config.load()
    return lambda: OpenProtocol(config=config, server_state=state, app_state={})


def _write_whole(path: Path, content: bytes) -> None:
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.replace(path)
