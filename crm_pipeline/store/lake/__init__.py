"""The lake: one Delta table for each organisation and dataset, read with DuckDB.

Here: files, commits, damage, sets of rows. Not here: single-row state (``store.ledger``) and what
a table's columns mean (``sync``). The only place that knows Delta and DuckDB.
"""

from crm_pipeline.store.lake.erasing import Eraser, RowsToErase
from crm_pipeline.store.lake.failures import (
    LakeBusyError,
    LakeDamagedError,
    LakeRefusedError,
    LakeUnavailableError,
)
from crm_pipeline.store.lake.lake import Lake
from crm_pipeline.store.lake.session import VERSION_RANK, LakeSession

__all__ = [
    "VERSION_RANK",
    "Eraser",
    "Lake",
    "LakeBusyError",
    "LakeDamagedError",
    "LakeRefusedError",
    "LakeSession",
    "LakeUnavailableError",
    "RowsToErase",
]
