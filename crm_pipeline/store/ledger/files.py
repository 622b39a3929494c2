"""The ledger's SQLite file: made whole or not at all, private, and never taken for another.

A new file gets its header beside its place and is then renamed, so an empty or foreign file in
that place is always an error: it is reported, never filled (``FAULTS.md`` S03, S11, I16).
"""

import errno
import fcntl
import os
import sqlite3
import stat
from contextlib import closing, suppress
from pathlib import Path

from crm_pipeline.errors import ConfigurationError, CrmPipelineError, TryLaterError
from crm_pipeline.store.ledger.failures import damaged, not_migrated, translate

FILE_MODE = 0o600
FOLDER_MODE = 0o700
#: "CRMP". Changing it makes every existing ledger a foreign file.
_OURS = 0x43524D50
_SHORT_OF = (
    errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN,
)  # fmt: skip


def require_file(path: Path) -> None:
    """Check that a ledger can be at ``path``, and make it private. The file is never opened.

    POSIX takes every lock of a process away when it closes any of its handles on a file, SQLite's
    locks included, and two writers without locks destroy it (sqlite.org/howtocorrupt.html, 2.2).
    What is inside is checked by ``require_ours``, through SQLite.

    Raises ConfigurationError when there is none or it is not ours to use, LedgerDamagedError when
    there is something else.
    """
    try:
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise damaged("is not a plain file but a folder, a link or a device")
        if found.st_size == 0:
            raise damaged("is not a SQLite database: its file is empty")
        _tighten(path)
    except FileNotFoundError:
        raise not_migrated() from None
    except OSError as error:
        raise unusable(error) from error


def require_ours(connection: sqlite3.Connection) -> None:
    """Raise LedgerDamagedError when the open file is another program's database, or none."""
    try:
        (owner,) = connection.execute("PRAGMA application_id").fetchone()
        connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    except sqlite3.Error as error:
        raise translate(error) from None
    if owner != _OURS:
        raise damaged("is another program's SQLite database")


def make_file(path: Path) -> None:
    """Make an empty ledger at ``path``, unless something is there. Processes take turns."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=FOLDER_MODE)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            if not os.path.lexists(path):
                _make_draft(path).rename(path)
                os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise unusable(error) from error
    except sqlite3.Error as error:
        raise translate(error) from None


def unusable(error: OSError) -> CrmPipelineError:
    """Return the error for a place that the system does not let us use, now or ever."""
    if error.errno in _SHORT_OF:
        return TryLaterError(
            f"The ledger's file cannot be used now ({errno.errorcode[error.errno]}).",
            not_done="Nothing was read or written.",
            remedy="Make room on its disk, or allow more open files, then run again.",
        )
    return ConfigurationError(
        f"The ledger's file cannot be used ({type(error).__name__}).",
        not_done="Nothing was read or written.",
        remedy="Set CRM_PIPELINE_HOME or CRM_PIPELINE_LEDGER_URL to a folder that you own.",
    )


def _make_draft(path: Path) -> Path:
    """Return a whole SQLite file without tables. The caller holds the folder's lock."""
    draft = path.with_name(f".{path.name}.new")
    draft.unlink(missing_ok=True)
    file = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_RDWR, FILE_MODE)
    os.fchmod(file, FILE_MODE)  # whatever the umask took away
    os.close(file)
    with closing(sqlite3.connect(draft)) as connection:
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute(f"PRAGMA application_id={_OURS}")
    return draft


def _tighten(path: Path) -> None:
    for ending in ("", "-wal", "-shm"):
        with suppress(FileNotFoundError):
            file = path.with_name(path.name + ending)
            if file.lstat().st_mode & 0o077:
                file.chmod(FILE_MODE)
