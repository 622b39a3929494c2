"""What can be wrong with a lake, said with the table and the way out."""

from crm_pipeline.errors import BugError, DataError, TryLaterError


class LakeDamagedError(DataError):
    """A table's file or log is missing, cut or altered; no row of the table was used."""

    code = "lake_damaged"


class LakeBusyError(TryLaterError):
    """Another process changed the same table at the same time."""

    code = "lake_busy"


class LakeUnavailableError(TryLaterError):
    """The storage did not take or give bytes: full, unreachable, out of handles."""

    code = "lake_unavailable"


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
