"""Making a ledger, bringing it up to date, and refusing one that is newer or another's."""

import stat
import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from crm_pipeline.errors import ConfigurationError, LedgerDamagedError
from crm_pipeline.store.ledger import migrating
from crm_pipeline.store.ledger.schema import VERSION_TABLE, metadata
from crm_pipeline_tests.store.ledger.conftest import sqlite_url
from crm_pipeline_tests.store.ledger.samples import ACME, CUSTOMERS


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def new_url(request, tmp_path):
    """The URL of a place where no ledger was ever made."""
    if request.param == "sqlite":
        return sqlite_url(tmp_path / "ledger.sqlite3")
    return request.getfixturevalue("empty_postgres_url")


@pytest.fixture
def new(new_url, opened, clock):
    return opened(new_url, clock)


def execute(url, *statements):
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(sa.text(statement))
    engine.dispose()


def test_a_ledger_is_not_made_by_looking_at_it(new):
    for look in (
        new.require_current,
        new.check,
        lambda: new.watermarks.get(*CUSTOMERS),
        lambda: new.watermarks.next_batch(ACME),
        lambda: new.organisations.status(ACME),
    ):
        with pytest.raises(ConfigurationError, match="crm-pipeline ledger migrate"):
            look()


def test_migrating_makes_every_table_and_can_be_repeated(new):
    new.migrate()
    new.watermarks.next_batch(ACME)
    new.migrate()
    new.require_current()
    new.check()
    assert new.watermarks.next_batch(ACME) == 2


def test_the_migrations_make_exactly_the_tables_of_the_schema(new, new_url):
    new.migrate()
    engine = sa.create_engine(new_url)
    with engine.connect() as connection:
        options = {"version_table": VERSION_TABLE, "compare_type": True}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []
        made = sa.inspect(connection)
        for table in metadata.tables.values():
            keys = made.get_pk_constraint(table.name)["constrained_columns"]
            assert keys == [column.name for column in table.primary_key]
    engine.dispose()


def test_the_tables_of_sqlite_lie_as_the_schema_says(migrated_file):
    engine = sa.create_engine(sqlite_url(migrated_file))
    with engine.connect() as connection:
        rows = connection.execute(sa.text("SELECT name, sql FROM sqlite_master"))
        made = {row.name: row.sql for row in rows}
    for table in metadata.tables.values():
        without_row_id = not table.dialect_options["sqlite"]["with_rowid"]
        assert without_row_id is ("WITHOUT ROWID" in made[table.name]), table.name
    engine.dispose()


def test_the_files_names_tell_the_revisions():
    scripts = ScriptDirectory(str(migrating._FOLDER))
    known = [script.revision for script in scripts.walk_revisions()]
    assert list(migrating.revisions()) == known[::-1]
    assert scripts.get_current_head() == migrating.revisions()[-1]


def test_threads_can_migrate_at_once(new_url, opened, clock):
    ledgers = [opened(new_url, clock) for _ in range(3)]
    failures = []

    def migrate(ledger):
        try:
            ledger.migrate()
        except Exception as error:  # noqa: BLE001  whatever it is, the test shows it
            failures.append(error)

    threads = [threading.Thread(target=migrate, args=(ledger,)) for ledger in ledgers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    ledgers[0].require_current()


def test_a_migration_that_breaks_off_leaves_nothing_behind(new, monkeypatch):
    whole = migrating._upgrade

    def broken(connection):
        whole(connection)
        raise KeyboardInterrupt

    monkeypatch.setattr(migrating, "_upgrade", broken)
    with pytest.raises(KeyboardInterrupt):
        new.migrate()
    monkeypatch.setattr(migrating, "_upgrade", whole)
    with pytest.raises(ConfigurationError):
        new.require_current()
    new.migrate()
    new.require_current()


def test_a_ledger_of_a_newer_product_is_refused(new, new_url):
    new.migrate()
    execute(new_url, f"UPDATE {VERSION_TABLE} SET version_num = '9999'")
    for attempt in (new.require_current, new.migrate, new.check):
        with pytest.raises(LedgerDamagedError, match=r"version 9999.*Upgrade the product"):
            attempt()


@pytest.mark.parametrize("loss", [f"DROP TABLE {VERSION_TABLE}", f"DELETE FROM {VERSION_TABLE}"])
def test_tables_without_a_version_are_refused_not_filled(new, new_url, loss):
    new.migrate()
    execute(new_url, loss)
    for attempt in (new.require_current, new.migrate):
        with pytest.raises(LedgerDamagedError, match="no version"):
            attempt()


@pytest.mark.postgres
def test_the_ledger_can_live_in_dagsters_database(empty_postgres_url, opened, clock):
    execute(
        empty_postgres_url,
        "CREATE TABLE alembic_version (version_num varchar(32))",
        "INSERT INTO alembic_version VALUES ('16e3115a602a')",
        "CREATE TABLE runs (id int)",
    )
    ledger = opened(empty_postgres_url, clock)
    ledger.migrate()
    ledger.require_current()


def test_the_state_is_private_whatever_the_umask_is(tmp_path, opened, clock):
    path = tmp_path / "state" / "ledger.sqlite3"
    ledger = opened(sqlite_url(path), clock)
    ledger.migrate()
    ledger.watermarks.next_batch(ACME)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    assert modes == {"ledger.sqlite3": 0o600, "ledger.sqlite3-wal": 0o600,
                     "ledger.sqlite3-shm": 0o600}  # fmt: skip
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_file_that_was_opened_to_others_is_made_private_again(file_url, opened, clock):
    path = Path(sa.make_url(file_url).database)
    path.chmod(0o644)
    opened(file_url, clock).require_current()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    "url",
    [
        "sqlite://",
        "sqlite:///:memory:",
        "mysql://host/name",
        "nothing",
        "postgresql+psycopg2://h/n",
    ],
)
def test_a_url_of_another_kind_is_refused(url, opened, clock):
    with pytest.raises(ConfigurationError, match=r"sqlite:////path/ledger\.sqlite3"):
        opened(url, clock)


@pytest.mark.postgres
@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_the_driver_of_postgres_may_be_left_out(migrated_postgres, opened, clock, scheme):
    url = migrated_postgres.replace("postgresql+psycopg", scheme)
    opened(url, clock).require_current()
