"""What every test may use: Hypothesis profiles and a real Postgres."""

import itertools
from collections.abc import Iterator

import pytest
from hypothesis import settings
from sqlalchemy import create_engine, make_url, text

from crm_pipeline_tests.postgres import PostgresMissingError, running_cluster

# `pytest --hypothesis-profile nightly` chooses another. The first two give the same examples every
# time, so that a red test is about the change at hand; nightly looks for new ones.
settings.register_profile("default", deadline=None, derandomize=True)
settings.register_profile("ci", deadline=None, derandomize=True, max_examples=300, print_blob=True)
settings.register_profile("nightly", deadline=None, max_examples=5_000, print_blob=True)
settings.load_profile("default")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--kills",
        type=int,
        default=9,
        help="kills at system calls (faults/test_system_calls.py) of each command; all: make kills",
    )


_database_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of a new cluster's ``postgres`` database; each test process has its own cluster."""
    try:
        with running_cluster() as url:
            yield url
    except PostgresMissingError as error:
        pytest.skip(str(error))


@pytest.fixture
def empty_postgres_url(postgres_url: str) -> Iterator[str]:
    """The URL of a database that only this test uses; it is dropped afterwards."""
    name = f"test_{next(_database_numbers)}"
    admin = create_engine(postgres_url, isolation_level="AUTOCOMMIT")
    with admin.connect() as connection:
        connection.execute(text(f'CREATE DATABASE "{name}"'))
    yield make_url(postgres_url).set(database=name).render_as_string(hide_password=False)
    with admin.connect() as connection:
        connection.execute(text(f'DROP DATABASE "{name}" WITH (FORCE)'))
    admin.dispose()
