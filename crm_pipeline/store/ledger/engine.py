"""Connections to the ledger's database: SQLite in one file, or Postgres by URL.

SQLite runs in WAL mode with ``synchronous=FULL``: a committed transaction survives a power cut.
Writers take the write lock at once (``BEGIN IMMEDIATE``), so that two of them wait for each other
instead of failing half-way. Driver errors come out as ours, without the values of a statement.
"""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import Connection, Engine, make_url

from crm_pipeline.errors import ConfigurationError, LedgerDamagedError, TryLaterError

BUSY_SECONDS = 15
#: Values in one ``IN`` list; SQLite allows 32,766 variables a statement.
KEYS_A_QUERY = 1_000
_DAMAGED = ("malformed", "not a database", "file is encrypted", "disk image")


class Database:
    """One database with a writer and readers. Thread-safe: threads take turns at writing."""

    def __init__(self, url: str) -> None:
        try:
            self._url = make_url(url)
        except exc.ArgumentError as error:
            raise ConfigurationError(
                "CRM_PIPELINE_LEDGER_URL is not a database URL.",
                remedy="Use sqlite:////path/ledger.db or postgresql+psycopg://host/name.",
            ) from error
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self._lock = threading.RLock()
        if self.is_sqlite:
            _prepare_file(self._url.database)
        elif self._url.drivername == "postgresql":
            self._url = self._url.set(drivername="postgresql+psycopg")
        self.writer = self._engine("BEGIN IMMEDIATE")
        self.reader = self._engine("BEGIN") if self.is_sqlite else self.writer

    def _engine(self, begin: str) -> Engine:
        if not self.is_sqlite:
            return sa.create_engine(self._url, hide_parameters=True, pool_pre_ping=True)
        engine = sa.create_engine(
            self._url,
            hide_parameters=True,
            connect_args={"timeout": BUSY_SECONDS, "check_same_thread": False},
        )
        event.listen(engine, "connect", _prepare_connection)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
        return engine

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction that is durable when the block ends without an error."""
        with _translated(), self._lock, self.writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give a consistent view."""
        with _translated(), self.reader.begin() as connection:
            yield connection

    def upsert(self, table: sa.Table) -> Any:
        """Return an insert of the dialect that knows ``on_conflict_do_update``."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def close(self) -> None:
        """Give every connection back."""
        self.writer.dispose()
        self.reader.dispose()


def _prepare_file(name: str | None) -> None:
    if not name or name == ":memory:":
        raise ConfigurationError(
            "The ledger needs a file or a server; memory does not survive a process.",
            remedy="Set CRM_PIPELINE_LEDGER_URL to sqlite:////path/ledger.db.",
        )
    path = Path(name)
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not path.exists():
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _prepare_connection(connection: Any, _: object) -> None:
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except exc.DBAPIError as error:
        text = str(error.orig).lower()
        if any(word in text for word in _DAMAGED):
            raise LedgerDamagedError(
                "The ledger's file is damaged.",
                not_done="Nothing was read from it or written to it.",
                remedy="Restore it from a backup; it is never replaced by an empty one.",
            ) from error
        if "no such table" in text or "does not exist" in text:
            raise ConfigurationError(
                "The ledger has no tables yet.", remedy="Run `crm-pipeline ledger migrate`."
            ) from error
        if isinstance(error, exc.OperationalError | exc.InterfaceError):
            raise TryLaterError(
                f"The ledger's database did not do what was asked ({type(error.orig).__name__}).",
                not_done="The transaction was not committed.",
                remedy="Look at its disk and its reach, then run again.",
            ) from error
        raise
