"""One suite, two databases: every test that takes ``ledger`` runs on SQLite and on Postgres."""

import itertools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from crm_pipeline.store.ledger import Ledger
from crm_pipeline_tests.store.ledger.conformance.workbench import SimulatedClock

_numbers = itertools.count(1)


@pytest.fixture
def clock() -> SimulatedClock:
    return SimulatedClock()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("migrated") / "ledger.sqlite3"
    ledger = Ledger(f"sqlite:///{path}", clock=SimulatedClock())
    ledger.migrate()
    ledger.close()
    return path


@pytest.fixture(scope="session")
def migrated_database(postgres_url: str) -> str:
    """The name of a migrated Postgres database, to be copied."""
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text('CREATE DATABASE "ledger_template"'))
    admin.dispose()
    ledger = Ledger(_in(postgres_url, "ledger_template"), clock=SimulatedClock())
    ledger.migrate()
    ledger.close()
    return "ledger_template"


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated ledger that only this test uses."""
    if request.param == "sqlite":
        path = tmp_path / "ledger.sqlite3"
        shutil.copyfile(request.getfixturevalue("migrated_file"), path)
        path.chmod(0o600)
        yield f"sqlite:///{path}"
        return
    server = request.getfixturevalue("postgres_url")
    template = request.getfixturevalue("migrated_database")
    name = f"ledger_{next(_numbers)}"
    admin = create_engine(server, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
        yield _in(server, name)
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    admin.dispose()


@pytest.fixture
def open_ledger(url: str, clock: SimulatedClock) -> Iterator[Callable[..., Ledger]]:
    """Open the test's ledger once more, as another process does."""
    opened: list[Ledger] = []

    def opening(**options: float) -> Ledger:
        opened.append(Ledger(url, clock=clock, **options))
        return opened[-1]

    yield opening
    for ledger in opened:
        ledger.close()


@pytest.fixture
def ledger(open_ledger: Callable[..., Ledger]) -> Ledger:
    return open_ledger()


def _in(server: str, database: str) -> str:
    return make_url(server).set(database=database).render_as_string(hide_password=False)
