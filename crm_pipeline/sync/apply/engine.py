"""The engine: sends a plan's changes, several at a time, inside the destination's call budget.

One thread keeps the books and decides; a pool of threads does the calls. A change whose outcome is
unknown is read back before it is tried again; one that surely did not happen is tried again after
a pause; one bad record never stops the others.
"""

import contextlib
import heapq
import itertools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace

from crm_pipeline.core.ports import DestinationApi
from crm_pipeline.core.records import Change, PlanHeader, Progress, WriteResult
from crm_pipeline.errors import ConfigurationError, TryLaterError
from crm_pipeline.sync.apply.ledgering import SECOND_CHANCE, Ledgering
from crm_pipeline.sync.apply.outcomes import is_there, needing_calls, second_chance
from crm_pipeline.sync.binding import DestinationBinding
from crm_pipeline.sync.erase.checking import erased_of
from crm_pipeline.sync.plan import iter_changes
from crm_pipeline.sync.workspace import Workspace

#: Changes written down together before they are sent; a tenth of a second's worth of calls.
CHUNK_SECONDS = 0.1
LARGEST_CHUNK = 64
#: This many failed tries in a row, for each thread, and the destination counts as down.
FAILURES_PER_THREAD = 3
LANES = (0, 1)
#: The engine looks up this often during its lease, so that a long call does not outlive it.
LOOKS_A_LEASE = 4


@dataclass(order=True, slots=True)
class _Task:
    """Changes that travel together: when they may go, how often tried, whether to look first.

    A look-up is about one change.
    """

    due: float
    place: int
    changes: list[Change] = field(compare=False)
    attempt: int = field(compare=False, default=1)
    is_look_up: bool = field(compare=False, default=False)


