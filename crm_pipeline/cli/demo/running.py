"""The demo from start to end: vendors, first sync, Dagster, waiting, and stopping all of it."""

import http.client
import shutil
import signal
import sys
import sysconfig
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from crm_pipeline.cli.demo.children import Child, Children
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
from crm_pipeline.errors import EXIT_DATA, EXIT_OK, BugError, ConfigurationError

START_SECONDS = 120.0
_POLL_SECONDS = 0.2
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """What the person asked for."""

    has_ui: bool
    is_once: bool
    is_small: bool
    port: int


class _StoppedError(Exception):
    """Ctrl-C or SIGTERM: end quietly."""


def run_demo(options: DemoOptions, environ: Mapping[str, str]) -> int:
    """Run the demo until it is stopped; return the exit code. No process is left behind."""
    folder = demo_folder(environ)
    with begin_anew(folder):
        return _run_in(folder, options, environ)


def _run_in(folder: Path, options: DemoOptions, environ: Mapping[str, str]) -> int:
    ports = choose_ports(options.port)
    write_files(folder, ports)
    children = Children(child_environment(environ, folder))
    stop = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in numbers}
    try:
        _Demo(options, folder, ports, children, stop, _say).run()
    except _StoppedError:
        _say("\nStopping.")
    finally:
        children.stop()
        for number, handler in before.items():
            signal.signal(number, handler)
    _say(f"Stopped. What it made is in {folder}.")
    return EXIT_OK


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


@dataclass(slots=True)
class _Demo:
    options: DemoOptions
    folder: Path
    ports: Ports
    children: Children
    stop: threading.Event
    say: Say

    def run(self) -> None:
        """Start everything, show the first sync, wait."""
        self._announce_ports()
        self._start_sandbox()
        self._run_to_end("ledger", "ledger", "migrate")
        *small, large = SLUGS
        for slug in small:
            self._first_sync(slug)
        if self.options.has_ui:
            self._start_dagster()
        elif not self.options.is_once:
            self.say(f"\n{large} comes last: it is the large one.")
        self._first_sync(large)
        if self.options.is_once:
            return
        if not self.options.has_ui:
            self._start("sync", "sync", "--all", "--loop", "--every", "5")
        self.say(_next_things(self.folder, self.ports, has_ui=self.options.has_ui))
        self._wait_until(lambda: False)

    def _announce_ports(self) -> None:
        self.say(f"The demo keeps everything in {self.folder}; nothing leaves this machine.")
        wanted = {"LOKE": LOKE_PORT, "CRM.COM": CRM_COM_PORT, "Dagster": self.options.port}
        found = (self.ports.loke, self.ports.crm_com, self.ports.dagster)
        for (name, port), chosen in zip(wanted.items(), found, strict=True):
            if port != chosen:
                self.say(f"Port {port} is taken: {name} gets {chosen}.")

    def _start_sandbox(self) -> None:
        ready = self.folder / "sandbox.json"
        ports = ("--loke-port", str(self.ports.loke), "--crm-com-port", str(self.ports.crm_com))
        size = ("--small",) if self.options.is_small else ()
        self.say("Starting the fake vendors.")
        self._start("sandbox", "sandbox", *ports, "--ready-file", str(ready), *size)
        self._wait_until(ready.exists, seconds=START_SECONDS)

    def _start_dagster(self) -> None:
        self.say("\nStarting Dagster.")
        workspace = ("-w", str(self.folder / "workspace.yaml"))
        logs = self.folder / "logs"
        self.children.start(
            "dagster-webserver",
            (
                _tool("dagster-webserver"),
                *workspace,
                *("-h", "127.0.0.1", "-p", str(self.ports.dagster)),
            ),
            log=logs / "dagster-webserver.log",
        )
        self.children.start(
            "dagster-daemon",
            (_tool("dagster-daemon"), "run", *workspace),
            log=logs / "dagster-daemon.log",
        )
        self._wait_until(lambda: _answers(self.ports.dagster), seconds=START_SECONDS)
        self.say(f"Dagster answers: {self.ports.dagster_url} (the large sync goes on here).")

    def _first_sync(self, slug: str) -> None:
        self.say(f"\nFirst sync of {slug}:")
        self._run_to_end("sync", "sync", "--org", slug)

    def _start(self, name: str, *arguments: str) -> Child:
        return self.children.start(
            name, (sys.executable, "-m", "crm_pipeline", *arguments), log=self._log(name)
        )

    def _run_to_end(self, name: str, *arguments: str) -> None:
        """Run one command on our own terminal. Data that was set aside does not stop the demo."""
        child = self.children.start(name, (sys.executable, "-m", "crm_pipeline", *arguments))
        self._wait_until(lambda: child.exit_code is not None, besides=child)
        self.children.forget(child)
        if child.exit_code not in (EXIT_OK, EXIT_DATA):
            raise BugError(
                f"`crm-pipeline {' '.join(arguments)}` ended with exit code {child.exit_code}.",
                not_done="The demo was stopped.",
                remedy="The lines above say why.",
            )

    def _log(self, name: str) -> Path:
        return self.folder / "logs" / f"{name}.log"

    def _wait_until(
        self,
        is_done: Callable[[], bool],
        *,
        seconds: float | None = None,
        besides: Child | None = None,
    ) -> None:
        """Wait; raise when stopped, when a child ended by itself, or when the time is up."""
        waited = 0.0
        while not is_done():
            dead = self.children.first_dead()
            if dead is not None and dead is not besides:
                raise _child_died(dead)
            if self.stop.wait(_POLL_SECONDS):
                raise _StoppedError
            waited += _POLL_SECONDS
            if seconds is not None and waited > seconds:
                raise BugError(
                    f"The demo waited {seconds:g} seconds for something that did not start.",
                    not_done="The demo was stopped.",
                    remedy=f"Look into {self.folder / 'logs'}.",
                )


