"""How much later a quiet organisation's changes arrive while another one floods, fails or is slow.

Two organisations of one installation, each with fake vendors in a process of its own, so that
nothing is shared but what is ours. In turn, with and without trouble, a few customers of the quiet
one change, and it is timed until the CRM has them. `make fairness`.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import httpx
import yaml

from crm_pipeline.core.signature import loke_signature
from crm_pipeline.sandbox import SandboxOrganisation, SandboxSettings, run_sandbox

QUIET, LOUD = "quiet", "loud"
CHANGES = 10
SECRET = "hook"
_SELF = "crm_pipeline_tests.benchmarks.fairness"
_START_SECONDS, _ARRIVAL_SECONDS = 120, 300


@dataclass
class Vendors:
    """The fake vendors of one organisation, in a process of their own."""

    slug: str
    process: "subprocess.Popen[bytes]"
    urls: dict[str, str]
    calls: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=120))

    @property
    def id(self) -> str:
        return organisation_id(self.slug)

    def admin(self, vendor: str, path: str, body: Any = None) -> Any:
        url = f"{self.urls[vendor].rstrip('/')}/_sandbox/{path}"
        answer = self.calls.get(url) if body is None else self.calls.post(url, json=body)
        answer.raise_for_status()
        return answer.json()

    def change(self, count: int) -> None:
        body = {"organisation": self.id, "count": count}
        self.admin("loke_url", "customers/mutate", body)

    def writes(self) -> int:
        """Return how many customers the CRM was told so far."""
        counts = self.admin("crm_com_url", "requests?summary=1")
        return sum(n for name, n in flat(counts) if "PUT" in name and "/contacts/" in name)


def flat(value: Any, name: str = "") -> Iterator[tuple[str, int]]:
    """Give every number in a document with the path to it."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield from flat(each, f"{name} {key}")
    elif isinstance(value, int):
        yield name, value


def organisation_id(slug: str) -> str:
    return f"01HFAIR{slug.upper():0>19}"


def serve(slug: str, customers: int, ready: Path) -> None:
    organisation = SandboxOrganisation(
        id=organisation_id(slug), name=slug, slug=slug, customers=customers
    )
    run_sandbox(
        SandboxSettings(organisations=(organisation,)),
        ready_file=ready,
        announce=lambda _line: None,
    )


@contextmanager
def vendors(folder: Path, slug: str, customers: int) -> Iterator[Vendors]:
    ready = folder / f"{slug}.ready"
    command = [sys.executable, "-m", _SELF, "--serve", slug, str(customers), str(ready)]
    with subprocess.Popen(command) as process:
        try:
            wait_for(ready.exists, process)
            yield Vendors(slug, process, json.loads(ready.read_text()))
        finally:
            process.terminate()


def wait_for(is_so: Callable[[], bool], process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not is_so():
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("A process did not start.")
        time.sleep(0.05)


@dataclass
class Installation:
    """The product in a folder, with both organisations."""

    folder: Path
    every: float

    @property
    def environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "CRM_PIPELINE_HOME": str(self.folder / "home"),
            "CRM_PIPELINE_CONFIG": str(self.folder / "organisations"),
            "LOKE_ID": "sandbox-client",
            "LOKE_SECRET": "sandbox-secret",
            "HOOK": SECRET,
            "CRM_KEY_QUIET": "crm_test_quiet",
            "CRM_KEY_LOUD": "crm_test_loud",
        }

    def add(self, made: Vendors) -> None:
        folder = self.folder / "organisations"
        folder.mkdir(exist_ok=True)
        document = {
            "slug": made.slug,
            "name": made.slug,
            "sources": {
                "loke": {
                    "base_url": made.urls["loke_url"],
                    "token_url": made.urls["token_url"],
                    "organisation_id": made.id,
                    "client_id": {"env": "LOKE_ID"},
                    "client_secret": {"env": "LOKE_SECRET"},
                    "webhooks": {"url": "http://127.0.0.1:9", "secret": {"env": "HOOK"}},
                }
            },
            "destinations": {
                "crm_com": {
                    "base_url": made.urls["crm_com_url"],
                    "api_key": {"env": f"CRM_KEY_{made.slug.upper()}"},
                    "guards": {"max_update_share": None, "max_consent_widened_share": None},
                }
            },
        }
        (folder / f"{made.slug}.yaml").write_text(yaml.safe_dump(document))

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "crm_pipeline", *arguments],
                env=self.environment,
                cwd=self.folder,
                stdout=subprocess.DEVNULL,
                stderr=log,
            )

    def run(self, *arguments: str) -> int:
        return self.start(*arguments).wait()

    @contextmanager
    def working(self, *arguments: str) -> Iterator[None]:
        """Run a command beside the block; it is killed at its end."""
        process = self.start(*arguments)
        try:
            yield
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()

    @contextmanager
    def receiver(self) -> Iterator[str]:
        ready = self.folder / f"receiver-{time.monotonic_ns()}"
        process = self.start("receiver", "--port", "0", "--ready-file", str(ready))
        try:
            wait_for(ready.exists, process)
            yield f"http://127.0.0.1:{ready.read_text()}"
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait()


