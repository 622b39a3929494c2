"""How much later a quiet organisation's changes arrive while another one floods, fails or is slow.

Two organisations of one installation, each with fake vendors in a process of its own, so that
nothing is shared but what is ours. In turn, with and without trouble, a loop syncs both; in each of
its rounds a few customers of the quiet one have changed. `make fairness`.
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
from crm_pipeline.errors import EXIT_TRY_LATER
from crm_pipeline.sandbox import SandboxOrganisation, SandboxSettings, run_sandbox

QUIET, LOUD = "quiet", "loud"
CHANGES = 10
SECRET = "hook"
_SELF = "crm_pipeline_tests.benchmarks.fairness"
_START_SECONDS = 120
#: How often each side is measured in turn.
_TURNS = 3
#: What 95 of 100 changes wait at most until a round begins, with the default of a minute.
_WAIT_P95 = 57.0


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

    @contextmanager
    def started(
        self, *arguments: str, stdout: int = subprocess.DEVNULL
    ) -> "Iterator[subprocess.Popen[bytes]]":
        """Run a command beside the block, and wait for its end afterwards."""
        with (
            (self.folder / "log").open("ab") as log,
            subprocess.Popen(
                [sys.executable, "-m", "crm_pipeline", *arguments],
                env=self.environment,
                cwd=self.folder,
                stdout=stdout,
                stderr=log,
            ) as process,
        ):
            yield process

    def run(self, *arguments: str) -> int:
        with self.started(*arguments) as process:
            return process.wait()

    @contextmanager
    def receiver(self) -> Iterator[str]:
        ready = self.folder / f"receiver-{time.monotonic_ns()}"
        with self.started("receiver", "--port", "0", "--ready-file", str(ready)) as process:
            try:
                wait_for(ready.exists, process)
                yield f"http://127.0.0.1:{ready.read_text().strip()}"
            finally:
                process.send_signal(signal.SIGTERM)


@dataclass
class Rounds:
    """What the rounds of a loop took for the quiet organisation, and how many left it out."""

    seconds: list[float] = field(default_factory=list)
    missed: int = 0


def rounds_of(home: Installation, quiet: Vendors, found: Rounds, times: int) -> None:
    """Run a loop; before each of its rounds customers of the quiet organisation change."""
    command = ("sync", "--all", "--loop", "--every", str(home.every), "--json")
    with home.started(*command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()  # the start of the process is not meant
        for _ in range(times):
            quiet.change(CHANGES)
            done = json.loads(process.stdout.readline())["organisations"].get(QUIET)
            if done is None:
                found.missed += 1
            else:
                found.seconds.append(done["seconds"])
        process.kill()


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
    """Time rounds alone and beside one trouble, in turn; return a line of the table."""
    alone, beside = Rounds(), Rounds()
    for _ in range(_TURNS):
        for found, trouble in ((alone, nothing), (beside, TROUBLES[name])):
            with trouble(loud, home):
                rounds_of(home, quiet, found, times)
            while home.run("sync", "--org", QUIET) == EXIT_TRY_LATER:  # what was killed is settled
                time.sleep(0.5)
    one, other = (median(each.seconds) for each in (alone, beside))
    late = (_WAIT_P95 + p95(beside.seconds)) / (_WAIT_P95 + p95(alone.seconds)) - 1
    missed = f"{alone.missed} / {beside.missed}"
    return (
        f"| {name} | {told(alone)} | {told(beside)} | {other - one:+.2f} | {missed} | {late:+.1%} |"
    )


def told(found: Rounds) -> str:
    return f"{median(found.seconds):.2f} ({p95(found.seconds):.2f})"


def p95(values: list[float]) -> float:
    return quantiles(values, n=20)[-1]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("troubles", nargs="*", help=f"any of: {', '.join(TROUBLES)} (default: all)")
    parser.add_argument("--serve", nargs=3, help=argparse.SUPPRESS)
    parser.add_argument("--customers", type=int, default=200, help="of the quiet organisation")
    parser.add_argument("--times", type=int, default=6, help="rounds in each turn")
    parser.add_argument("--every", type=float, default=3.0)
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
        print(
            "| beside | alone s (p95) | beside s (p95) | more s | missed | p95 later |", flush=True
        )
        print("| --- | --- | --- | ---: | ---: | ---: |", flush=True)
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
