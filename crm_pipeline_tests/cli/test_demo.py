"""The demo as a person runs it: a real process, from start to Ctrl-C, and nothing left behind."""

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(420)]

PATIENCE_SECONDS = 240.0


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """One demo at a time on this machine: two that begin together would choose the same ports."""
    with (Path(tempfile.gettempdir()) / "crm-pipeline-demo-test.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


class Demo:
    """A running demo whose lines are collected as they come."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home = home
        self.lines: list[str] = []
        self.process = subprocess.Popen(
            [sys.executable, "-m", "crm_pipeline", "demo", "--customers", "small", *options],
            env={**os.environ, "CRM_PIPELINE_HOME": str(home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def wait_for(self, words: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while words not in self.text:
            assert self.process.poll() is None, self.text
            assert time.monotonic() < deadline, self.text
            time.sleep(0.05)

    def end(self) -> int:
        code = self.process.wait(PATIENCE_SECONDS)
        self._reader.join(PATIENCE_SECONDS)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code

    def processes(self) -> dict[int, str]:
        """Every living process that works on this demo's folder, the demo itself left out."""
        mark = f"CRM_PIPELINE_HOME={self.home}\0".encode()
        found = {}
        for folder in Path("/proc").iterdir():
            try:
                if folder.name.isdecimal() and mark in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
            except OSError:
                continue
        found.pop(self.process.pid, None)
        return found


@contextmanager
def running(home: Path, *options: str) -> Iterator[Demo]:
    demo = Demo(home, *options)
    try:
        yield demo
    finally:
        if demo.process.poll() is None:
            demo.process.send_signal(signal.SIGTERM)
        demo.end()


def ask(url: str, body: dict[str, object] | None = None) -> dict[str, object]:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(url, data, timeout=30) as answer:
        parsed: dict[str, object] = json.load(answer)
        return parsed


def addresses(home: Path) -> dict[str, str]:
    parsed: dict[str, str] = json.loads((home / "sandbox.json").read_text())
    return parsed


def test_one_round_without_a_ui_syncs_everybody_and_ends_by_itself(tmp_path: Path) -> None:
    with running(tmp_path / "demo", "--no-ui", "--once") as demo:
        assert demo.end() == 0, demo.text
    assert demo.processes() == {}
    for count in ("50 to create", "500 to create", "2,000 to create"):
        assert count in demo.text
    loose = [each for each in demo.home.rglob("*") if each.stat().st_mode & 0o077]
    assert loose == []
    assert "password" not in demo.text


def test_whatever_happens_at_the_vendors_is_carried_over_and_ctrl_c_stops_all_of_it(
    tmp_path: Path,
) -> None:
    with running(tmp_path / "demo", "--no-ui", "--every", "1") as demo:
        demo.wait_for("Now and then something happens")
        began = time.monotonic()
        here = addresses(demo.home)
        changed = ask(
            f"{here['loke_url']}/_sandbox/customers/mutate",
            {"organisation": "northside-bakery", "count": 25},
        )
        assert len(changed["ids"]) == 25  # type: ignore[arg-type]
        by_hand = act(demo, "payment")
        for words in ARRIVALS:
            demo.wait_for(words)
        crm = here["crm_com_url"].partition("/backoffice")[0]
        while updates(crm) < 25:
            assert time.monotonic() - began < PATIENCE_SECONDS, demo.text
            time.sleep(0.2)
        assert time.monotonic() - began < 60, demo.text
        lines = " ".join(demo.processes().values())
        assert all(f" {name} " in lines for name in ("sandbox", "receiver", "sync --all"))
        demo.process.send_signal(signal.SIGINT)
        assert demo.end() == 0, demo.text
    assert (by_hand.returncode, by_hand.stderr) == (0, "")
    assert "in the CRM: purchase loke:" in by_hand.stdout
    assert "@" not in demo.text.partition("Now and then")[2]
    assert demo.processes() == {}
    over = act(demo, "payment")
    assert over.returncode == 78
    assert "No demo runs" in over.stderr


def updates(crm: str) -> int:
    entries = ask(f"{crm}/_sandbox/requests")["requests"]
    assert isinstance(entries, list)
    return sum(each["method"] == "PUT" for each in entries)


#: What is told at the end of each act.
ARRIVALS = (
    "in the CRM: contact loke:",
    "in the CRM: purchase loke:",
    "in the CRM: the address of contact loke:",
    "in the CRM: the tags of contact loke:",
    "is cancelled",
    "in the CRM: sample order",
    "in our lake: order",
)


def act(demo: Demo, name: str) -> "subprocess.CompletedProcess[str]":
    """Let something happen at a demo from another terminal."""
    return subprocess.run(
        [sys.executable, "-m", "crm_pipeline", "demo", "act", name],
        env={**os.environ, "CRM_PIPELINE_HOME": str(demo.home)},
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_SECONDS,
    )


def test_it_is_stopped_at_any_moment(tmp_path: Path) -> None:
    with running(tmp_path / "demo", "--no-ui") as demo:
        demo.wait_for("First sync of metro-sushi")
        demo.process.send_signal(signal.SIGTERM)
        assert demo.end() == 0, demo.text
    assert demo.processes() == {}


def test_dagster_answers_and_when_a_child_dies_the_others_go_too(tmp_path: Path) -> None:
    with running(tmp_path / "demo", "--port", "3000") as demo:
        demo.wait_for("Ctrl-C stops everything")
        assert "Dagster looks for changes from now on." in demo.text
        assert all(f"{name}_sensor" in demo.text for name in ("changes", "inbox", "orders"))
        named = demo.processes()
        webserver = next(pid for pid, line in named.items() if "dagster-webserver" in line)
        os.kill(webserver, signal.SIGKILL)
        assert demo.end() == 70
    assert "dagster-webserver ended by itself" in demo.text
    assert demo.processes() == {}


def test_a_folder_with_other_state_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite3").write_text("precious")
    demo = Demo(tmp_path, "--no-ui", "--once")
    assert demo.end() == 78
    assert "no demo has made" in demo.text
    assert (tmp_path / "ledger.sqlite3").read_text() == "precious"
