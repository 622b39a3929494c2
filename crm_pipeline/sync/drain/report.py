"""How much one drain does, and what it did."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from crm_pipeline.errors import CrmPipelineError
from crm_pipeline.sync.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class DrainRules:
    """How much one drain does at most, and how long it tries.

    ``attempts`` is how often a record that is not there is asked for before its event is set
    aside, ``trouble_attempts`` how often one whose answer is lost each time. The first wait is
    doubled with every try.
    """

    claim_rows: int = 500
    max_events: int = 20_000
    max_reads: int = 500
    attempts: int = 8
    trouble_attempts: int = 32
    first_wait_seconds: float = 5.0
    longest_wait_seconds: float = 3_600.0

    def wait_seconds(self, attempts: int) -> float:
        """Return how long an event waits after so many tries before this one.

        >>> [DrainRules().wait_seconds(tries) for tries in (0, 1, 2, 30)]
        [5.0, 10.0, 20.0, 3600.0]
        """
        return min(self.longest_wait_seconds, self.first_wait_seconds * 2.0 ** min(attempts, 40))


@dataclass(slots=True, kw_only=True)
class DrainReport:
    """What one drain did. ``landed`` counts rows, ``reads`` calls, the others events.

    ``settled`` are done with (landed, known already, or not wanted), ``postponed`` wait for a
    later try, ``failed`` are set aside as rejects, ``erased`` told of erased people: nothing of
    them is kept. ``pulls`` names the sources that have to be
    pulled, with the numbers of the events that wait for it (see ``settle_pulled``).
    ``is_complete`` is false when more can be drained at once. ``errors`` tells of sources that did
    not answer.
    """

    landed: int = 0
    settled: int = 0
    postponed: int = 0
    failed: int = 0
    reads: int = 0
    erased: int = 0
    is_complete: bool = True
    pulls: dict[str, list[int]] = field(default_factory=dict)
    errors: list[CrmPipelineError] = field(default_factory=list)


def settle_pulled(ws: Workspace, report: DrainReport, sources: Iterable[str]) -> None:
    """Settle the events that waited for a pull of some sources, each complete by now."""
    for source in sources:
        numbers = report.pulls.pop(source, [])
        if numbers:
            ws.ledger.inbox.settle(numbers, "done")
            report.settled += len(numbers)
