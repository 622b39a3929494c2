"""Receivers that run beside the tests, and their ledgers as the drain sees them."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.store.ledger import Ledger
from crm_pipeline_tests.webhooks.running import RunningReceiver, environment


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return environment(tmp_path)


@pytest.fixture
def ledger(environ: dict[str, str], tmp_path: Path) -> Iterator[Ledger]:
    """The ledger of the receivers of this test; its tables are there."""
    (tmp_path / "home").mkdir(mode=0o700)
    found = Ledger(f"sqlite:///{tmp_path / 'home' / 'ledger.sqlite3'}", clock=now)
    found.migrate()
    yield found
    found.close()


@pytest.fixture
def receiver(environ: dict[str, str], ledger: Ledger, tmp_path: Path) -> Iterator[RunningReceiver]:
    with RunningReceiver(tmp_path, environ) as running:
        yield running


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("receiver")


@pytest.fixture(scope="module")
def shared(shared_folder: Path) -> Iterator[RunningReceiver]:
    """One receiver for all tests of a module, with figures."""
    environ = environment(shared_folder)
    with RunningReceiver(shared_folder, environ, "--metrics-port", "0") as running:
        yield running


@pytest.fixture
def shared_ledger(shared: RunningReceiver, shared_folder: Path) -> Iterator[Ledger]:
    """The ledger of the shared receiver; what waited in it is done."""
    found = Ledger(f"sqlite:///{shared_folder / 'home' / 'ledger.sqlite3'}", clock=now)
    for slug in found.inbox.waiting():
        found.inbox.settle([row.number for row in found.inbox.claim(slug, 10_000)], "done")
    found.inbox.purge(now() + dt.timedelta(minutes=1))
    yield found
    found.close()
