"""Failures of the database come out as ours, say what to do, and never show a person's values."""

import sqlite3
import traceback
from collections.abc import Callable

import psycopg
import pytest
import sqlalchemy as sa

from crm_pipeline.errors import (
    BugError,
    ConfigurationError,
    CrmPipelineError,
    LedgerDamagedError,
    TryLaterError,
)
from crm_pipeline.store.ledger import Ledger
from crm_pipeline.store.ledger import engine as engine_module
from crm_pipeline.store.ledger.failures import is_disk_failure, translate
from crm_pipeline.store.ledger.schema import organisations
from crm_pipeline_tests.store.ledger.conformance.workbench import (
    ANOTHER_CONTAINER,
    CRM,
    ORG,
    SimulatedClock,
    intent,
)

PERSON = "ann@example.org"


def sqlite_error(name: str, text: str = PERSON) -> sqlite3.Error:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorname = name
    return error


def postgres_error(state: str | None, text: str = PERSON) -> psycopg.Error:
    error = psycopg.OperationalError(text)
    error.sqlstate = state
    return error


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (sqlite_error("SQLITE_CORRUPT_INDEX"), LedgerDamagedError),
        (sqlite_error("SQLITE_NOTADB"), LedgerDamagedError),
        (sqlite_error("SQLITE_FULL"), TryLaterError),
        (sqlite_error("SQLITE_IOERR_FSYNC"), TryLaterError),
        (sqlite_error("SQLITE_BUSY"), TryLaterError),
        (sqlite_error("SQLITE_READONLY"), ConfigurationError),
        (sqlite_error("SQLITE_ERROR", "no such table: plans"), ConfigurationError),
        (sqlite_error("SQLITE_ERROR"), BugError),
        (postgres_error("XX001"), LedgerDamagedError),
        (postgres_error("42P01"), ConfigurationError),
        (postgres_error("28P01"), ConfigurationError),
        (postgres_error("42501"), ConfigurationError),
        (postgres_error(None, "password authentication failed"), ConfigurationError),
        (postgres_error(None, "server closed the connection"), TryLaterError),
        (postgres_error("40P01"), TryLaterError),
        (postgres_error("53100"), TryLaterError),
        (postgres_error("57P01"), TryLaterError),
        (postgres_error("23505"), BugError),
        (sa.exc.TimeoutError(PERSON), TryLaterError),
        (sa.exc.ResourceClosedError(PERSON), BugError),
    ],
)
def test_each_failure_says_what_to_do_next(error: Exception, ours: type[CrmPipelineError]) -> None:
    assert type(translate(error)) is ours
    assert PERSON not in str(translate(error))
    assert translate(error).remedy


def test_only_a_failing_disk_closes_every_connection(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[bool] = []
    monkeypatch.setattr(ledger._database, "close", lambda: closed.append(True))
    for name in ("SQLITE_IOERR_FSYNC", "SQLITE_FULL"):
        error = sa.exc.OperationalError("SELECT 1", {}, sqlite_error(name))
        assert is_disk_failure(error) == (name == "SQLITE_IOERR_FSYNC")
        with pytest.raises(TryLaterError), ledger._database.read():
            raise error
    assert closed == [True]


def test_a_refused_statement_shows_no_value_of_its_row(ledger: Ledger) -> None:
    with ledger.leases.hold("apply", ANOTHER_CONTAINER, 60) as lease:
        bad = intent(PERSON, fingerprint=PERSON, kind=None)
        with pytest.raises(BugError) as caught:
            ledger.outbox.begin(ORG, CRM, [bad], lease)
    shown = "".join(traceback.format_exception(caught.value))
    assert PERSON not in shown
    assert ledger.outbox.unfinished(ORG, CRM) == []


def test_a_database_that_another_process_keeps_locked_is_tried_later(
    ledger: Ledger, open_ledger: Callable[..., Ledger]
) -> None:
    ledger.organisations.set_paused(ORG, is_paused=True)
    other = open_ledger(busy_seconds=0.1)
    with ledger._database.write() as connection:
        connection.execute(sa.update(organisations).values(is_paused=False))
        with pytest.raises(TryLaterError, match="run again"):
            other.organisations.set_paused(ORG, is_paused=True)
        assert other.organisations.is_paused(ORG), "readers do not wait"
    other.organisations.set_paused(ORG, is_paused=False)


def test_nothing_can_be_written_while_reading(ledger: Ledger) -> None:
    row = {"organisation": ORG, "is_paused": True, "next_batch": 0}
    with pytest.raises(CrmPipelineError), ledger._database.read() as connection:
        connection.execute(sa.insert(organisations), row)
    assert not ledger.organisations.is_paused(ORG)


def test_a_read_sees_one_state_while_others_write(ledger: Ledger) -> None:
    query = sa.select(sa.func.count()).select_from(organisations)
    with ledger._database.read() as connection:
        before = connection.execute(query).scalar_one()
        ledger.organisations.set_paused(ORG, is_paused=True)
        assert connection.execute(query).scalar_one() == before == 0


def test_an_error_in_the_block_takes_its_writes_back(ledger: Ledger) -> None:
    def write_and_fail() -> None:
        with ledger._database.write() as connection:
            row = {"organisation": ORG, "is_paused": True, "next_batch": 0}
            connection.execute(sa.insert(organisations), row)
            raise KeyError(ORG)

    with pytest.raises(KeyError):
        write_and_fail()
    assert not ledger.organisations.is_paused(ORG)


@pytest.mark.postgres
def test_a_server_that_does_not_wait_for_its_disk_is_told_to(empty_postgres_url: str) -> None:
    with psycopg.connect(empty_postgres_url.replace("+psycopg", ""), autocommit=True) as raw:
        name = raw.execute("SELECT current_database()").fetchone()[0]
        raw.execute(f'ALTER DATABASE "{name}" SET synchronous_commit = off')
    ledger = Ledger(empty_postgres_url, clock=SimulatedClock())
    with ledger._database.write() as connection:
        asked = connection.execute(sa.text("SHOW synchronous_commit")).scalar_one()
    assert asked == "on"
    ledger.close()


@pytest.mark.postgres
def test_connections_that_the_server_cut_are_replaced(empty_postgres_url: str) -> None:
    ledger = Ledger(empty_postgres_url.replace("+psycopg", ""), clock=SimulatedClock())
    ledger.migrate()
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )

    def write_through_a_cut() -> None:
        with ledger._database.write() as connection:
            with psycopg.connect(empty_postgres_url.replace("+psycopg", "")) as raw:
                raw.execute(cut)
            connection.execute(sa.select(organisations))

    with pytest.raises(TryLaterError):
        write_through_a_cut()
    ledger.watermarks.next_batch(ORG)
    ledger.close()


def test_a_server_that_is_not_there_is_tried_later(tmp_path: object) -> None:
    ledger = Ledger(f"postgresql://nobody@/none?host={tmp_path}", clock=SimulatedClock())
    with pytest.raises(TryLaterError):
        ledger.require_current()
    assert not ledger._database.is_sqlite
    assert engine_module.CONNECT_SECONDS <= 10
