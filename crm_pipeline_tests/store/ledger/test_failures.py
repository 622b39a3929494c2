"""What a driver's failure means, and that no message quotes a row."""

import sqlite3
import traceback

import pytest
import sqlalchemy as sa

from crm_pipeline.errors import (
    BugError,
    ConfigurationError,
    LedgerDamagedError,
    TryLaterError,
)
from crm_pipeline.store.ledger.failures import translate
from crm_pipeline_tests.store.ledger.samples import (
    ACME,
    CUSTOMERS,
    OF_CONTACTS,
    OF_CRM,
    consent,
    header,
    read,
    receipt,
)

SECRET = "mina.okafor@mail.example"


class OperationalError(Exception):
    def __init__(self, text="", *, sqlite_errorname=None, sqlstate=None):
        super().__init__(text)
        self.sqlite_errorname = sqlite_errorname
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OperationalError(sqlite_errorname="SQLITE_CORRUPT_VTAB"), LedgerDamagedError),
        (OperationalError(sqlite_errorname="SQLITE_NOTADB"), LedgerDamagedError),
        (OperationalError(sqlite_errorname="SQLITE_READONLY"), ConfigurationError),
        (OperationalError(sqlite_errorname="SQLITE_CANTOPEN"), ConfigurationError),
        (OperationalError(sqlite_errorname="SQLITE_FULL"), TryLaterError),
        (OperationalError(sqlite_errorname="SQLITE_IOERR_FSYNC"), TryLaterError),
        (OperationalError(sqlite_errorname="SQLITE_BUSY_SNAPSHOT"), TryLaterError),
        (OperationalError("no such table: x", sqlite_errorname="SQLITE_ERROR"), ConfigurationError),
        (OperationalError("no such column", sqlite_errorname="SQLITE_ERROR"), BugError),
        (OperationalError(sqlstate="XX001"), LedgerDamagedError),
        (OperationalError(sqlstate="42P01"), ConfigurationError),
        (OperationalError(sqlstate="42501"), ConfigurationError),
        (OperationalError(sqlstate="28P01"), ConfigurationError),
        (OperationalError(sqlstate="53100"), TryLaterError),  # disk full
        (OperationalError(sqlstate="55P03"), TryLaterError),  # lock not available
        (OperationalError(sqlstate="57P01"), TryLaterError),  # shut down by an operator
        (OperationalError(sqlstate="40P01"), TryLaterError),  # deadlock
        (OperationalError(sqlstate="25006"), TryLaterError),  # a replica took over
        (OperationalError(sqlstate="23502"), BugError),
        (OperationalError("server closed the connection"), TryLaterError),
        (OperationalError("password authentication failed"), ConfigurationError),
        (sa.exc.TimeoutError("no free connection"), TryLaterError),
        (sa.exc.ArgumentError("wrong"), BugError),
    ],
)
def test_each_failure_says_what_to_do_next(error, kind):
    translated = translate(error)
    assert type(translated) is kind
    assert translated.not_done
    assert translated.remedy


def test_no_error_quotes_the_values_of_a_row(ledger):
    with pytest.raises(BugError) as caught:
        ledger.consents.append(ACME, [consent(SECRET), consent(None)])
    with pytest.raises(BugError) as second:
        ledger.watermarks.commit(*CUSTOMERS, read(recent=[(SECRET, None)]), expected=None)
    for each in (caught, second):
        assert SECRET not in "".join(traceback.format_exception(each.value))
        assert str(each.value).endswith("Report this with the command that was run.")
    assert ledger.consents.count(ACME) == 0
    assert ledger.watermarks.get(*CUSTOMERS) is None


def test_a_stored_value_that_cannot_be_read_is_damage_and_is_not_quoted(ledger, lease):
    ledger.outbox.settle(*OF_CRM, [receipt()], lease)
    ledger.plans.save(header(), "planned")
    with ledger._database.write() as connection:
        for table, column in (("applied", "fields"), ("plans", "header")):
            connection.execute(sa.text(f"UPDATE {table} SET {column} = '[\"{SECRET}\"]'"))
    for read_it in (
        lambda: ledger.applied.get_many(*OF_CONTACTS, ["loke:1"]),
        lambda: ledger.plans.latest(*OF_CRM),
    ):
        with pytest.raises(LedgerDamagedError, match="cannot read") as caught:
            read_it()
        assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_reader_cannot_write(ledger):
    if not ledger._database.is_sqlite:
        with pytest.raises(TryLaterError, match="25006"), ledger._database.read() as connection:
            connection.execute(sa.text("DELETE FROM consents"))


@pytest.mark.postgres
def test_a_cut_connection_fails_one_call_and_the_next_one_works(migrated_postgres, opened, clock):
    ledger = opened(migrated_postgres, clock)
    ledger.watermarks.next_batch("cut")
    admin = sa.create_engine(migrated_postgres, isolation_level="AUTOCOMMIT")
    cut = sa.text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE pid <> pg_backend_pid() AND datname = current_database()"
    )

    def be_cut_in_a_transaction():
        with ledger._database.write() as connection, admin.connect() as other:
            other.execute(cut)
            connection.execute(sa.text("SELECT 1"))

    with pytest.raises(TryLaterError, match="may not have been committed"):
        be_cut_in_a_transaction()
    assert ledger.watermarks.next_batch("cut") == 2
    with admin.connect() as other:
        other.execute(cut)
    assert ledger.watermarks.next_batch("cut") == 3
    admin.dispose()


@pytest.mark.postgres
def test_a_database_that_is_not_there_is_a_matter_of_configuration(
    migrated_postgres, opened, clock
):
    missing = sa.make_url(migrated_postgres).set(database="none")
    ledger = opened(missing.render_as_string(hide_password=False), clock)
    with pytest.raises(ConfigurationError, match="CRM_PIPELINE_LEDGER_URL"):
        ledger.require_current()


@pytest.mark.postgres
def test_a_server_that_does_not_answer_is_worth_another_try(opened, clock, tmp_path):
    ledger = opened(f"postgresql://nobody@/none?host={tmp_path}", clock)
    with pytest.raises(TryLaterError):
        ledger.require_current()


@pytest.mark.postgres
def test_a_commit_waits_for_the_servers_disk_whatever_its_default_is(
    empty_postgres_url, opened, clock
):
    engine = sa.create_engine(empty_postgres_url)
    name = sa.make_url(empty_postgres_url).database
    with engine.begin() as connection:
        connection.execute(sa.text(f'ALTER DATABASE "{name}" SET synchronous_commit = off'))
    engine.dispose()
    ledger = opened(empty_postgres_url, clock)
    with ledger._database.write() as connection:
        assert connection.execute(sa.text("SHOW synchronous_commit")).scalar_one() == "on"
        assert connection.execute(sa.text("SHOW lock_timeout")).scalar_one() == "15s"


def test_sqlite_keeps_a_commit_through_a_power_cut(file_url, opened, clock):
    ledger = opened(file_url, clock)
    for access in (ledger._database.write, ledger._database.read):
        with access() as connection:
            found = {
                name: connection.execute(sa.text(f"PRAGMA {name}")).scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            }
        assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1}


def test_the_driver_names_its_errors():
    """SQLite's error names are what the translation stands on."""
    with pytest.raises(sqlite3.OperationalError) as caught:
        sqlite3.connect("file:/nowhere/at/all?mode=rw", uri=True)
    assert caught.value.sqlite_errorname == "SQLITE_CANTOPEN"
