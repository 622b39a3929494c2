"""What can be wrong with a lake, said with the table and the way out."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import duckdb
import pyarrow as pa
from deltalake.exceptions import DeltaError

from crm_pipeline.errors import (
    BugError,
    ConfigurationError,
    CrmPipelineError,
    DataError,
    TryLaterError,
)

#: How the library of the storage says that a key, a right or the bucket is missing.
_REFUSED = re.compile(
    r"lacked the necessary (privileges|credentials)|40[13] (Forbidden|Unauthorized)|NoSuchBucket"
)
#: How it says that it holds no such object, and that a call failed for another reason.
_GONE = re.compile(r"NoSuchKey|Object at location .* not found")
_FAILED = re.compile(r"Error performing|Generic \w+ error|HTTP error")


class LakeDamagedError(DataError):
    """A table's file or log is missing, cut or altered; no row of the table was used."""

    code = "lake_damaged"


class LakeBusyError(TryLaterError):
    """Another process changed the same table at the same time."""

    code = "lake_busy"


class LakeUnavailableError(TryLaterError):
    """The storage did not take or give bytes: full, unreachable, out of handles."""

    code = "lake_unavailable"


class LakeRefusedError(ConfigurationError):
    """The storage knows neither key nor bucket, or gives no right to what was asked."""

    code = "lake_refused"


class TableUnknownError(BugError):
    """A table was read that nobody has written."""

    code = "table_unknown"


def damaged(table: str, fault: str) -> LakeDamagedError:
    """Return the error for a damaged table. ``fault`` names the file, never a value in it."""
    return LakeDamagedError(
        f"The table {table} is damaged: {fault}.",
        not_done="Nothing was read from it and nothing was changed.",
        remedy=(
            "Put the table's folder back from a backup; or move it away and run"
            " `crm-pipeline sync --full` for the organisation, which reads everything from the"
            " source again."
        ),
    )


def storage_failure(table: str, error: Exception) -> CrmPipelineError | None:
    """Return our error for what a storage's library raised; None when it is about something else.

    Whether a write that failed was done nobody knows: the next run looks, and adds nothing twice.
    """
    said = str(error)
    if _REFUSED.search(said):
        return LakeRefusedError(
            f"The storage of the lake refused access to the table {table}.",
            not_done="Nothing was read from it and nothing was added.",
            remedy="Look at CRM_PIPELINE_LAKE_URL, the storage's key and its rights, then run"
            " again.",
        )
    if _GONE.search(said):
        return damaged(table, "a file that its log names is missing")
    if _FAILED.search(said) or (isinstance(error, OSError) and error.errno is not None):
        return LakeUnavailableError(
            f"The storage of the lake did not answer as it should for the table {table}.",
            not_done="What was under way is taken up by the next run.",
            remedy="Look whether the storage is up and reached, then run again.",
        )
    return None


@contextmanager
def storage_calls(table: str) -> Iterator[None]:
    """Say in our words what goes wrong in a block that calls the storage's library."""
    try:
        yield
    except (OSError, DeltaError, duckdb.Error, pa.ArrowException) as error:
        ours = storage_failure(table, error)
        if ours is None:
            raise
        raise ours from error
