"""Many days in minutes: does memory, ledger, lake or the time of a sync grow without end?

One long process of ours syncs a shop day after day, with changes, webhooks through a real receiver,
full scans, folding and retention; the fake vendors run beside it. Their clock and ours move on by a
day each time. Fails when something grows that should not. `make soak`.

The Delta library looks at the wall clock: files that nothing refers to are deleted at once here,
and the log's files are made a day older each day.
"""

import argparse
import datetime as dt
import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from statistics import median

import httpx
import yaml

from crm_pipeline.defs.maintenance import CompactionConfig, compact_one
from crm_pipeline.sandbox import SandboxOrganisation, SandboxSettings, run_sandbox
from crm_pipeline.settings import load_settings
from crm_pipeline.sync.retention import apply_retention
from crm_pipeline.sync.run import sync_organisation
from crm_pipeline.wiring import Runtime
from crm_pipeline_tests.webhooks.running import RunningReceiver

ORGANISATION = SandboxOrganisation(
    id="01HS0AK0000000000000000001", name="Soak", customers=300, payments=200
)
SECRET = "hook"
CHANGES = 40
MEGABYTE = 1024 * 1024


class Clock:
    """The time of a soak, shared by its processes: some days behind, moved on by hand."""

    def __init__(self, days: int) -> None:
        self._behind: Synchronized[float] = multiprocessing.Value("d", days * 86_400.0)

    def __call__(self) -> dt.datetime:
        return dt.datetime.now(dt.UTC) - dt.timedelta(seconds=self._behind.value)

    def next_day(self) -> None:
        self._behind.value = max(0.0, self._behind.value - 86_400.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What was there at the end of a day. Sizes are in bytes."""

    sync_seconds: float
    changes: int
    webhooks: int
    rss: int
    handles: int
    threads: int
    receiver_rss: int
    receiver_handles: int
    ledger: int
    wal: int
    lake: int
    lake_files: int


class Shop:
    """The shop at the fake vendors: what happens there in a day."""

    def __init__(self, urls: dict[str, str]) -> None:
        self._loke = urls["loke_url"]
        self._calls = httpx.Client(timeout=60)

    def live(self, seed: int) -> None:
        """Let a day pass: customers change, and webhooks tell of it."""
        body = {"organisation": ORGANISATION.id, "count": CHANGES, "seed": seed}
        answer = self._calls.post(f"{self._loke}/_sandbox/customers/mutate", json=body)
        answer.raise_for_status()


def serve(clock: Clock, ready: str) -> None:
    run_sandbox(
        SandboxSettings(organisations=(ORGANISATION,), clock=clock),
        ready_file=Path(ready),
        announce=lambda _line: None,
    )


@contextmanager
def vendors(folder: Path, clock: Clock) -> Iterator[dict[str, str]]:
    ready = folder / "vendors.ready"
    process = multiprocessing.Process(target=serve, args=(clock, str(ready)))
    process.start()
    try:
        deadline = time.monotonic() + 60
        while not ready.exists():
            if not process.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("The sandbox did not start.")
            time.sleep(0.05)
        yield json.loads(ready.read_text())
    finally:
        process.kill()
        process.join()


def configure(folder: Path, urls: dict[str, str], receiver: int) -> None:
    """Write the organisation's file; webhooks come to the receiver at a port."""
    document = {
        "name": ORGANISATION.name,
        "sources": {
            "loke": {
                "base_url": urls["loke_url"],
                "token_url": urls["token_url"],
                "organisation_id": ORGANISATION.id,
                "client_id": {"env": "LOKE_ID"},
                "client_secret": {"env": "LOKE_SECRET"},
                "datasets": ["customers", "payments"],
                "webhooks": {
                    "url": f"http://127.0.0.1:{receiver}",
                    "secret": {"env": "HOOK"},
                },
            }
        },
        "destinations": {
            "crm_com": {
                "base_url": urls["crm_com_url"],
                "api_key": {"env": "CRM_KEY"},
                "sends": ["contacts", "products", "purchases"],
                "limits": {"calls_per_second": 1_000, "concurrency": 4},
                "guards": {"max_consent_widened": None, "max_consent_widened_share": None},
            }
        },
        "purchases": {"go_live": "2015-01-01T00:00:00Z"},
        "retention": {"landed_days": 7, "webhooks_days": 2, "plans_days": 7},
    }
    (folder / "organisations" / "soak.yaml").write_text(yaml.safe_dump(document))


def environment(folder: Path) -> dict[str, str]:
    """Return what every process of ours is started with."""
    return {
        **os.environ,
        "CRM_PIPELINE_HOME": str(folder / "home"),
        "CRM_PIPELINE_CONFIG": str(folder / "organisations"),
        "LOKE_ID": "sandbox-client",
        "LOKE_SECRET": "sandbox-secret",
        "HOOK": SECRET,
        "CRM_KEY": ORGANISATION.crm_test_key,
    }


class Soak:
    """The long process, day after day."""

    def __init__(
        self, runtime: Runtime, shop: Shop, receiver: RunningReceiver, clock: Clock, home: Path
    ) -> None:
        self._runtime = runtime
        self._shop = shop
        self._receiver = receiver
        self._clock = clock
        self._home = home

    def day(self, number: int) -> Day:
        """Let one day pass and look."""
        ws, organisation = self._runtime.workspace, self._runtime.organisation("soak")
        self._shop.live(number)
        seconds, changes, webhooks = [], 0, 0
        for is_full in (False, False, number % 7 == 0):
            started = time.monotonic()
            report = sync_organisation(ws, organisation, is_full=is_full)
            if not is_full:
                seconds.append(time.monotonic() - started)
            _require(not report.errors, "; ".join(map(str, report.errors)))
            changes += report.changes
            webhooks += report.drained.settled if report.drained else 0
        apply_retention(ws, organisation, by="soak")
        compact_one(ws, organisation, CompactionConfig(least_files=8, retention_hours=24))
        self._delete_old_files()
        self._clock.next_day()
        return self._look(seconds, changes, webhooks)

    def _delete_old_files(self) -> None:
        lake = self._runtime.workspace.lake
        for table in lake.eraser().tables("soak"):
            lake.vacuum("soak", table, retention_hours=0)
        for log in (self._home / "lake").glob("**/_delta_log/*"):
            status = log.stat()
            os.utime(log, (status.st_atime - 86_400, status.st_mtime - 86_400))

    def _look(self, seconds: Sequence[float], changes: int, webhooks: int) -> Day:
        files = [each for each in (self._home / "lake").rglob("*") if each.is_file()]
        ledger = self._home / "ledger.sqlite3"
        wal = ledger.with_name("ledger.sqlite3-wal")
        receiver = self._receiver.process.pid
        return Day(
            sync_seconds=sum(seconds),
            changes=changes,
            webhooks=webhooks,
            rss=rss_of("self"),
            handles=handles_of("self"),
            threads=len(os.listdir("/proc/self/task")),
            receiver_rss=rss_of(str(receiver)),
            receiver_handles=handles_of(str(receiver)),
            ledger=ledger.stat().st_size,
            wal=wal.stat().st_size if wal.exists() else 0,
            lake=sum(each.stat().st_size for each in files),
            lake_files=len(files),
        )


def rss_of(process: str) -> int:
    """Return the memory of a process in bytes."""
    status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
    line = next(each for each in status.splitlines() if each.startswith("VmRSS"))
    return int(line.split()[1]) * 1024


def handles_of(process: str) -> int:
    return len(os.listdir(f"/proc/{process}/fd"))


def _require(is_so: bool, what: str) -> None:
    if not is_so:
        raise RuntimeError(what)


@dataclass(frozen=True, slots=True)
class Limit:
    """How much a figure may be at the end, given what it was once everything had happened once."""

    name: str
    most: Callable[[float, float], float]
    told: str


def limits_of(days: Sequence[Day]) -> tuple[Limit, ...]:
    """Return what is looked at. The ledger keeps outcomes for ever: some bytes for each change."""
    sent = sum(each.changes for each in days[len(days) // 2 :])
    return (
        Limit("rss", lambda a, _: a * 1.05 + 16 * MEGABYTE, "5 % and 16 MB more"),
        Limit("handles", lambda a, _: a + 2, "2 more"),
        Limit("threads", lambda a, _: a + 8, "8 more"),
        Limit("receiver_rss", lambda a, _: a * 1.05 + 8 * MEGABYTE, "5 % and 8 MB more"),
        Limit("receiver_handles", lambda a, _: a + 2, "2 more"),
        Limit("ledger", lambda a, _: a + 1_500 * sent + MEGABYTE, "1 MB and 1,500 B a change more"),
        Limit("wal", lambda _a, _b: 64 * MEGABYTE, "64 MB"),
        Limit("lake", lambda a, _: a * 1.2 + MEGABYTE, "20 % and 1 MB more"),
        Limit("lake_files", lambda a, _: a * 1.3 + 40, "30 % and 40 more"),
        Limit("sync_seconds", lambda a, _: a * 1.5 + 0.5, "50 % and 0.5 s more"),
    )


def judge(days: Sequence[Day]) -> tuple[str, list[str]]:
    """Return a table, and what has grown too much from the third quarter to the last.

    A log keeps its entries for 30 days: before that, the lake has not had all that it keeps.
    """
    quarter = max(1, len(days) // 4)
    early, late = days[-2 * quarter : -quarter], days[-quarter:]
    lines = [
        "| figure | third quarter | last quarter | limit | |",
        "| --- | ---: | ---: | --- | --- |",
    ]
    grown = []
    for limit in limits_of(days):
        one, other = (median(getattr(day, limit.name) for day in some) for some in (early, late))
        is_fine = other <= limit.most(one, other)
        lines.append(
            f"| {limit.name} | {shown(one)} | {shown(other)} | {limit.told} |"
            f" {'' if is_fine else '**grown**'} |"
        )
        if not is_fine:
            grown.append(limit.name)
    return "\n".join(lines), grown


def shown(value: float) -> str:
    return f"{value / MEGABYTE:.1f} MB" if value > MEGABYTE else f"{value:,.1f}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=96, help="at least 90 to judge the lake")
    given = parser.parse_args()
    clock = Clock(given.days + 1)
    days: list[Day] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with vendors(folder, clock) as urls:
            environ = environment(folder)
            (folder / "organisations").mkdir()
            with (
                RunningReceiver(folder, environ) as receiver,
                Runtime(load_settings(environ), clock=clock) as runtime,
            ):
                configure(folder, urls, receiver.port)
                reset = ("webhooks", "reset", "--org", "soak")
                subprocess.run(
                    [sys.executable, "-m", "crm_pipeline", *reset], env=environ, check=True
                )
                soak = Soak(runtime, Shop(urls), receiver, clock, folder / "home")
                for number in range(given.days):
                    days.append(soak.day(number))
                    print(json.dumps({"day": number, **asdict(days[-1])}), file=sys.stderr)
    table, grown = judge(days)
    print(table)
    if grown:
        print(f"Grown without an end in sight: {', '.join(grown)}.")
    return 1 if grown else 0


if __name__ == "__main__":
    multiprocessing.set_start_method("spawn")
    sys.exit(main())
