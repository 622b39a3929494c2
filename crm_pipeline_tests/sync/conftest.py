"""A real sandbox, a real ledger and a real lake for every test of the use cases."""

import datetime as dt
import errno
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.core.ports import SourceApi, SourceConnection
from crm_pipeline.core.pulling import PullRules
from crm_pipeline.core.records import Waits
from crm_pipeline.sandbox import Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline.sources.loke import SOURCE
from crm_pipeline.store.lake import Lake
from crm_pipeline.store.ledger import Ledger, Watermark
from crm_pipeline.sync.land import PeekReport, PullReport, peek, pull
from crm_pipeline.sync.resolve import ResolveReport, ResolveRules, resolve_contacts
from crm_pipeline.sync.workspace import Workspace
from crm_pipeline_tests.sync.workbench import KEY, Workbench

SLUG = "test-cafe"
ORGANISATION = SandboxOrganisation(
    id="01HTEST0RGAN1SAT10N0000001", name="Test Cafe", slug=SLUG, customers=25
)
START = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
TABLE = "landed/loke/customers"
NAMES = (SLUG, "loke", "customers")


class TurnedClock:
    """One clock for the sandbox and the product; it stands still until a test turns it."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> dt.datetime:
        return self.now

    def turn(self, **amount: float) -> None:
        self.now += dt.timedelta(**amount)


@dataclass
class Desk:
    """A workspace with one organisation, its source and short words for what tests do."""

    ws: Workspace
    sandbox: Sandbox
    api: SourceApi
    clock: TurnedClock
    rules: PullRules = PullRules(overlap_seconds=10, group_pages=2)  # noqa: RUF009  frozen
    resolving: ResolveRules = ResolveRules()  # noqa: RUF009  frozen

    def pull(self, mode: str = "incremental", api: SourceApi | None = None) -> PullReport:
        source = api or self.api
        return pull(self.ws, SLUG, SOURCE, source, "customers", mode=mode, rules=self.rules)  # type: ignore[arg-type]

    def peek(self) -> PeekReport:
        return peek(self.ws, SLUG, SOURCE, self.api, "customers", self.rules)

    def resolve(self, *, is_full: bool = False) -> ResolveReport:
        return resolve_contacts(self.ws, SLUG, self.resolving, is_full=is_full)

    def watermark(self) -> Watermark | None:
        return self.ws.ledger.watermarks.get(*NAMES)

    def change(self, **changes: Any) -> list[str]:
        """Change customers at the source, a second later."""
        self.clock.turn(seconds=1)
        return self.sandbox.loke.mutate(ORGANISATION.id, **changes)

    def at_source(self) -> dict[str, dict[str, Any]]:
        """What the source says now, by id."""
        found = self.sandbox.loke.customers(ORGANISATION.id)
        return {row["id"]: row for row in found}

    def landed(self) -> dict[str, dict[str, Any]]:
        """The newest landed rows, by id."""
        rows = self.ws.lake.current(SLUG, TABLE, "id").read_all().to_pylist()
        return {row["id"]: row for row in rows}

    def requests(self) -> int:
        """How many customer pages were asked for so far."""
        return sum(
            1 for entry in self.sandbox.loke.requests.entries() if "/customers" in entry.path
        )


@pytest.fixture(scope="session")
def shared_clock() -> TurnedClock:
    return TurnedClock()


@pytest.fixture(scope="session")
def running(shared_clock: TurnedClock):
    settings = SandboxSettings(organisations=(ORGANISATION,), page_size=10, clock=shared_clock)
    with Sandbox(settings) as sandbox:
        yield sandbox


@pytest.fixture
def desk(running: Sandbox, shared_clock: TurnedClock, tmp_path: Path):
    shared_clock.now = START
    running.loke.reset()
    waits = Waits(retry_base_seconds=0.001, retry_max_seconds=0.01, attempts=2)
    ledger = Ledger(f"sqlite:///{tmp_path}/ledger.db", clock=shared_clock)
    ledger.migrate()
    lake = Lake(str(tmp_path / "lake"), clock=shared_clock)
    ws = Workspace(ledger=ledger, lake=lake, clock=shared_clock, waits=waits)
    connection = SourceConnection(
        organisation=SLUG,
        base_url=running.loke_url,
        token_url=running.token_url,
        organisation_id=ORGANISATION.id,
        secrets={
            "client_id": lambda: running.settings.client_id,
            "client_secret": lambda: running.settings.client_secret,
        },
        waits=waits,
    )
    api = SOURCE.connect(connection)
    yield Desk(ws=ws, sandbox=running, api=api, clock=shared_clock)
    api.close()
    ledger.close()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[None]]:
    """Make the lake's disk take nothing for the length of a block."""

    def refuse(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    @contextmanager
    def fill() -> Iterator[None]:
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", refuse)
            yield

    return fill


@pytest.fixture
def crm_sandbox() -> Iterator[Sandbox]:
    organisation = SandboxOrganisation(
        id="01HWORKBENCH00000000000001", name="Acme", customers=0, crm_test_key=KEY
    )
    with Sandbox(SandboxSettings(organisations=(organisation,))) as started:
        yield started


@pytest.fixture
def bench(tmp_path: Path, crm_sandbox: Sandbox) -> Iterator[Workbench]:
    made = Workbench(tmp_path, crm_sandbox)
    yield made
    made.ws.ledger.close()
