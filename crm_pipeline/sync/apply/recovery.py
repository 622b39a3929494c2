"""What became of the writes that a killed process left behind?

Their intents are in the ledger, their receipts are not. Each is read back from the CRM: what is
there is recorded as applied, what is not becomes pending again. What cannot be told now stays
unknown, and its object is left alone. Nothing is sent here.
"""

import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence

from crm_pipeline.core.ports import DestinationApi
from crm_pipeline.core.records import Change, WriteResult
from crm_pipeline.errors import DataError, TryLaterError
from crm_pipeline.store.ledger import OutboxRow
from crm_pipeline.sync.apply.ledgering import Ledgering
from crm_pipeline.sync.apply.outcomes import is_there
from crm_pipeline.sync.binding import DestinationBinding
from crm_pipeline.sync.plan import find_changes
from crm_pipeline.sync.workspace import Workspace


def recover(
    ws: Workspace,
    books: Ledgering,
    binding: DestinationBinding,
    api: DestinationApi,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Settle every write without a receipt by reading it back; return how many there were.

    Waits until the settle time after the newest intent is over, because a CRM may show its own
    write late (``FAULTS.md`` D04).
    """
    rows = ws.ledger.outbox.unfinished(books.organisation, binding.spec.name)
    if not rows:
        return 0
    _wait_until_settled(ws, rows, sleep)
    for digest, changes in _by_plan(ws, books.organisation, binding, rows).items():
        for change in changes:
            _pay(ws, binding, sleep)
            try:
                remote = api.find(change.object_kind, change.key, change.crm_id)
            except (TryLaterError, DataError):
                continue  # it stays unknown: whether it was done is not to be had now
            if remote is not None and is_there(binding.spec, change, remote):
                found = WriteResult(status="acked", crm_id=remote.crm_id, reason="found")
                books.settle(digest, change, found, attempts=1)
            else:
                books.release(digest, [change])
    books.flush()
    return len(rows)


def _wait_until_settled(
    ws: Workspace, rows: Sequence[OutboxRow], sleep: Callable[[float], None]
) -> None:
    newest = max(row.intent_at for row in rows)
    rest = newest + dt.timedelta(seconds=ws.waits.settle_seconds) - ws.clock()
    if rest > dt.timedelta():
        sleep(min(rest.total_seconds(), ws.waits.settle_seconds))


def _by_plan(
    ws: Workspace, organisation: str, binding: DestinationBinding, rows: Sequence[OutboxRow]
) -> Mapping[str, list[Change]]:
    keys: dict[str, list[str]] = {}
    for row in rows:
        keys.setdefault(row.plan_digest, []).append(row.key)
    return {
        digest: list(find_changes(ws, organisation, binding.spec.name, digest, wanted))
        for digest, wanted in keys.items()
    }


def _pay(ws: Workspace, binding: DestinationBinding, sleep: Callable[[float], None]) -> None:
    rate = binding.plan.limits.calls_per_second
    seconds = ws.ledger.budgets.lease(binding.account, 1, rate)
    if seconds > 0:
        sleep(seconds)
