"""The group commit: many webhooks, one durable transaction, then all their answers.

One thread writes. While it waits for the disk, requests queue up behind it, and the next
transaction takes them all: under load a commit serves many, without load one costs no wait.
"""

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from crm_pipeline.errors import BugError, CrmPipelineError
from crm_pipeline.store.ledger import Appended, Received
from crm_pipeline.webhooks.refusals import Refused

Append = Callable[[Sequence[Received]], Sequence[Appended]]
#: Called after each commit with the number of events and, when it failed, the error.
ReportCommit = Callable[[int, CrmPipelineError | None], None]

_GROUP = 256


@dataclass(frozen=True, slots=True)
class _Waiting:
    received: Received
    stored: "asyncio.Future[Appended]"


class Committer:
    """Stores events for the tasks of one event loop.

    ``max_waiting`` is how many may wait for the disk; ``patience_seconds`` how long one of them.
    """

    def __init__(
        self,
        append: Append,
        report: ReportCommit,
        *,
        max_waiting: int = 2_000,
        patience_seconds: float = 2.0,
    ) -> None:
        self._append = append
        self._report = report
        self._max_waiting = max_waiting
        self._patience_seconds = patience_seconds
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write; called inside the event loop."""
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._run, name="inbox writer", daemon=True)
        self._thread.start()

    async def store(self, received: Received) -> Appended:
        """Return once the event is on the disk.

        Raises Refused (503) when it is not, or not in time; it may be stored later all the same,
        which a repeated delivery does not mind.
        """
        loop = self._loop
        if loop is None:
            raise Refused(503, "stopping")
        if self._queue.qsize() >= self._max_waiting:
            raise Refused(503, "overloaded")
        stored: asyncio.Future[Appended] = loop.create_future()
        self._queue.put(_Waiting(received, stored))
        try:
            async with asyncio.timeout(self._patience_seconds):
                return await stored
        except TimeoutError:
            raise Refused(503, "not_stored", "time") from None

    async def stop(self) -> None:
        """Write what waits, then end. Whoever comes later is refused."""
        thread, self._loop = self._thread, None
        if thread is not None:
            self._queue.put(None)
            await asyncio.to_thread(thread.join)

    def _run(self) -> None:
        loop = self._loop
        if loop is None:
            return
        is_going_on = True
        while is_going_on:
            group, is_going_on = self._next_group()
            if group:
                answers = self._commit([each.received for each in group])
                loop.call_soon_threadsafe(_answer, group, answers)

    def _next_group(self) -> tuple[list[_Waiting], bool]:
        """Return what waits, at least one, and whether more may come."""
        item = self._queue.get()
        group: list[_Waiting] = []
        while item is not None:
            group.append(item)
            if len(group) == _GROUP:
                return group, True
            try:
                item = self._queue.get_nowait()
            except queue.Empty:
                return group, True
        return group, False

    def _commit(self, rows: Sequence[Received]) -> Sequence[Appended | Refused]:
        try:
            answers = self._append(rows)
        except CrmPipelineError as error:
            if isinstance(error, BugError) and len(rows) > 1:
                # One row that the database does not take must not keep the others out.
                return [answer for row in rows for answer in self._commit([row])]
            self._report(len(rows), error)
            return [Refused(503, "not_stored", error.code)] * len(rows)
        except Exception as error:  # noqa: BLE001 - the writer must live: without it nothing is taken
            self._report(len(rows), BugError(f"The inbox broke ({type(error).__name__})."))
            return [Refused(503, "bug", type(error).__name__)] * len(rows)
        self._report(len(rows), None)
        return answers


def _answer(group: Sequence[_Waiting], answers: Sequence[Appended | Refused]) -> None:
    for waiting, answer in zip(group, answers, strict=True):
        if waiting.stored.done():
            continue  # it lost patience
        if isinstance(answer, Refused):
            waiting.stored.set_exception(answer)
        else:
            waiting.stored.set_result(answer)
