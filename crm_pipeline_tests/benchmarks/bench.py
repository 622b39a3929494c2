"""What a case works with: addresses, a home, the product's own objects, a stop-watch."""

import datetime as dt
import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx

from crm_pipeline.core.ports import SourceApi, SourceConnection
from crm_pipeline.core.pulling import PullRules
from crm_pipeline.core.records import Waits
from crm_pipeline.sources.loke import SOURCE
from crm_pipeline.store.lake import Lake
from crm_pipeline.store.ledger import Ledger
from crm_pipeline.sync.land import PeekReport, PullReport, peek, pull
from crm_pipeline.sync.resolve import ResolveReport, ResolveRules, resolve_contacts
from crm_pipeline.sync.workspace import Workspace
from crm_pipeline_tests.benchmarks.server import ORGANISATION

SLUG = "bench"
CLIENT, SECRET = "sandbox-client", "sandbox-secret"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the sandbox is, and a folder of the case's own."""

    loke_url: str
    token_url: str
    home: Path
    rows: int


class StopWatch:
    """Wall and processor seconds of this process, from ``start`` to ``stop``."""

    def start(self) -> None:
        """Begin; garbage of the set-up is gone before."""
        gc.collect()
        self._wall, self._cpu = time.perf_counter(), time.process_time()

    def stop(self, times: int = 1) -> dict[str, float]:
        """Return the seconds of one of ``times`` equal pieces of work."""
        wall, cpu = time.perf_counter() - self._wall, time.process_time() - self._cpu
        return {"wall_s": wall / times, "cpu_s": cpu / times, "peak_mb": peak_mb()}


class Product:
    """The product on an empty home, for one organisation."""

    def __init__(self, place: Place) -> None:
        self.place = place
        ledger = Ledger(f"sqlite:///{place.home}/ledger.db", clock=now)
        ledger.migrate()
        lake = Lake(str(place.home / "lake"), clock=now)
        self.ws = Workspace(ledger=ledger, lake=lake, clock=now)
        self.api: SourceApi = SOURCE.connect(
            SourceConnection(
                organisation=SLUG,
                base_url=place.loke_url,
                token_url=place.token_url,
                organisation_id=ORGANISATION,
                secrets={"client_id": lambda: CLIENT, "client_secret": lambda: SECRET},
                waits=Waits(),
            )
        )

    def pull(self) -> PullReport:
        """Pull what is new; everything on an empty home."""
        return pull(
            self.ws, SLUG, SOURCE, self.api, "customers", mode="incremental", rules=PullRules()
        )

    def sweep(self) -> PullReport:
        """Read everything until nothing new comes."""
        return pull(self.ws, SLUG, SOURCE, self.api, "customers", mode="sweep", rules=PullRules())

    def peek(self) -> PeekReport:
        """Look at the first page."""
        return peek(self.ws, SLUG, SOURCE, self.api, "customers", PullRules())

    def resolve(self, *, is_full: bool) -> ResolveReport:
        """Make contacts of what landed."""
        return resolve_contacts(self.ws, SLUG, ResolveRules(), is_full=is_full)

    def change(self, count: int) -> None:
        """Change customers at the source."""
        body = {"organisation": ORGANISATION, "count": count}
        url = f"{self.place.loke_url}/_sandbox/customers/mutate"
        httpx.post(url, json=body, timeout=120).raise_for_status()


def now() -> dt.datetime:
    """Return the wall clock."""
    return dt.datetime.now(dt.UTC)


def peak_mb() -> float:
    """Return the most memory that this process ever had, in MB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


Case = Callable[[Place], dict[str, float]]