def arrivals(quiet: Vendors, times: int, every: float) -> list[float]:
    """Return the seconds from each change at LOKE to the CRM that has it."""
    found = []
    for number in range(times):
        time.sleep(every * ((number * 7 % 10) / 10))  # any moment of a round
        before, started = quiet.writes(), time.monotonic()
        quiet.change(CHANGES)
        while quiet.writes() < before + CHANGES:
            if time.monotonic() - started > _ARRIVAL_SECONDS:
                break
            time.sleep(0.01)
        found.append(time.monotonic() - started)
    return found


@contextmanager
def nothing(_loud: Vendors, _home: Installation) -> Iterator[None]:
    yield


@contextmanager
def large(loud: Vendors, _home: Installation) -> Iterator[None]:
    """All customers of the other one change, a hundred times as many as the quiet one has."""
    loud.change(1_000_000)
    yield


def fault(rule: dict[str, Any]) -> Callable[[Vendors, Installation], Any]:
    @contextmanager
    def failing(loud: Vendors, _home: Installation) -> Iterator[None]:
        loud.change(500)
        loud.admin("crm_com_url", "faults", {"times": None, **rule})
        try:
            yield
        finally:
            loud.calls.delete(f"{loud.urls['crm_com_url'].rstrip('/')}/_sandbox/faults")

    return failing


@contextmanager
def webhooks(loud: Vendors, home: Installation) -> Iterator[None]:
    """Signed webhooks of the other one come as fast as one sender can send them."""
    over = threading.Event()

    def send(url: str) -> None:
        with httpx.Client(timeout=60) as client:
            number = 0
            while not over.is_set():
                number += 1
                customer = {"id": f"01HFLOOD{number:018d}", "updatedAt": "2024-06-07T10:00:00Z"}
                event = {
                    "event": "customer.updated",
                    "organization": {"id": loud.id},
                    "customer": customer,
                }
                body = json.dumps(event).encode()
                headers = {"X-Event-Signature": loke_signature(body, SECRET)}
                client.post(f"{url}/webhooks/loke/{LOUD}", content=body, headers=headers)

    with home.receiver() as url:
        senders = [threading.Thread(target=send, args=(url,)) for _ in range(2)]
        for each in senders:
            each.start()
        try:
            yield
        finally:
            over.set()
            for each in senders:
                each.join()


TROUBLES: dict[str, Callable[[Vendors, Installation], Any]] = {
    "large": large,
    "down": fault({"kind": "status", "status": 500}),
    "throttled": fault({"kind": "status", "status": 429, "retry_after": 5}),
    "slow": fault({"kind": "delay", "delay_ms": 8_000}),
    "webhooks": webhooks,
}


def measure(name: str, home: Installation, loud: Vendors, quiet: Vendors, times: int) -> str:
    """Time arrivals alone and beside one trouble; return a line of the table."""
    loop = ("sync", "--all", "--loop", "--every", str(home.every))
    found: dict[str, list[float]] = {"alone": [], "beside": []}
    for _ in range(2):
        for side, trouble in (("alone", nothing), ("beside", TROUBLES[name])):
            with trouble(loud, home), home.working(*loop):
                arrivals(quiet, 1, 0)  # the start of the process is not meant
                found[side] += arrivals(quiet, times, home.every)
        while home.run("sync", "--org", QUIET) == 75:  # what was killed is settled
            time.sleep(0.5)
    alone, beside = (found[side] for side in ("alone", "beside"))
    share = median(beside) / median(alone) - 1
    return f"| {name} | {told(alone)} | {told(beside)} | {share:+.0%} |"


def told(values: list[float]) -> str:
    return f"{median(values):.2f} (p95 {quantiles(values, n=20)[-1]:.2f})"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("troubles", nargs="*", help=f"any of: {', '.join(TROUBLES)} (default: all)")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--customers", type=int, default=200, help="of the quiet organisation")
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--every", type=float, default=5.0)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve[0], int(given.serve[1]), Path(given.serve[2]))
        return 0
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        home = Installation(folder, given.every)
        quiet = stack.enter_context(vendors(folder, QUIET, given.customers))
        loud = stack.enter_context(vendors(folder, LOUD, 100 * given.customers))
        for each in (loud, quiet):
            home.add(each)
        fast = {"calls_per_second": 1_000, "concurrency": 8}
        first_load(home, fast)
        print("| beside | alone s | beside s | later |\n| --- | --- | --- | ---: |", flush=True)
        for name in given.troubles or TROUBLES:
            print(measure(name, home, loud, quiet, given.times), flush=True)
    return 0


def first_load(home: Installation, limits: dict[str, Any]) -> None:
    """Bring everybody into the CRMs faster than a vendor allows, then go back to the default."""
    before = {path: path.read_text() for path in (home.folder / "organisations").glob("*.yaml")}
    for path, text in before.items():
        document = yaml.safe_load(text)
        document["destinations"]["crm_com"]["limits"] = limits
        path.write_text(yaml.safe_dump(document))
    code = home.run("sync", "--all")
    if code:
        raise RuntimeError((home.folder / "log").read_text()[-2_000:])
    for path, text in before.items():
        path.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
