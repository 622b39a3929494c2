"""How long a change takes from LOKE into the CRM, while processes of ours are killed all the time.

Customers change at a steady rate, some by opting out; webhooks tell of it, a receiver takes them,
a loop syncs. Every half minute the receiver or the loop is killed and started anew, as a service
manager does. At the end the CRM has to be right, and nobody in it twice. `make freshness`.

With ``--dagster`` Dagster's sensors sync as they are delivered, instead of the loop, and nothing is
killed. With ``--outage`` nothing of ours runs while so many customers change: how long until all is
caught up?
"""

import argparse
import itertools
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles
from typing import Any

import yaml

from crm_pipeline_tests.benchmarks.fairness import Installation, Vendors, vendors, wait_for
from crm_pipeline_tests.benchmarks.soak import MEGABYTE, handles_of, rss_of
from crm_pipeline_tests.browser.demo import free_port
from crm_pipeline_tests.faults.dagster_host import DagsterHost

SLUG = "quiet"
KEY = f"crm_test_{SLUG}"
CUSTOMERS = 3_000
#: Changes are made so many times a second, some each time.
_TURNS_A_SECOND = 5
#: One change in so many is an opt-out.
_OPT_OUTS = 10
_KILL_SECONDS = 30.0
_QUIET_SECONDS = 300.0
#: Of so many customers one changes in an outage: a guard stops a plan that changes half of all.
_OF_WHOM = 3
#: What a process holds is looked at once it has worked for so long.
_WARM_SECONDS = 10.0


@dataclass
class Change:
    """One change at LOKE, and when the CRM had it (monotonic seconds)."""

    began: float
    is_opt_out: bool
    expected: str | bool
    arrived: float | None = None


@dataclass
class Watched:
    """Who waits for which change to arrive; a later name of somebody takes the place of one."""

    waiting: dict[tuple[str, bool], Change] = field(default_factory=dict)
    done: list[Change] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def changed(self, customer: str, change: Change) -> None:
        with self.lock:
            self.waiting[customer, change.is_opt_out] = change

    def look(self, contacts: Sequence[dict[str, Any]]) -> None:
        """See which changes the CRM has by now."""
        now = time.monotonic()
        with self.lock:
            for contact in contacts:
                customer = contact["code"].removeprefix("loke:")
                shown = {True: contact["email_opt_out"], False: contact["first_name"]}
                for key in ((customer, True), (customer, False)):
                    change = self.waiting.get(key)
                    if change is not None and shown[change.is_opt_out] == change.expected:
                        change.arrived = now
                        self.done.append(self.waiting.pop(key))


