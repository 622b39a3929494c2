"""Brings the ledger's tables to the version that this code knows.

Forward only. Alembic runs inside one transaction, so a killed migration leaves nothing behind. It
is imported when there is something to migrate: looking at the version must stay quick.
"""

import pkgutil
import threading
from pathlib import Path

import sqlalchemy as sa

from crm_pipeline.errors import LedgerDamagedError
from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.failures import damaged, not_migrated
from crm_pipeline.store.ledger.files import make_file
from crm_pipeline.store.ledger.schema import VERSION_TABLE, metadata

#: Postgres: the lock that migrating processes take turns with.
_LOCK = 4_070_251_911
#: Alembic keeps what it works on in module globals: threads take turns as well.
_turn = threading.Lock()
_FOLDER = Path(__file__).with_name("migrations")
_version = sa.table(VERSION_TABLE, sa.column("version_num"))


def revisions() -> tuple[str, ...]:
    """Return every revision that this code knows, oldest first, from the files' names.

    >>> revisions()[0]
    '0001'
    """
    names = (module.name for module in pkgutil.iter_modules([str(_FOLDER / "versions")]))
    return tuple(sorted(name[1:5] for name in names))


def migrate(database: Database) -> None:
    """Run the revisions that are missing, in one transaction.

    Raises LedgerDamagedError when the ledger is newer than this code, or is something else.
    """
    if database.path is not None:
        make_file(database.path)
    with _turn, database.write() as connection:
        if not database.is_sqlite:
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        if _version_of(connection) != revisions()[-1]:
            _upgrade(connection)


def require_current(database: Database) -> None:
    """Raise ConfigurationError when revisions are missing, LedgerDamagedError when unknown."""
    with database.read() as connection:
        if _version_of(connection) != revisions()[-1]:
            raise not_migrated()


def check(database: Database) -> None:
    """Read the whole ledger for damage. Takes about a second a gigabyte on SQLite.

    Raises LedgerDamagedError at the first fault; ConfigurationError when it is not migrated.
    """
    require_current(database)
    if not database.is_sqlite:
        return  # a server checks its own files, with checksums on
    with database.read() as connection:
        answer = connection.execute(sa.text("PRAGMA quick_check(1)")).scalar_one()
    if answer != "ok":
        raise damaged("is damaged: its pages contradict each other")


def _upgrade(connection: sa.Connection) -> None:
    from alembic import command  # noqa: PLC0415  see the module's docstring
    from alembic.config import Config  # noqa: PLC0415

    config = Config()
    config.set_main_option("script_location", str(_FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _version_of(connection: sa.Connection) -> str | None:
    """Return the ledger's version, or None for an empty database."""
    tables = set(sa.inspect(connection).get_table_names())
    if VERSION_TABLE not in tables:
        if tables & metadata.tables.keys():
            raise damaged("has tables and no version: they are half of a ledger or another's")
        return None
    found = connection.execute(sa.select(_version.c.version_num)).scalar_one_or_none()
    if found is None:
        raise damaged("has tables and no version: they are half of a ledger")
    if found not in revisions():
        raise LedgerDamagedError(
            f"The ledger is of version {found}, which this version of the product does not know.",
            not_done="Nothing was read or changed.",
            remedy="Upgrade the product, or restore the backup that belongs to this version.",
        )
    return str(found)
