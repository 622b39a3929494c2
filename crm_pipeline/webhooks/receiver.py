"""The receiver put together: from options to a process that serves until it is told to stop.

Here: start, beat, stop, in this order. Stop: accept nothing more, answer what was begun, write
what waits, note the time, close.
"""

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from crm_pipeline.errors import CrmPipelineError
from crm_pipeline.settings import Settings
from crm_pipeline.store.ledger import Ledger
from crm_pipeline.store.ledger.times import Clock
from crm_pipeline.webhooks.alive import CATCH_UP_AFTER_SECONDS, Beat, Health, Heart
from crm_pipeline.webhooks.app import OperatorApp, Parts, WebhookApp
from crm_pipeline.webhooks.committing import Committer
from crm_pipeline.webhooks.figures import Figures
from crm_pipeline.webhooks.reading import BodyReader
from crm_pipeline.webhooks.serving import (
    Listener,
    open_socket,
    port_of,
    run_in_loop,
    silence_uvicorn,
    url_of,
)
from crm_pipeline.webhooks.telling import Teller
from crm_pipeline.wiring.hooks import HookDirectory

#: A writer of the inbox waits this long for another one, so that senders get their 503 in time.
BUSY_SECONDS = 1.0
_BODY_SECONDS = 10.0
_STOP_SECONDS = 8.0
_BEAT_SECONDS = 5.0
_LOOK_SECONDS = 2.0
_PROBE_SECONDS = 1.0
_BODIES_IN_MEMORY = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverOptions:
    """How one receiver runs. ``metrics_port`` None: no listener for operators."""

    host: str = "127.0.0.1"
    port: int = 0
    ready_file: Path | None = None
    metrics_host: str = "127.0.0.1"
    metrics_port: int | None = None
    max_body_kb: int = 1_024
    max_connections: int = 1_000
    catch_up_after_seconds: float = CATCH_UP_AFTER_SECONDS


