"""How the events of one claim end, collected until their records are durably landed."""

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass, field

from crm_pipeline.store.ledger import InboxRow
from crm_pipeline.sync.drain.report import DrainReport, DrainRules
from crm_pipeline.sync.workspace import Workspace

#: An event whose source does not answer at all is never set aside for that.
WITHOUT_END = 1_000_000_000


@dataclass(slots=True)
class Outcomes:
    """Numbers by reason, and events to try again by reason and number of tries."""

    done: dict[str, list[int]] = field(default_factory=dict)
    failed: dict[str, list[int]] = field(default_factory=dict)
    later: dict[tuple[str, int], list[InboxRow]] = field(default_factory=dict)
    erased: list[int] = field(default_factory=list)

    def end(self, rows: Iterable[InboxRow], reason: str = "", *, is_failed: bool = False) -> None:
        """Note that some events are done, or cannot be used."""
        ends = self.failed if is_failed else self.done
        ends.setdefault(reason, []).extend(row.number for row in rows)

    def erase(self, rows: Iterable[InboxRow]) -> None:
        """Note that some events told of erased people."""
        self.erased += [row.number for row in rows]

    def retry(self, rows: Iterable[InboxRow], reason: str, attempts: int) -> None:
        """Note that some events are tried again later, ``attempts`` times in all."""
        self.later.setdefault((reason, attempts), []).extend(rows)

    def settle(self, ws: Workspace, rules: DrainRules, report: DrainReport) -> None:
        """Write the ends into the inbox and count them."""
        inbox = ws.ledger.inbox
        for reason, numbers in self.done.items():
            inbox.settle(numbers, "done", reason)
            report.settled += len(numbers)
        for reason, numbers in self.failed.items():
            inbox.settle(numbers, "failed", reason)
            report.failed += len(numbers)
        if self.erased:
            inbox.settle(self.erased, "done", "erased")
            ws.ledger.erasing.forget_events(self.erased)
            report.settled += len(self.erased)
            report.erased += len(self.erased)
        for (reason, attempts), rows in self.later.items():
            self._postpone(ws, rules, report, rows, reason, attempts)

    def _postpone(
        self,
        ws: Workspace,
        rules: DrainRules,
        report: DrainReport,
        rows: list[InboxRow],
        reason: str,
        attempts: int,
    ) -> None:
        by_tries: dict[int, list[int]] = {}
        for row in rows:
            by_tries.setdefault(row.attempts, []).append(row.number)
        for tries, numbers in by_tries.items():
            until = ws.clock() + dt.timedelta(seconds=rules.wait_seconds(tries))
            parked = ws.ledger.inbox.postpone(numbers, until, reason, max_attempts=attempts)
            report.failed += parked
            report.postponed += len(numbers) - parked
