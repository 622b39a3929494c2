"""Connections to the ledger's database: SQLite in one file, or Postgres by URL.

SQLite runs in WAL mode with ``synchronous=FULL``: a committed transaction survives a power cut.
Writers take the write lock at once (``BEGIN IMMEDIATE``), so that two of them wait for each other
instead of failing half-way. Driver errors come out as ours, without the values of a statement.
"""

import logging
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa
from sqlalchemy import event, exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, Connection, Engine, make_url

from crm_pipeline.errors import ConfigurationError, TryLaterError
from crm_pipeline.store.ledger.failures import is_disk_failure, translate
from crm_pipeline.store.ledger.files import require_file, require_ours

#: How long a writer waits for another one.
BUSY_SECONDS = 15
CONNECT_SECONDS = 10
#: Values in one ``IN`` list; SQLite allows 32,766 variables a statement.
KEYS_A_QUERY = 1_000
#: A commit must be on the server's disk, whatever the server's default is.
_DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', false)"
    " WHERE current_setting('synchronous_commit') = 'off'"
)

# At DEBUG SQLAlchemy logs every row of every result: people, and what they bought.
logging.getLogger("sqlalchemy.engine.Engine").addFilter(
    lambda record: record.levelno > logging.DEBUG
)


class Database:
    """One database with a writer and readers. Thread-safe: threads take turns at writing."""

    def __init__(self, url: str, *, busy_seconds: float | None = None) -> None:
        address = _address(url)
        #: The SQLite file, or None when this is Postgres.
        self.path = Path(str(address.database)) if _is_sqlite(address) else None
        self._lock = threading.RLock()
        self._writer, self._reader = _engines(address, self.path, busy_seconds)
        self._driver_errors = (exc.SQLAlchemyError, self._writer.dialect.loaded_dbapi.Error)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is SQLite; else it is Postgres."""
        return self.path is not None

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """Give a transaction that is durable when the block ends without an error."""
        with self._translated(), self._lock, self._writer.begin() as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """Give one consistent view; nothing can be written in it."""
        with self._translated(), self._reader.begin() as connection:
            yield connection

    def upsert(self, table: sa.Table) -> Any:
        """Return an insert of the dialect that knows ``on_conflict_do_update``."""
        return sqlite.insert(table) if self.is_sqlite else postgresql.insert(table)

    def insert_all(
        self,
        connection: Connection,
        table: sa.Table,
        names: Sequence[str],
        rows: Iterable[Sequence[object]],
    ) -> None:
        """Insert many rows by the shortest way: no values are checked or converted.

        ``names`` are the columns of each row. Two to three times as fast as an ordinary insert.
        """
        columns = ", ".join(f'"{name}"' for name in names)
        cursor: Any = connection.connection.cursor()
        if self.is_sqlite:
            marks = ", ".join("?" for _ in names)
            statement = f'INSERT INTO "{table.name}" ({columns}) VALUES ({marks})'  # noqa: S608
            cursor.executemany(statement, rows)
            return
        with cursor.copy(f'COPY "{table.name}" ({columns}) FROM STDIN') as copy:
            for row in rows:
                copy.write_row(row)

    def compact(self) -> bool:
        """Rewrite the file so that nothing deleted is left in it, and empty its log.

        False on Postgres: there it is the operator's (``docs/erasure.md``). Raises TryLaterError
        while another process reads or writes.
        """
        if self.path is None:
            return False
        with self._translated(), self._lock:
            driver: Any = self._writer.raw_connection()
            try:
                driver.execute("PRAGMA secure_delete=ON")
                driver.execute("VACUUM")
                self._empty_log(driver)
            finally:
                driver.close()
        return True

    def empty_log(self) -> bool:
        """Empty SQLite's log now, if nobody is in the way; say whether it is empty."""
        if self.path is None:
            return False
        with self._translated(), self._lock:
            driver: Any = self._writer.raw_connection()
            try:
                return bool(driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0] == 0)
            finally:
                driver.close()

    @staticmethod
    def _empty_log(driver: Any) -> None:
        is_busy, *_ = driver.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if is_busy:
            raise TryLaterError(
                "Another process uses the ledger, so that its log could not be emptied.",
                not_done="What was deleted may still be read in the ledger's log.",
                remedy="Run again when no command runs.",
            )

    def close(self) -> None:
        """Give every connection back."""
        self._writer.dispose()
        self._reader.dispose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._driver_errors as error:
            if is_disk_failure(error):
                self.close()
            raise translate(error) from None


def _address(url: str) -> URL:
    """Return the parsed URL; the driver of Postgres may be left out."""
    try:
        address = make_url(url)
    except exc.ArgumentError:
        raise _not_a_url() from None
    if address.drivername in ("postgresql", "postgres"):
        address = address.set(drivername="postgresql+psycopg")
    if address.drivername == "postgresql+psycopg":
        return address
    if not _is_sqlite(address):
        raise _not_a_url()
    if address.database in (None, "", ":memory:"):
        raise ConfigurationError(
            "The ledger needs a file or a server; memory does not survive a process.",
            remedy="Set CRM_PIPELINE_LEDGER_URL to sqlite:////path/ledger.sqlite3.",
        )
    return address


def _not_a_url() -> ConfigurationError:
    return ConfigurationError(
        "CRM_PIPELINE_LEDGER_URL is not the URL of a SQLite file or a Postgres database.",
        remedy="Use sqlite:////path/ledger.sqlite3 or postgresql+psycopg://user@host/name.",
    )


def _is_sqlite(address: URL) -> bool:
    return address.get_backend_name() == "sqlite"


def _engines(address: URL, path: Path | None, busy_seconds: float | None) -> tuple[Engine, Engine]:
    """Return a writer and a reader."""
    if path is None:
        writer = _postgres_engine(address, busy_seconds)
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        return writer, writer.execution_options(**options)
    reader = _sqlite_engine(path, "BEGIN", busy_seconds)
    event.listen(reader, "connect", _forbid_writing)
    return _sqlite_engine(path, "BEGIN IMMEDIATE", busy_seconds), reader


def _postgres_engine(address: URL, busy_seconds: float | None) -> Engine:
    known = {"connect_timeout": CONNECT_SECONDS} if "connect_timeout" not in address.query else {}
    engine = sa.create_engine(address, hide_parameters=True, pool_pre_ping=True, connect_args=known)

    def prepare(connection: Any, _: object) -> None:
        seconds = BUSY_SECONDS if busy_seconds is None else busy_seconds
        connection.execute(_DURABLE)
        connection.execute(f"SET lock_timeout = {round(seconds * 1_000)}")
        connection.commit()

    event.listen(engine, "connect", prepare)
    return engine


def _sqlite_engine(path: Path, begin: str, busy_seconds: float | None) -> Engine:
    # `mode=rw`: opening never makes a file, see `files`.
    place = f"file:{quote(str(path.absolute()))}?mode=rw"

    def connect() -> sqlite3.Connection:
        require_file(path)
        seconds = BUSY_SECONDS if busy_seconds is None else busy_seconds
        connection = sqlite3.connect(
            place, uri=True, timeout=seconds, isolation_level=None, check_same_thread=False
        )
        try:
            require_ours(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    engine = sa.create_engine(f"sqlite:///{path}", creator=connect, hide_parameters=True)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", lambda connection: connection.exec_driver_sql(begin))
    return engine


def _prepare_sqlite(connection: sqlite3.Connection, _: object) -> None:
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}")


def _forbid_writing(connection: sqlite3.Connection, _: object) -> None:
    connection.execute("PRAGMA query_only=ON")
