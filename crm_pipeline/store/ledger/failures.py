"""What went wrong in the ledger's database, in our words.

Here: which failure of a driver is damage, set-up, bad luck or a bug. Not here: recovery. Messages
carry the driver's code only: its own text may quote the values of a row, which are people's.
"""

from crm_pipeline.errors import (
    BugError,
    ConfigurationError,
    CrmPipelineError,
    LedgerDamagedError,
    TryLaterError,
)

MIGRATE = "Run `crm-pipeline ledger migrate`."
RESTORE = "Restore it from a backup; it is never replaced by an empty one."
#: SQLite's own codes, by their beginning. Source: sqlite.org/rescode.html.
_SQLITE_DAMAGE = ("SQLITE_CORRUPT", "SQLITE_NOTADB", "SQLITE_FORMAT")
_SQLITE_ACCESS = ("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM", "SQLITE_AUTH")
_SQLITE_LATER = ("SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_NOMEM")
#: Postgres' SQLSTATEs, by their beginning. Source: the PostgreSQL manual, appendix A.
_POSTGRES_DAMAGE = ("XX001", "XX002")
_POSTGRES_ACCESS = ("28", "3D", "42501")
_POSTGRES_LATER = ("08", "25006", "40", "53", "55", "57", "58")
#: libpq gives no SQLSTATE when a connection cannot be made; only its words tell why.
_REFUSED = ("authentication failed", "does not exist", "no password supplied", "no pg_hba.conf")
_NO_TABLE = ("42P01", "3F000")


def is_disk_failure(error: BaseException) -> bool:
    """Whether a disk failed to take or give bytes: the file has to be opened anew (S01)."""
    return _code(_original(error)).startswith("SQLITE_IOERR")


def translate(error: BaseException) -> CrmPipelineError:
    """Return our error for a driver's or SQLAlchemy's."""
    original = _original(error)
    code = _code(original)
    shown = code or type(original).__name__
    if code.startswith((*_SQLITE_DAMAGE, *_POSTGRES_DAMAGE)):
        return damaged(f"is damaged ({shown})")
    if code in _NO_TABLE or "no such table" in str(original):
        return not_migrated()
    if code.startswith((*_SQLITE_ACCESS, *_POSTGRES_ACCESS)) or _is_refused(original, code):
        return ConfigurationError(
            f"The ledger's database cannot be opened for writing ({shown}).",
            not_done="Nothing was read or written.",
            remedy="Check CRM_PIPELINE_LEDGER_URL, its password and the file's owner and mode.",
        )
    if code.startswith((*_SQLITE_LATER, *_POSTGRES_LATER)) or _is_lost(original, code):
        return TryLaterError(
            f"The ledger's database did not do what was asked ({shown}).",
            not_done="The last transaction may not have been committed.",
            remedy="Look at its disk, its load and the way to it, then run again.",
        )
    return BugError(
        f"The ledger's database refused a statement ({shown}).",
        not_done="The transaction was not committed.",
        remedy="Report this with the command that was run.",
    )


def damaged(what: str) -> LedgerDamagedError:
    """Return the error for a ledger that is not one: ``what`` completes "The ledger ..."."""
    return LedgerDamagedError(
        f"The ledger {what}.", not_done="Nothing was read from it or written to it.", remedy=RESTORE
    )


def not_migrated() -> ConfigurationError:
    """Return the error for a ledger without tables, or with those of an older version."""
    return ConfigurationError(
        "The ledger's tables are not there, or not up to date.",
        not_done="Nothing was done.",
        remedy=MIGRATE,
    )


def _original(error: BaseException) -> BaseException:
    return getattr(error, "orig", None) or error


def _code(error: BaseException) -> str:
    return getattr(error, "sqlite_errorname", None) or getattr(error, "sqlstate", None) or ""


def _is_refused(error: BaseException, code: str) -> bool:
    return not code and any(word in str(error) for word in _REFUSED)


def _is_lost(error: BaseException, code: str) -> bool:
    """No code, and yet not a statement's fault: the connection broke, or none was free."""
    return not code and type(error).__name__ in ("OperationalError", "TimeoutError")