class Engine:
    """Sends one plan once. ``unfinished`` counts changes that could neither be done nor refused."""

    def __init__(
        self,
        ws: Workspace,
        books: Ledgering,
        binding: DestinationBinding,
        api: DestinationApi,
        header: PlanHeader,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.calls = 0
        self.seconds = 0.0
        self.unfinished = 0
        self.trouble = ""
        self._ws = ws
        self._books = books
        self._binding = binding
        self._api = api
        self._header = header
        self._kind = binding.spec.kind(header.object_kind)
        self._digest = header.digest
        # An erasure that begins from now on comes to the CRM after us.
        self._erased = erased_of(ws, header.organisation)
        self._monotonic = monotonic
        self._sleep = sleep
        self._chance = chance
        self._limits = binding.plan.limits
        self._places = itertools.count()
        self._unknown = {
            row.key
            for row in ws.ledger.outbox.unfinished(header.organisation, header.destination)
            if row.object_kind == header.object_kind
        }
        self._refused: list[Change] = []
        self._waiting: list[_Task] = []
        self._running: dict[Future[Sequence[WriteResult]], _Task] = {}
        self._failures = 0
        self._renewed = monotonic()
        self._not_before = 0.0

    def run(self) -> None:
        """Send every change that has no outcome yet. Opt-outs and freed media go first.

        A medium that the CRM refused because another contact had it is tried once more at the
        end: that contact may have been ours, and may have given it up by then.
        """
        started = self._monotonic()
        with ThreadPoolExecutor(self._limits.concurrency, "apply") as pool:
            try:
                for lane in LANES:
                    self._run_lane(pool, iter_changes(self._ws, self._header, lane=lane))
                again, self._refused = self._refused, []
                self._run_lane(pool, iter(again))
            finally:
                self._abandon()
                self.seconds = self._monotonic() - started

    def _run_lane(self, pool: ThreadPoolExecutor, changes: Iterator[Change]) -> None:
        chunks = self._chunks(changes)
        has_more = True
        while has_more or self._running or self._waiting:
            if self._is_down():
                self._give_up_waiting()
                has_more = False
            self._send_due(pool)
            if has_more and len(self._running) < self._limits.concurrency:
                chunk = next(chunks, None)
                has_more = chunk is not None
                if chunk:
                    self._send_new(pool, chunk)
                continue
            self._collect()
        self._books.flush()

    def _chunks(self, changes: Iterator[Change]) -> Iterator[list[Change]]:
        calls = min(LARGEST_CHUNK, max(1, int(self._limits.calls_per_second * CHUNK_SECONDS)))
        size = max(calls, self._kind.batch_size)
        while chunk := list(itertools.islice(changes, size)):
            yield chunk

    def _send_new(self, pool: ThreadPoolExecutor, chunk: list[Change]) -> None:
        is_again = chunk[0].reason == SECOND_CHANCE
        fresh = chunk
        if not is_again:
            free = [change for change in chunk if change.key not in self._unknown]
            self._note_unknown(len(chunk) - len(free))
            fresh = needing_calls(
                self._ws, self._books, self._header, self._kind, free, self._erased
            )
        if not fresh:
            return
        self._books.begin(self._digest, fresh)
        width = self._kind.batch_size
        groups = [fresh[start : start + width] for start in range(0, len(fresh), width)]
        self._pay(len(groups))
        for group in groups:
            task = _Task(due=0.0, place=next(self._places), changes=group)
            self._running[pool.submit(self._try, task)] = task

    def _note_unknown(self, count: int) -> None:
        """Leave changes alone whose object has an earlier write that nobody can tell about yet."""
        if count:
            self.unfinished += count
            self.trouble = "outcome_unknown"

    def _send_due(self, pool: ThreadPoolExecutor) -> None:
        now = self._monotonic()
        while self._waiting and self._waiting[0].due <= now:
            task = heapq.heappop(self._waiting)
            self._pay(1)
            self._running[pool.submit(self._try, task)] = task

    def _pay(self, calls: int) -> None:
        """Take calls from the budget that all processes share, and wait until they may go."""
        rate = self._limits.calls_per_second
        seconds = self._ws.ledger.budgets.lease(self._binding.account, calls, rate)
        pause = max(seconds, self._not_before - self._monotonic())
        if pause > 0:
            self._books.flush_if_due()
            self._sleep(pause)

    def _try(self, task: _Task) -> Sequence[WriteResult]:
        """Run in the pool: one look-up or one write."""
        if task.is_look_up:
            (change,) = task.changes
            remote = self._api.find(change.object_kind, change.key, change.crm_id)
            if remote is not None and is_there(self._binding.spec, change, remote):
                return [WriteResult(status="acked", crm_id=remote.crm_id, reason="found")]
            if task.attempt >= self._ws.waits.attempts:
                return [WriteResult(status="retry", reason="not_there")]
        return self._api.write(task.changes)

    def _collect(self) -> None:
        timeout = self._until_next_due()
        longest = self._ws.waits.lease_seconds / LOOKS_A_LEASE
        timeout = longest if timeout is None else min(timeout, longest)
        if not self._running:
            if timeout:
                self._books.flush()
                self._sleep(timeout)
            return
        done, _ = wait(self._running, timeout=timeout, return_when=FIRST_COMPLETED)
        for future in done:
            self._settle(self._running[future], future)
            del self._running[future]
        self._books.flush_if_due()
        self._renew_lease()
        self._report()

    def _settle(self, task: _Task, future: "Future[Sequence[WriteResult]]") -> None:
        try:
            results = self._results(task, future)
        except ConfigurationError:
            self._books.release(self._digest, task.changes)
            raise
        calls = sum(result.calls for result in results)
        self.calls += calls
        if calls > 1:
            rate = self._limits.calls_per_second
            self._ws.ledger.budgets.lease(self._binding.account, calls - 1, rate)
        # One failed call is one failure, however many changes went with it.
        has_failed = any(result.status in ("retry", "unknown") for result in results)
        self._failures = self._failures + 1 if has_failed else 0
        if all(result.status == "retry" for result in results):
            self._postpone(task, results[0])
            return
        for change, result in zip(task.changes, results, strict=True):
            self._settle_one(task, change, result)

    def _settle_one(self, task: _Task, change: Change, result: WriteResult) -> None:
        if result.status in ("acked", "rejected"):
            self._books.settle(self._digest, change, result, attempts=task.attempt)
            if second := second_chance(change, result):
                self._refused.append(second)
            return
        if result.status == "unknown":
            self._books.mark_unknown(self._digest, change, result, attempts=task.attempt)
        self._postpone(replace(task, changes=[change]), result)

    def _results(
        self, task: _Task, future: "Future[Sequence[WriteResult]]"
    ) -> Sequence[WriteResult]:
        try:
            return future.result()
        except ConfigurationError:
            raise
        except TryLaterError as error:
            reason = error.code
        except Exception as error:  # noqa: BLE001  one bad record must not stop the others
            reason = f"unexpected_{type(error).__name__}"
        return [WriteResult(status="unknown", reason=reason, calls=1) for _ in task.changes]

    def _postpone(self, task: _Task, result: WriteResult) -> None:
        self.trouble = result.reason or result.status
        if task.attempt >= self._ws.waits.attempts:
            self._leave(task, result)
            return
        waits = self._ws.waits
        ceiling = min(waits.retry_max_seconds, waits.retry_base_seconds * 2**task.attempt)
        pause = ceiling * self._chance()
        if result.retry_after_seconds is not None:
            pause = min(result.retry_after_seconds, waits.retry_max_seconds)
            self._not_before = max(self._not_before, self._monotonic() + pause)
        is_unknown = result.status == "unknown" or task.is_look_up
        if is_unknown:
            pause = max(pause, waits.settle_seconds)
        heapq.heappush(
            self._waiting,
            _Task(
                due=self._monotonic() + pause,
                place=next(self._places),
                changes=task.changes,
                attempt=task.attempt + 1,
                is_look_up=is_unknown,
            ),
        )

    def _leave(self, task: _Task, result: WriteResult) -> None:
        """Give changes up for this run: unknown stays unknown, unsent becomes pending again."""
        self.unfinished += len(task.changes)
        if result.status == "retry":
            self._books.release(self._digest, task.changes)

    def _is_down(self) -> bool:
        return self._failures >= FAILURES_PER_THREAD * self._limits.concurrency

    def _give_up_waiting(self) -> None:
        for task in self._waiting:
            self.unfinished += len(task.changes)
            if not task.is_look_up:
                self._books.release(self._digest, task.changes)
        self._waiting.clear()
        self.unfinished = max(self.unfinished, 1)

    def _abandon(self) -> None:
        """Record what is known when the run ends early; calls that have left are waited for."""
        running, self._running = self._running, {}
        for future, task in running.items():
            if future.cancel():
                self._books.release(self._digest, task.changes)
        for future, task in running.items():
            if not future.cancelled():
                with contextlib.suppress(ConfigurationError):
                    self._settle(task, future)
        unsent = (task.changes for task in self._waiting if not task.is_look_up)
        self._books.release(self._digest, [change for some in unsent for change in some])
        self._waiting.clear()
        self._books.flush()

    def _until_next_due(self) -> float | None:
        if not self._waiting:
            return None if self._running else 0.0
        return max(0.0, self._waiting[0].due - self._monotonic())

    def _renew_lease(self) -> None:
        if self._monotonic() - self._renewed > self._ws.waits.lease_seconds / 3:
            self._books.renew_lease()
            self._renewed = self._monotonic()

    def _report(self) -> None:
        self._ws.report_progress(
            Progress(
                stage="apply",
                done=self._books.settled,
                total=self._header.size,
                unit="changes",
                notes=dict(self._books.reject_reasons),
            )
        )
