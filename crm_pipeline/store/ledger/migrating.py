"""Brings the ledger's tables to the version that this code knows."""

from importlib.resources import as_file, files

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from crm_pipeline.errors import ConfigurationError, LedgerDamagedError
from crm_pipeline.store.ledger.engine import Database

#: Postgres: the lock that two migrating processes take turns with.
_LOCK = 4_070_251_911


def migrate(database: Database) -> None:
    """Run the revisions that are missing, in one transaction."""
    with as_file(files("crm_pipeline.store.ledger") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        with database.write() as connection:
            if not database.is_sqlite:
                connection.execute(sa.text(f"SELECT pg_advisory_xact_lock({_LOCK})"))
            _refuse_newer(connection, ScriptDirectory.from_config(config))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def require_current(database: Database) -> None:
    """Raise ConfigurationError when revisions are missing, LedgerDamagedError when unknown."""
    with as_file(files("crm_pipeline.store.ledger") / "migrations") as folder:
        config = Config()
        config.set_main_option("script_location", str(folder).replace("%", "%%"))
        scripts = ScriptDirectory.from_config(config)
    with database.read() as connection:
        found = _refuse_newer(connection, scripts)
    if found != scripts.get_current_head():
        raise ConfigurationError(
            "The ledger's tables are not up to date.",
            not_done="Nothing was done.",
            remedy="Run `crm-pipeline ledger migrate`.",
        )


def _refuse_newer(connection: sa.Connection, scripts: ScriptDirectory) -> str | None:
    found = MigrationContext.configure(connection).get_current_revision()
    if found is not None and found not in {script.revision for script in scripts.walk_revisions()}:
        raise LedgerDamagedError(
            f"The ledger is of version {found}, which this version of the product does not know.",
            not_done="Nothing was read or changed.",
            remedy="Upgrade the product, or restore the backup that belongs to this version.",
        )
    return found
