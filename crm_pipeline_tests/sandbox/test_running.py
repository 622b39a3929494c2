"""Starting, stopping, and the numbers that the sandbox promises."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from typing import Any

import httpx
import pytest

from crm_pipeline.sandbox import Sandbox, SandboxOrganisation, SandboxSettings, demo_organisations
from crm_pipeline_tests.sandbox.conftest import SMALL, new_token

SERVE = """
import sys
from pathlib import Path
from crm_pipeline.sandbox import SandboxSettings, run_sandbox
run_sandbox(SandboxSettings(), ready_file=Path(sys.argv[1]),
            announce=lambda line: print(line, flush=True))
print("stopped", flush=True)
"""


def test_the_demo_has_three_organisations_with_keys() -> None:
    small, middle, large = demo_organisations()
    assert (small.customers, middle.customers, large.customers) == (50, 5000, 100_000)
    assert small.crm_test_key == "crm_test_harbour-coffee"
    assert large.crm_live_key == "crm_live_metro-sushi"
    assert middle.slug == "northside-bakery"


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_a_served_sandbox_tells_where_it_is_and_stops_on_a_signal(
    tmp_path: Path, name: signal.Signals
) -> None:
    ready = tmp_path / "ready.json"
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(ready)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        announced = dict(process.stdout.readline().split() for _ in range(5))
        assert json.loads(ready.read_bytes()) == announced
        assert set(announced) == {
            "loke_url",
            "token_url",
            "crm_com_url",
            "classic_url",
            "sopost_url",
        }
        url = f"{announced['loke_url']}/_sandbox/health"
        assert httpx.get(url, verify=False).status_code == 200
        process.send_signal(name)
        assert process.stdout.read() == "stopped\n"
    assert process.returncode == 0
    assert os.listdir(tmp_path) == []


def test_a_stopped_sandbox_accepts_nobody_and_may_be_stopped_again() -> None:
    with Sandbox(SandboxSettings(organisations=(SMALL,))) as sandbox:
        client = httpx.Client(base_url=sandbox.loke_url, verify=False)
        assert client.get("/_sandbox/health").status_code == 200
    sandbox.stop()
    with pytest.raises(httpx.TransportError):
        client.get("/_sandbox/health")
    client.close()


def test_a_stop_does_not_wait_for_slow_answers() -> None:
    began = time.monotonic()
    with Sandbox(SandboxSettings(organisations=(SMALL,))) as sandbox:
        rule = {"kind": "delay", "delay_ms": 60_000}
        httpx.post(f"{sandbox.loke_url}/_sandbox/faults", json=rule, verify=False)
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{sandbox.loke_url}/organizations", timeout=0.05, verify=False)
    assert time.monotonic() - began < 5


def test_a_taken_port_is_an_error_at_once() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        settings = SandboxSettings(crm_com_port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            Sandbox(settings).start()


def test_ports_may_be_chosen() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Sandbox(SandboxSettings(organisations=(SMALL,), loke_port=port)) as sandbox:
        assert sandbox.loke_url == f"http://127.0.0.1:{port}"


def best_rate(url: str, path: str, header: str) -> float:
    """Send 400 calls down one connection, five times; return the best, in requests a second."""
    host, port = url.removeprefix("http://").split("/")[0].split(":")
    call = f"GET {path} HTTP/1.1\r\nHost: sandbox\r\n{header}\r\n\r\n".encode()
    rates = []
    for _ in range(5):
        with socket.create_connection((host, int(port))) as connection:
            connection.settimeout(10)
            began, received = time.perf_counter(), b""
            connection.sendall(call * 400)
            # A count over the whole, because a chunk may end inside a status line.
            while received.count(b"HTTP/1.1 200") < 400:
                received += connection.recv(1 << 20)
            rates.append(400 / (time.perf_counter() - began))
    return max(rates)


def test_small_answers_come_at_two_thousand_a_second(sandbox: Sandbox) -> None:
    [contact] = sandbox.crm_com.add(
        SMALL.slug, [{"person_name": {"first_name": "Bo", "last_name": "Li"}}]
    )
    key = f"api_key: {SMALL.crm_test_key}"
    assert best_rate(sandbox.crm_com_url, f"/backoffice/v2/contacts/{contact}", key) > 2000
    customer = sandbox.loke.customers(SMALL.slug, limit=1)[0]["id"]
    path = f"/organizations/{SMALL.id}/customers/{customer}"
    token = f"Authorization: Bearer {new_token(sandbox)}"
    assert best_rate(sandbox.loke_url, path, token) > 2000


def test_a_million_customers_cost_little_until_they_are_read(run: Any, connect: Any) -> None:
    tracemalloc.start()
    million = SandboxOrganisation(id="01HSANDB0XM11110N000000009", name="Big", customers=1_000_000)
    sandbox = run(organisations=(million,), cursor="offset")
    client, path = connect(sandbox), f"/organizations/{million.id}/customers?sort=updated"
    first = client.get(path)
    assert len(first.json()) == 1000
    for offset in (500_000, 999_000):
        rows = sandbox.loke.customers("big", offset=offset, limit=1000)
        assert len({row["id"] for row in rows}) == 1000
    someone = rows[-1]
    assert client.get(f"/organizations/{million.id}/customers/{someone['id']}").json() == someone
    sandbox.loke.mutate("big", ids=[someone["id"]])
    assert sandbox.loke.customers("big", limit=1)[0]["id"] == someone["id"]
    sandbox.loke.delete("big", count=100)
    assert sandbox.loke.count("big") == 999_900
    assert len(sandbox.loke.customers("big", offset=999_000)) == 900
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 40_000_000


def test_the_sandbox_imports_nothing_of_the_pipeline() -> None:
    code = (
        "import sys, crm_pipeline.sandbox as s;"
        "print([m for m in sys.modules if m.startswith('crm_pipeline.')"
        " and not m.startswith('crm_pipeline.sandbox')])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert printed.stdout.strip() == b"[]"
