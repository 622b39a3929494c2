"""The demo from start to end: vendors, first sync, Dagster, waiting, and stopping all of it."""

import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from crm_pipeline.cli.demo.acts import World
from crm_pipeline.cli.demo.children import Child, Children
from crm_pipeline.cli.demo.dagster_ui import (
    SENSORS,
    is_answering,
    prepare_instance,
    start_dagster,
    switch_sensors_on,
)
from crm_pipeline.cli.demo.day import Day
from crm_pipeline.cli.demo.first_sync import FirstSync
from crm_pipeline.cli.demo.hooks import tell_crm_com
from crm_pipeline.cli.demo.landed import is_landed
from crm_pipeline.cli.demo.reading import Readings
from crm_pipeline.cli.demo.state import (
    CRM_COM_PORT,
    LOKE_PORT,
    RECEIVER_PORT,
    RUNNING_FILE,
    SLUGS,
    SOPOST_PORT,
    Ports,
    begin_anew,
    child_environment,
    choose_ports,
    demo_folder,
    note_running,
    write_files,
)
from crm_pipeline.cli.demo.telling import next_things, where_to_look
from crm_pipeline.cli.demo.vendors import Vendors
from crm_pipeline.cli.demo.watch import StoppedError, Watch
from crm_pipeline.errors import EXIT_DATA, EXIT_OK, EXIT_TRY_LATER, BugError

START_SECONDS = 120.0
SENSOR_SECONDS = 30.0
#: The pause between rounds of the sync that runs where there is no Dagster.
LOOP_SECONDS = "5"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the person asked for."""

    has_ui: bool
    is_once: bool
    is_small: bool
    port: int
    every: float
    is_quiet: bool


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
            (folder / RUNNING_FILE).unlink(missing_ok=True)
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
        if not self.options.is_once:
            self._start_receiver()
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
        ports = self.ports
        for name, port, chosen in (
            ("LOKE", LOKE_PORT, ports.loke),
            ("CRM.COM", CRM_COM_PORT, ports.crm_com),
            ("SoPost", SOPOST_PORT, ports.sopost),
            ("the receiver", RECEIVER_PORT, ports.receiver),
            ("Dagster", self.options.port, ports.dagster),
        ):
            if port != chosen:
                say(f"Port {port} is taken: {name} gets {chosen}.")

    def _start_sandbox(self) -> None:
        ready = self.folder / "sandbox.json"
        here = self.ports
        numbers = {"loke": here.loke, "crm-com": here.crm_com, "sopost": here.sopost}
        ports = [word for name, port in numbers.items() for word in (f"--{name}-port", str(port))]
        size = ("--small",) if self.options.is_small else ()
        say("Starting the fake vendors.")
        self._start_logged("sandbox", *ports, "--ready-file", str(ready), *size)
        self.watch.until(ready.exists, seconds=START_SECONDS)

    def _start_receiver(self) -> None:
        ready = self.folder / "receiver.port"
        say("Starting the receiver of webhooks.")
        port = str(self.ports.receiver)
        self._start_logged("receiver", "--port", port, "--ready-file", str(ready))
        self.watch.until(ready.exists, seconds=START_SECONDS)

    def _start_dagster(self) -> None:
        say("\nStarting Dagster.")
        port = self.ports.dagster
        self._finish(prepare_instance(self.watch.children, self.folder))
        start_dagster(self.watch.children, self.folder, port)
        self.watch.until(lambda: is_answering(port), seconds=START_SECONDS)
        say(where_to_look(self.ports, has_ui=True))

    def _subscribe(self) -> None:
        """Have the vendors tell the receiver of what changes."""
        say("\nFrom now on the vendors send webhooks:")
        self._finish(self._start_here("webhooks", "reset", "--all"))
        tell_crm_com(self.vendors, self.ports)
        say("The demo entered CRM.COM's addresses at the fake CRM.COM, as a person does there.")

    def _switch_on(self) -> None:
        """Let Dagster look for changes."""
        port, names = self.ports.dagster, list[str]()

        def are_on() -> bool:
            names.extend(switch_sensors_on(port))
            return bool(names)

        if self.watch.try_until(are_on, seconds=SENSOR_SECONDS):
            say(f"Dagster looks for changes from now on. Switched on: {', '.join(names)}.")
        else:
            say(f"Switch on in Dagster, page Automation: {', '.join(SENSORS)}.")

    def _wait_for_the_end(self) -> None:
        has_ui = self.options.has_ui
        self._subscribe()
        if has_ui:
            self._switch_on()
        else:
            self._start_logged("sync", "--all", "--loop", "--every", LOOP_SECONDS)
            say(where_to_look(self.ports, has_ui=False))
        say(next_things(self.folder, self.ports, has_ui=has_ui))
        note_running(self.folder, self.ports)
        say("\nEvery organisation is in the CRM. Ctrl-C stops everything.")
        self._live()

    def _live(self) -> None:
        """Let things happen at the vendors until the person has seen enough."""
        if self.options.is_quiet:
            self.watch.until(lambda: False)
        every = self.options.every
        say(f"Now and then something happens at {SLUGS[0]}: every {every:g} seconds.\n")
        readings = Readings(self.watch)
        environ = self.watch.children.environment
        world = World(self.vendors, partial(is_landed, environ, SLUGS[0]))
        day = Day(world, say, readings.ask, every)

        def is_over() -> bool:
            day.move()
            readings.move()
            return False

        self.watch.until(is_over)

    @property
    def vendors(self) -> Vendors:
        """The fake vendors' admin calls."""
        return Vendors(self.ports)

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
