"""Dagster as it runs in production: web server and daemon as processes, and what they start.

Here: starting, looking, killing. A process is killed by its number, found by its ancestors.
"""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import dagster as dg

from crm_pipeline.cli.demo.dagster_ui import is_answering, launch, switch_sensors_on
from crm_pipeline.sandbox.control.log import LoggedRequest
from crm_pipeline_tests.acceptance.trading import Trading
from crm_pipeline_tests.browser.demo import free_port
from crm_pipeline_tests.docs.reading import ROOT

START_SECONDS = 120.0
OPEN = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED]


def until(is_true: Callable[[], object], seconds: float = 120.0) -> None:
    """Wait for a condition; fail when it does not come in time."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, is_true
        threading.Event().wait(0.1)


class Installed(Protocol):
    """An installation of the product."""

    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        """What its processes are started with."""
        ...


class DagsterHost:
    """One machine with Dagster on it, beside an installation of the product."""

    def __init__(self, product: Installed) -> None:
        self.product = product
        self.home = product.folder / "home" / "dagster"
        self.port = free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self.home.mkdir(mode=0o700, parents=True)
        shutil.copy(ROOT / "dagster.yaml", self.home)
        shutil.copy(ROOT / "workspace.yaml", product.folder)
        self._run("dagster", "instance", "migrate").wait()

    def start(self, *names: str) -> None:
        """Start the web server, the daemon, or both; wait for the web server."""
        for name in names or ("webserver", "daemon"):
            options = ("-h", "127.0.0.1", "-p", str(self.port)) if name == "webserver" else ("run",)
            self._processes[name] = self._run(f"dagster-{name}", *options)
        until(lambda: is_answering(self.port), START_SECONDS)

    def _run(self, tool: str, *options: str) -> "subprocess.Popen[bytes]":
        with (self.product.folder / f"{tool}.log").open("ab") as log:
            return subprocess.Popen(
                [str(Path(sys.executable).with_name(tool)), *options],
                env={**self.product.environment, "DAGSTER_HOME": str(self.home)},
                cwd=self.product.folder,
                stdout=log,
                stderr=log,
            )

    def switch_sensors_on(self) -> None:
        """Let Dagster look for changes, as an operator does once."""
        until(lambda: switch_sensors_on(self.port))

    def sweep(self, slug: str) -> str:
        """Start one sweep from the UI; return its id."""
        found: list[str] = []
        config = {"ops": {"sweep": {"config": {"organisations": [slug]}}}}

        def is_launched() -> bool:
            run = launch(self.port, "sweep_job", config, "test")
            found.extend([run] if run else [])
            return bool(run)

        until(is_launched)
        return found[0]

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.from_config(str(self.home)) as opened:
            yield opened

    def status(self, run: str) -> dg.DagsterRunStatus:
        with self.instance() as instance:
            found = instance.get_run_by_id(run)
        assert found is not None
        return found.status

    def open_runs(self) -> list[str]:
        with self.instance() as instance:
            return [each.run_id for each in instance.get_runs(dg.RunsFilter(statuses=OPEN))]

    def pid(self, name: str) -> int:
        return self._processes[name].pid

    def code_servers(self, name: str = "daemon") -> list[int]:
        """Return the code servers that the daemon, or the web server, has started."""
        return [pid for pid in below(self.pid(name)) if b"grpc" in command_of(pid)]

    def run_workers(self) -> list[int]:
        """Return the processes of runs: children of code servers."""
        return [
            child
            for server in self.code_servers()
            for child in below(server)
            if b"spawn_main" in command_of(child)
        ]

    def tree(self) -> list[int]:
        """Return everything that is Dagster's on this machine."""
        roots = [each.pid for each in self._processes.values()]
        return [*roots, *(pid for root in roots for pid in below(root))]

    def reap(self, *names: str) -> None:
        """Wait for processes that were killed."""
        for name in names or tuple(self._processes):
            self._processes[name].wait(30)

    def stop(self) -> None:
        """Stop what is left, kindly and then for sure."""
        left = self.tree()
        for each in self._processes.values():
            if each.poll() is None:
                each.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self.reap()
        kill(left)


def command_of(pid: int) -> bytes:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def below(root: int) -> list[int]:
    """Return the descendants of a process."""
    parents: dict[int, int] = {}
    for each in Path("/proc").iterdir():
        if each.name.isdigit():
            with suppress(OSError):
                stat = (each / "stat").read_text()
                parents[int(each.name)] = int(stat.rpartition(")")[2].split()[1])
    found, last = list[int](), {root}
    while last:
        last = {pid for pid, parent in parents.items() if parent in last}
        found += sorted(last)
    return found


def kill(pids: list[int]) -> None:
    """kill -9; those that have ended already are ended."""
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_in_the_middle(market: Trading, victims: Callable[[], list[int]]) -> None:
    """Kill when the CRM has done some writes, before the answer of the last is out."""
    log = market.crm.requests
    add, seen, killed = log.add, 0, list[int]()

    def counted(entry: LoggedRequest) -> None:
        nonlocal seen
        add(entry)
        seen += entry.method in ("POST", "PUT")
        if seen == 20:
            killed.extend(victims())
            kill(killed)

    log.add = counted  # type: ignore[method-assign]
    try:
        until(lambda: killed)
    finally:
        log.add = add  # type: ignore[method-assign]