def _child_died(child: Child) -> BugError:
    lines = child.last_lines()
    return BugError(
        f"{child.name} ended by itself with exit code {child.exit_code}."
        + (f" Its last lines:\n{lines}" if lines else ""),
        not_done="The demo was stopped.",
        remedy=f"The whole log is {child.log}." if child.log else "",
    )


def _tool(name: str) -> str:
    """Return a program of this Python environment."""
    found = shutil.which(name, path=sysconfig.get_path("scripts")) or shutil.which(name)
    if found is None:
        raise ConfigurationError(
            f"{name} is not installed.",
            not_done="The demo was stopped.",
            remedy="Install the package with its dependencies, or use --no-ui.",
        )
    return found


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/server_info")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    except http.client.HTTPException:
        return False
    finally:
        connection.close()


def _next_things(folder: Path, ports: Ports, *, has_ui: bool) -> str:
    slug = SLUGS[1]
    body = f'{{"organisation": "{slug}", "count": 25}}'
    watcher = "Dagster's sensor sees it and" if has_ui else "the running sync sees it and"
    addresses = [
        *([f"  Dagster   {ports.dagster_url}"] if has_ui else []),
        f"  LOKE      {ports.loke_url}/_sandbox/state",
        f"  CRM.COM   {ports.crm_com_url}/_sandbox/requests?summary=1",
    ]
    return "\n".join(
        (
            "",
            "Open:",
            *addresses,
            "",
            f"Try, in another terminal: change 25 customers; {watcher} carries them over.",
            f"  curl -s {ports.loke_url}/_sandbox/customers/mutate -d '{body}'",
            "",
            "Any command works on the demo:",
            f"  . {folder / 'demo.env'}",
            "  crm-pipeline status",
            f"  crm-pipeline plan list --org {slug}",
            f"  crm-pipeline verify --org {slug}",
            "",
            "Ctrl-C stops everything.",
        )
    )
