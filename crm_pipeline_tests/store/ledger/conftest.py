"""Ledgers on SQLite and on Postgres: a test that asks for ``ledger`` runs on both."""

import shutil
from contextlib import closing

import pytest
import sqlalchemy as sa

from crm_pipeline.store.ledger import Ledger
from crm_pipeline.store.ledger.schema import metadata
from crm_pipeline_tests.store.ledger.samples import Clock


def sqlite_url(path):
    return f"sqlite:///{path}"


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory):
    """A ledger file with tables and without rows."""
    path = tmp_path_factory.mktemp("ledger") / "ledger.sqlite3"
    with closing(Ledger(sqlite_url(path), clock=Clock())) as ledger:
        ledger.migrate()
    return path


@pytest.fixture(scope="session")
def migrated_postgres(postgres_url):
    """A Postgres ledger that tests share, one after the other."""
    with closing(Ledger(postgres_url, clock=Clock())) as ledger:
        ledger.migrate()
    return postgres_url


@pytest.fixture
def file_url(migrated_file, tmp_path):
    """The URL of an empty SQLite ledger."""
    path = tmp_path / "ledger.sqlite3"
    shutil.copyfile(migrated_file, path)
    return sqlite_url(path)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request):
    """The URL of an empty ledger, once on each database."""
    if request.param == "sqlite":
        return request.getfixturevalue("file_url")
    address = request.getfixturevalue("migrated_postgres")
    engine = sa.create_engine(address)
    with engine.begin() as connection:
        names = ", ".join(metadata.tables)
        connection.execute(sa.text(f"TRUNCATE {names} RESTART IDENTITY"))
    engine.dispose()
    return address


@pytest.fixture
def opened():
    """Opens ledgers and closes them after the test."""
    ledgers = []

    def open_ledger(address, clock):
        ledgers.append(Ledger(address, clock=clock))
        return ledgers[-1]

    yield open_ledger
    for ledger in ledgers:
        ledger.close()


@pytest.fixture
def ledger(url, clock, opened):
    return opened(url, clock)


@pytest.fixture
def other(url, clock, opened):
    """The same ledger as ``ledger``, as another process sees it."""
    return opened(url, clock)


@pytest.fixture
def lease(ledger):
    with ledger.leases.hold("apply:acme:crm_com", "owner", 60) as held:
        yield held
