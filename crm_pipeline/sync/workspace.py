"""What every use case works with, passed in as one value."""

from dataclasses import dataclass, field
from pathlib import Path

from crm_pipeline.core.ports import Clock, ReportProgress
from crm_pipeline.core.records import Progress, Waits
from crm_pipeline.store.keyfile import KeyFile
from crm_pipeline.store.lake import Lake
from crm_pipeline.store.ledger import Ledger


def no_progress(_progress: Progress) -> None:
    """Report to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Ledger, lake, clock and waits of one process. Threads may share it.

    ``tombstone_key`` tells erased people apart, ``receipts`` is where proofs of erasures are
    kept; without them nobody can be erased.
    """

    ledger: Ledger
    lake: Lake
    clock: Clock
    report_progress: ReportProgress = no_progress
    waits: Waits = field(default_factory=Waits)
    tombstone_key: KeyFile | None = None
    receipts: Path | None = None