class Receiver:
    """One receiver. Its ledger's tables must be there."""

    def __init__(self, settings: Settings, options: ReceiverOptions, *, clock: Clock) -> None:
        self._options = options
        self._clock = clock
        self._hooks = HookDirectory(settings)
        self._ledger = Ledger(
            settings.ledger_url.get_secret_value(), clock=clock, busy_seconds=BUSY_SECONDS
        )
        self._health = Health()
        self._figures = Figures()
        self._heart = Heart(
            self._ledger,
            clock,
            self._hooks.all,
            catch_up_after_seconds=options.catch_up_after_seconds,
        )
        self._tell = Teller(clock)
        self._probing = threading.Lock()
        self._probed_at = float("-inf")

    def run(self, announce: Callable[[str], None]) -> None:
        """Serve until SIGTERM or SIGINT. ``announce`` gets a few lines for a person.

        Raises OSError when an address is taken, and what the ledger raises when it cannot be used.
        """
        silence_uvicorn()
        with ExitStack() as stack:
            stack.callback(self._tell.close)
            stack.callback(self._ledger.close)
            self._ledger.require_current()
            self._hooks.refresh()
            public = stack.enter_context(open_socket(self._options.host, self._options.port))
            operators = None
            if self._options.metrics_port is not None:
                operators = stack.enter_context(
                    open_socket(self._options.metrics_host, self._options.metrics_port)
                )
            run_in_loop(lambda: self._serve(public, operators, announce))

    async def _serve(
        self,
        public: socket.socket,
        operators: socket.socket | None,
        announce: Callable[[str], None],
    ) -> None:
        ended = asyncio.Event()
        for each in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(each, ended.set)
        committer = Committer(self._ledger.inbox.append, self._note_commit)
        committer.start()
        parts = self._parts(committer)
        listeners = [
            Listener(WebhookApp(parts), public, max_connections=self._options.max_connections)
        ]
        if operators is not None:
            self._figures.watch_inbox(self._ledger.inbox.counts)
            listeners.append(Listener(OperatorApp(parts), operators, max_connections=50))
        beat = await asyncio.to_thread(self._beat)
        for listener in listeners:
            await listener.start()
        for line in self._greeting(public, operators, beat):
            announce(line)
        chores = [
            asyncio.create_task(_again(_BEAT_SECONDS, self._beat)),
            asyncio.create_task(_again(_LOOK_SECONDS, self._hooks.refresh)),
        ]
        self._write_ready_file(port_of(public))
        try:
            await ended.wait()
        finally:
            self._remove_ready_file()
            await self._stop(listeners, committer, chores)

    async def _stop(
        self, listeners: list[Listener], committer: Committer, chores: list["asyncio.Task[None]"]
    ) -> None:
        self._health.is_stopping = True
        for listener in listeners:
            listener.stop_accepting()
        await asyncio.gather(*(each.finish(_STOP_SECONDS) for each in listeners))
        await committer.stop()
        for chore in chores:
            chore.cancel()
        await asyncio.gather(*chores, return_exceptions=True)
        await asyncio.to_thread(self._beat)
        self._tell("stopped")

    def _parts(self, committer: Committer) -> Parts:
        max_bytes = self._options.max_body_kb * 1_024
        return Parts(
            hooks=self._hooks,
            committer=committer,
            reader=BodyReader(
                max_bytes=max_bytes,
                max_seconds=_BODY_SECONDS,
                max_total=max_bytes * _BODIES_IN_MEMORY,
            ),
            figures=self._figures,
            health=self._health,
            probe=self._probe,
            tell=self._tell,
            clock=self._clock,
        )

    def _beat(self) -> Beat | None:
        """Beat once; None when the ledger did not take it."""
        try:
            beat = self._heart.beat()
        except CrmPipelineError as error:
            self._note(error)
            return None
        self._note(None)
        if beat.caught_up:
            self._tell(
                "away", seconds=round(beat.away_seconds or 0), catch_ups_asked_for=beat.caught_up
            )
        return beat

    def _probe(self) -> None:
        """Find out whether the ledger takes writes; at most once a second, for all who ask."""
        with self._probing:
            if time.monotonic() - self._probed_at >= _PROBE_SECONDS:
                self._beat()
                self._probed_at = time.monotonic()

    def _note_commit(self, events: int, error: CrmPipelineError | None) -> None:
        self._figures.committed(events, is_ok=error is None)
        self._note(error)

    def _note(self, error: CrmPipelineError | None) -> None:
        self._figures.set_ready(is_ready=error is None)
        if self._health.note(error):
            self._tell("ready" if error is None else "not ready", code=error.code if error else "")

    def _greeting(
        self, public: socket.socket, operators: socket.socket | None, beat: Beat | None
    ) -> list[str]:
        hooks = self._hooks.all()
        organisations = len({each.organisation for each in hooks})
        lines = [
            f"Receiving on {url_of(self._options.host, public)}:"
            f" {len(hooks):,} webhooks of {organisations:,} organisations."
        ]
        if operators is not None:
            lines.append(f"Figures on {url_of(self._options.metrics_host, operators)}/metrics.")
        if not self._hooks.is_whole:
            lines.append("Some organisation files cannot be read: see `crm-pipeline orgs check`.")
        lines.append(_told(beat))
        return lines

    def _write_ready_file(self, port: int) -> None:
        path = self._options.ready_file
        if path is not None:
            part = path.with_name(f"{path.name}.{os.getpid()}.part")
            part.write_text(f"{port}\n")
            part.replace(path)

    def _remove_ready_file(self) -> None:
        if self._options.ready_file is not None:
            with suppress(OSError):
                self._options.ready_file.unlink(missing_ok=True)


def run_receiver(
    settings: Settings, options: ReceiverOptions, *, clock: Clock, announce: Callable[[str], None]
) -> None:
    """Receive webhooks until SIGTERM or SIGINT. Call it from the main thread."""
    Receiver(settings, options, clock=clock).run(announce)


async def _again(seconds: float, work: Callable[[], object]) -> None:
    while True:
        await asyncio.sleep(seconds)
        await asyncio.to_thread(work)


def _told(beat: Beat | None) -> str:
    """Say how long nothing was received."""
    if beat is None:
        return "The ledger does not take writes now: webhooks are answered 503 until it does."
    if beat.away_seconds is None:
        return "No receiver ran here before."
    away = f"Nothing was received for {beat.away_seconds:,.0f} s"
    if beat.caught_up:
        return f"{away}: a catch-up is asked for, for {beat.caught_up:,} webhooks."
    return f"{away}: senders try again for longer than that."