@dataclass
class Service:
    """A process that is started anew when it is killed, and what its lives held at their ends."""

    home: Installation
    words: tuple[str, ...]
    ready: Path | None = None
    process: "subprocess.Popen[bytes] | None" = None
    began: float = 0.0
    rss: list[int] = field(default_factory=list)
    handles: list[int] = field(default_factory=list)

    def start(self) -> None:
        if self.ready is not None:
            self.ready.unlink(missing_ok=True)
        with (self.home.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "crm_pipeline", *self.words],
                env=self.home.environment, cwd=self.home.folder,
                stdout=log, stderr=log,
            )  # fmt: skip
        if self.ready is not None:
            wait_for(self.ready.exists, self.process)
        self.began = time.monotonic()

    def note(self) -> None:
        """Note what the process holds, once it has worked for a while."""
        assert self.process is not None
        if time.monotonic() - self.began > _WARM_SECONDS and self.process.poll() is None:
            self.rss.append(rss_of(str(self.process.pid)))
            self.handles.append(handles_of(str(self.process.pid)))

    def end(self, how: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(60)


class Run:
    """One installation under a steady stream of changes."""

    def __init__(self, folder: Path, vendors: Vendors, *, every: float, rate: int) -> None:
        self.watched = Watched()
        self.kills = 0
        self._vendors = vendors
        self._rate = rate
        self._home = Installation(folder, every)
        self._home.add(vendors)
        port = free_port()
        self._use_receiver(port)
        ready = folder / "receiver.ready"
        self._receiver = Service(
            self._home, ("receiver", "--port", str(port), "--ready-file", str(ready)), ready
        )
        self._loop = Service(self._home, ("sync", "--all", "--loop", "--every", str(every)))
        self.services = {"receiver": self._receiver}
        self._ids: list[str] = []
        self._open: list[str] = []

    def _use_receiver(self, port: int) -> None:
        path = self._home.folder / "organisations" / f"{SLUG}.yaml"
        document = yaml.safe_load(path.read_text())
        document["sources"]["loke"]["webhooks"]["url"] = f"http://127.0.0.1:{port}"
        document["destinations"]["crm_com"]["limits"] = {"calls_per_second": 500, "concurrency": 4}
        path.write_text(yaml.safe_dump(document))

    def load(self) -> None:
        """Bring everybody into the CRM, and ask for webhooks."""
        for words in (("sync", "--org", SLUG), ("webhooks", "reset", "--org", SLUG)):
            if code := self._home.run(*words):
                raise RuntimeError(f"`{' '.join(words)}` ended with {code}.")
        contacts = self.contacts()
        self._ids = [each["code"].removeprefix("loke:") for each in contacts]
        self._open = [
            customer
            for customer, each in zip(self._ids, contacts, strict=True)
            if not each["email_opt_out"]
        ]

    def contacts(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self._vendors.admin("crm_com_url", f"state?key={KEY}")[
            "customers"
        ]
        return found

    @contextmanager
    def looping(self) -> Iterator[None]:
        """Let a receiver and a loop work."""
        self.services["loop"] = self._loop
        try:
            for service in self.services.values():
                service.start()
            yield
        finally:
            for service in self.services.values():
                service.end(signal.SIGTERM)

    @contextmanager
    def dagster(self) -> Iterator[None]:
        """Let a receiver and Dagster work, its sensors as they are delivered."""
        host = DagsterHost(self._home)
        try:
            self._receiver.start()
            host.start()
            host.switch_sensors_on()
            yield
        finally:
            host.stop()
            self._receiver.end(signal.SIGTERM)

    def stream(self, seconds: float, *, kills: bool) -> None:
        """Let customers change for so long; then wait until all has arrived."""
        chance, numbers = random.Random(7), itertools.count()
        began = time.monotonic()
        next_kill = began + _KILL_SECONDS
        killed = itertools.cycle(self.services.values())
        ended = threading.Event()
        looking = threading.Thread(target=self._look, args=(ended,), daemon=True)
        looking.start()
        for turn in range(int(seconds * _TURNS_A_SECOND)):
            for _ in range(self._rate // _TURNS_A_SECOND):
                self._change(chance, next(numbers))
            if kills and time.monotonic() > next_kill:
                next_kill += _KILL_SECONDS
                self._kill(next(killed))
            pause = began + (turn + 1) / _TURNS_A_SECOND - time.monotonic()
            if pause > 0:
                time.sleep(pause)
        deadline = time.monotonic() + _QUIET_SECONDS
        while self.watched.waiting and time.monotonic() < deadline:
            time.sleep(0.2)
        ended.set()
        looking.join()

    def _change(self, chance: random.Random, number: int) -> None:
        is_opt_out = number % _OPT_OUTS == 0 and bool(self._open)
        customer = self._open.pop() if is_opt_out else chance.choice(self._ids)
        name = f"Name {number}"
        fields = {"hasAgreedToMarketing": False} if is_opt_out else {"firstName": name}
        expected = True if is_opt_out else name
        change = Change(time.monotonic(), is_opt_out, expected)
        self._vendors.admin(
            "loke_url",
            "customers/mutate",
            {"organisation": self._vendors.id, "ids": [customer], "fields": fields},
        )
        self.watched.changed(customer, change)

    def note(self) -> None:
        """Note what each process holds now."""
        for service in self.services.values():
            service.note()

    def _kill(self, service: Service) -> None:
        self.note()
        service.end(signal.SIGKILL)
        service.start()
        self.kills += 1

    def _look(self, ended: threading.Event) -> None:
        while not ended.wait(0.5):
            self.watched.look(self.contacts())

    def wal_bytes(self) -> int:
        wal = self._home.folder / "home" / "ledger.sqlite3-wal"
        return wal.stat().st_size if wal.exists() else 0

    def wrong(self) -> list[str]:
        """Return what is not as it should be now that all is quiet."""
        codes = [each["code"] for each in self.contacts()]
        wrong = [f"{code} is there twice" for code in {*codes} if codes.count(code) > 1]
        wrong += [f"{len(self.watched.waiting)} changes never arrived"] * bool(self.watched.waiting)
        return wrong + [
            f"`{' '.join(words)}` ended with {code}"
            for words in (("sync", "--org", SLUG), ("verify", "--org", SLUG))
            if (code := self._home.run(*words))
        ]

    def catch_up(self, count: int) -> float:
        """Let so many change while nothing of ours runs; return the seconds until all is right."""
        # Names alone: a guard stops a plan that opens channels of so many.
        body = {"organisation": self._vendors.id, "count": count, "fields": {"lastName": "Late"}}
        self._vendors.admin("loke_url", "customers/mutate", body)
        began = time.monotonic()
        if code := self._home.run("sync", "--org", SLUG):
            raise RuntimeError(f"The sync ended with {code}.")
        return time.monotonic() - began


def told(name: str, changes: Sequence[Change]) -> str:
    """Return one row of the table."""
    waits = [each.arrived - each.began for each in changes if each.arrived is not None]
    cuts = quantiles(waits, n=100, method="inclusive")
    figures = " | ".join(f"{each:.1f} s" for each in (cuts[49], cuts[94], cuts[98], max(waits)))
    return f"| {name} | {len(waits):,} | {figures} |"


def growth(figures: Sequence[int]) -> float:
    """Return by how much the later lives of a process held more at their ends than the earlier."""
    middle = len(figures) // 2
    if not middle:
        return 0.0
    early, late = max(figures[:middle]), max(figures[middle:])
    return late / early - 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--rate", type=int, default=50, help="changes a second")
    parser.add_argument(
        "--every", type=float, default=2.0, help="seconds between the loop's rounds"
    )
    parser.add_argument("--no-kills", action="store_true")
    parser.add_argument("--dagster", action="store_true", help="Dagster's sensors, not the loop")
    parser.add_argument("--outage", type=int, default=0, help="changes while nothing of ours runs")
    given = parser.parse_args()
    customers = max(CUSTOMERS, given.outage * _OF_WHOM)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="freshness-")))
        made = stack.enter_context(vendors(folder, SLUG, customers))
        run = Run(folder, made, every=given.every, rate=given.rate)
        run.load()
        if given.outage:
            print(
                f"{given.outage:,} changes were caught up after {run.catch_up(given.outage):.0f} s"
            )
            return 0
        with run.dagster() if given.dagster else run.looping():
            run.stream(given.seconds, kills=not (given.no_kills or given.dagster))
            run.note()
            wal = run.wal_bytes()
        wrong = run.wrong()
    print("| changes | count | median | p95 | p99 | longest |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    print(told("all", run.watched.done))
    print(told("opt-outs", [each for each in run.watched.done if each.is_opt_out]))
    for name, service in run.services.items():
        print(
            f"{name}: {max(service.rss) / MEGABYTE:.0f} MB at most, {growth(service.rss):+.1%} from"
            f" the first half to the second; {max(service.handles)} handles at most,"
            f" {growth(service.handles):+.1%}."
        )
    print(f"{run.kills} kills; log of the ledger: {wal / MEGABYTE:.1f} MB.")
    for each in wrong:
        print(f"WRONG: {each}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
