"""The demo from start to end: vendors, first sync, Dagster, waiting, and stopping all of it."""

import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from crm_pipeline.cli.demo.children import Child, Children
from crm_pipeline.cli.demo.dagster_ui import (
    is_answering,
    prepare_instance,
    start_dagster,
    switch_sensor_on,
)
from crm_pipeline.cli.demo.first_sync import FirstSync
from crm_pipeline.cli.demo.state import (
    CRM_COM_PORT,
    LOKE_PORT,
    SLUGS,
    Ports,
    begin_anew,
    child_environment,
    choose_ports,
    demo_folder,
    write_files,
)
from crm_pipeline.cli.demo.telling import next_things, where_to_look
from crm_pipeline.cli.demo.watch import StoppedError, Watch
from crm_pipeline.errors import EXIT_DATA, EXIT_OK, EXIT_TRY_LATER, BugError

START_SECONDS = 120.0
SENSOR_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the person asked for."""

    has_ui: bool
    is_once: bool
    is_small: bool
    port: int


def run_demo(options: DemoOptions, environ: Mapping[str, str]) -> int:
    """Run the demo until it is stopped; return the exit code. No process is left behind."""
    folder = demo_folder(environ)
    with begin_anew(folder):
        ports = choose_ports(options.port)
        write_files(folder, ports)
        children = Children(child_environment(environ, folder))
        stop = threading.Event()
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
        try:
            _Demo(options, folder, ports, Watch(children, stop, folder / "logs")).run()
        except StoppedError:
            say("\nStopping.")
        finally:
            children.stop()
            for number, handler in before.items():
                signal.signal(number, handler)
    say(f"Stopped. What it made is in {folder}.")
    return EXIT_OK


def say(text: str) -> None:
    """Write one line for the person, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@dataclass(frozen=True, slots=True)
class _Demo:
    options: DemoOptions
    folder: Path
    ports: Ports
    watch: Watch

    def run(self) -> None:
        """Start everything, show the first sync, wait."""
        self._announce()
        self._start_sandbox()
        self._finish(self._start_here("ledger", "migrate"))
        if self.options.has_ui:
            self._start_dagster()
            FirstSync(self.ports, self.watch, say).run()
        else:
            for slug in SLUGS:
                self._finish(self._first_sync(slug))
        if not self.options.is_once:
            self._wait_for_the_end()

    def _announce(self) -> None:
        say(f"The demo keeps everything in {self.folder}; nothing leaves this machine.")
        wanted = {"LOKE": LOKE_PORT, "CRM.COM": CRM_COM_PORT, "Dagster": self.options.port}
        found = (self.ports.loke, self.ports.crm_com, self.ports.dagster)
        for (name, port), chosen in zip(wanted.items(), found, strict=True):
            if port != chosen:
                say(f"Port {port} is taken: {name} gets {chosen}.")

    def _start_sandbox(self) -> None:
        ready = self.folder / "sandbox.json"
        numbers = {"loke": self.ports.loke, "crm-com": self.ports.crm_com, "sopost": 0}
        ports = [word for name, port in numbers.items() for word in (f"--{name}-port", str(port))]
        size = ("--small",) if self.options.is_small else ()
        say("Starting the fake vendors.")
        self._start_logged("sandbox", *ports, "--ready-file", str(ready), *size)
        self.watch.until(ready.exists, seconds=START_SECONDS)

    def _start_dagster(self) -> None:
        say("\nStarting Dagster.")
        port = self.ports.dagster
        self._finish(prepare_instance(self.watch.children, self.folder))
        start_dagster(self.watch.children, self.folder, port)
        self.watch.until(lambda: is_answering(port), seconds=START_SECONDS)
        say(where_to_look(self.ports, has_ui=True))

    def _switch_on(self) -> None:
        """Let Dagster look for changes."""
        port = self.ports.dagster
        if self.watch.try_until(lambda: switch_sensor_on(port), seconds=SENSOR_SECONDS):
            say("Dagster looks for changes from now on.")
        else:
            say("Switch `changes_sensor` on in Dagster, page Automation.")

    def _wait_for_the_end(self) -> None:
        has_ui = self.options.has_ui
        if has_ui:
            self._switch_on()
        else:
            self._start_logged("sync", "--all", "--loop", "--every", "5")
            say(where_to_look(self.ports, has_ui=False))
        say(next_things(self.folder, self.ports, has_ui=has_ui))
        say("\nEvery organisation is in the CRM. Ctrl-C stops everything.")
        self.watch.until(lambda: False)

    def _first_sync(self, slug: str) -> Child:
        say(f"\nFirst sync of {slug}:")
        return self._start_here("sync", "--org", slug)

    def _start_here(self, *arguments: str) -> Child:
        """Start one of our commands on our own terminal."""
        return self.watch.children.start(" ".join(arguments), _ours(arguments))

    def _start_logged(self, name: str, *arguments: str) -> Child:
        log = self.watch.logs / f"{name}.log"
        return self.watch.children.start(name, _ours((name, *arguments)), log=log)

    def _finish(self, child: Child) -> None:
        """Wait for a command's end. What is repeated by itself does not stop the demo."""
        self.watch.until(lambda: child.exit_code is not None, besides=child)
        self.watch.children.forget(child)
        if child.exit_code not in (EXIT_OK, EXIT_DATA, EXIT_TRY_LATER):
            raise BugError(
                f"`crm-pipeline {child.name}` ended with exit code {child.exit_code}.",
                not_done="The demo was stopped.",
                remedy="The lines above say why.",
            )


def _ours(arguments: tuple[str, ...]) -> tuple[str, ...]:
    return (sys.executable, "-m", "crm_pipeline", *arguments)
