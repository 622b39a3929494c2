"""A small demo with its Dagster, as a process, for whoever looks at it with a browser."""

import contextlib
import fcntl
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

#: Also taken by ``cli.test_demo``: two demos that begin together would choose the same ports.
LOCK = Path(tempfile.gettempdir()) / "crm-pipeline-demo-test.lock"
ORGANISATION = "northside-bakery"
START_SECONDS = 300.0
STOP_SECONDS = 60.0


class DemoError(Exception):
    """The demo did not get as far as it was waited for; the text is what it has said."""


@dataclass(frozen=True, slots=True)
class RunningDemo:
    """Where a demo listens."""

    dagster_url: str
    loke_url: str
    crm_com_url: str

    @property
    def crm_com_counts_url(self) -> str:
        return f"{self.crm_com_url.partition('/backoffice')[0]}/_sandbox/requests?summary=1"

    def change_customers(self, count: int) -> None:
        """Change customers of one organisation at the fake LOKE."""
        body = json.dumps({"organisation": ORGANISATION, "count": count}).encode()
        with urllib.request.urlopen(f"{self.loke_url}/_sandbox/customers/mutate", body, 30):
            pass


@contextlib.contextmanager
def running_demo() -> Iterator[RunningDemo]:
    """Start a demo, wait for the end of its first sync, give its addresses; stop it afterwards."""
    with contextlib.ExitStack() as stack:
        lock = stack.enter_context(LOCK.open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        home = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "demo"
        port = free_port()
        options = ("--customers", "small", "--quiet-vendors", "--port", str(port))
        process = subprocess.Popen(
            [sys.executable, "-m", "crm_pipeline", "demo", *options],
            env={**os.environ, "CRM_PIPELINE_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        stack.callback(stop, process)
        wait_for_line(process, "Ctrl-C stops everything")
        found = json.loads((home / "sandbox.json").read_text())
        yield RunningDemo(f"http://127.0.0.1:{port}", found["loke_url"], found["crm_com_url"])


def wait_for_line(process: "subprocess.Popen[str]", words: str) -> None:
    """Read what the demo says until these words come; go on reading, so that it never blocks."""
    lines: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=read_lines, args=(process, lines), daemon=True).start()
    said: list[str] = []
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            line = lines.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            line = None
        if line is None:
            raise DemoError("".join(said))
        said.append(line)
        if words in line:
            return


def read_lines(process: "subprocess.Popen[str]", lines: "queue.Queue[str | None]") -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            lines.put(line)
    lines.put(None)


def stop(process: "subprocess.Popen[str]") -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    process.wait(STOP_SECONDS)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
