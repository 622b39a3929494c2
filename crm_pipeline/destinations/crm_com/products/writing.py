"""Many products in one call, each with an outcome of its own.

A synchronisation is an upsert by SKU: sending it again changes nothing. So a call whose answer was
lost is simply tried again; only a process that was started and is not over stays unknown. A call
that CRM.COM refuses as a whole is halved until the product that it does not like is alone.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from crm_pipeline.core.records import Change, RemoteObject, Waits, WriteResult
from crm_pipeline.destinations.crm_com.assumptions import (
    HAS_PROCESS_STATUS,
    PROCESS_ID_MEMBERS,
    PRODUCTS_PATH,
)
from crm_pipeline.destinations.crm_com.attempts import INVALID_VALUE, acked, rejected
from crm_pipeline.destinations.crm_com.calls import OLDEST_FIRST, Calls, Tally
from crm_pipeline.destinations.crm_com.problems import Problem, read_problem, shown_name
from crm_pipeline.destinations.crm_com.products.fields import sku_of
from crm_pipeline.destinations.crm_com.products.processes import (
    Follower,
    Patience,
    Process,
    looks_as_sent,
)
from crm_pipeline.destinations.crm_com.products.wire import Body, product_body, read_product
from crm_pipeline.destinations.crm_com.values import as_object, as_text
from crm_pipeline.errors import (
    AnswerLostError,
    MalformedAnswerError,
    SourceUnstableError,
    ThrottledError,
    UnreachableError,
)
from crm_pipeline.http import Answer, Seams

PROCESS_RUNNING = "process_running"
NOT_TAKEN_OVER = "not_taken_over"
OUT_OF_TIME = "out_of_time"

_NOT_SHOWN = "CRM.COM took the call and does not show the product as it was sent."

#: Looks at products that a process which is over does not account for; lists may lag behind.
_LOOKS_AFTER_THE_END = 3

#: So many refused products are looked for by halving all the rest together, which is the fewest
#: calls while few are bad; beyond it each half goes its own way, which is fewer when many are.
_FEW_BAD = 3

_FAILURES = (
    ThrottledError,
    UnreachableError,
    AnswerLostError,
    MalformedAnswerError,
    SourceUnstableError,
)


class Products:
    """One organisation's products. Thread-safe: all state of a call is in its ``_Batch``."""

    def __init__(
        self,
        calls: Calls,
        *,
        waits: Waits,
        seams: Seams,
        has_status: bool = HAS_PROCESS_STATUS,
    ) -> None:
        self._calls = calls
        self._follower = Follower(calls)
        self._waits = waits
        self._seams = seams
        self._has_status = has_status

    def write(self, changes: Sequence[Change]) -> Sequence[WriteResult]:
        """Send all products; one result each, all calls on the first."""
        patience = Patience(self._waits, self._seams)
        batch = _Batch(self._calls, self._follower, patience, has_status=self._has_status)
        results = batch.send(changes)
        first, *others = (replace(results[change.key], calls=0) for change in changes)
        return [replace(first, calls=batch.tally.calls), *others]

    def find(self, key: str, crm_id: str | None) -> RemoteObject | None:
        """Read a product by the SKU in its key; ``crm_id`` is the SKU as well."""
        sku = sku_of(crm_id or key)
        for page in self._calls.products_with([sku], Tally()):
            for product in map(read_product, page):
                if product is not None and product.crm_id == sku:
                    return product
        return None

    def read_all(self) -> Iterator[Sequence[RemoteObject]]:
        """Read every product, oldest first."""
        for content in self._calls.pages(PRODUCTS_PATH, OLDEST_FIRST):
            yield [product for product in map(read_product, content) if product is not None]


class _Batch:
    """One ``write``: the calls it takes, and how each product ended, by key."""

    def __init__(
        self, calls: Calls, follower: Follower, patience: Patience, *, has_status: bool
    ) -> None:
        self.tally = Tally()
        self._calls = calls
        self._follower = follower
        self._patience = patience
        self._has_status = has_status
        self._bodies: dict[str, Body] = {}
        self._results: dict[str, WriteResult] = {}
        self._stop: WriteResult | None = None

    def send(self, changes: Sequence[Change]) -> Mapping[str, WriteResult]:
        """Send what can be written down, in one call or, when that is refused, in several."""
        waiting = [[change for change in changes if self._has_body(change)]]
        rounds = 0
        while waiting and self._stop is None:
            some = waiting.pop()
            if not some or self._post(some) is None:
                continue
            rounds += 1
            waiting.extend(self._narrow(some))
            if rounds <= _FEW_BAD:
                waiting = [[change for part in waiting for change in part]]
        if self._stop is not None:
            self._end_all(changes, self._stop)
        return self._results

    def _has_body(self, change: Change) -> bool:
        try:
            body = product_body(sku_of(change.key), change.after, change.changed)
        except ValueError:
            self._end(change, rejected(INVALID_VALUE, "A number of the product is unreadable."))
            return False
        self._bodies[change.key] = body
        return True

    def _narrow(self, some: Sequence[Change]) -> list[list[Change]]:
        """Settle the product that a refused call was refused for; return what is still to be sent.

        A half that is taken leaves the bad one in the other half, which need not be sent whole.
        The last one is sent alone: a call may also be refused for its size.
        """
        others: list[list[Change]] = []
        rest = list(some)
        while len(rest) > 1 and self._stop is None:
            left, right = rest[: len(rest) // 2], rest[len(rest) // 2 :]
            if self._post(left) is None:
                rest = right
            else:
                others.append(right)
                rest = left
        if self._stop is None and rest[0].key not in self._results:
            self._post(rest)
        return others

    def _post(self, some: Sequence[Change]) -> Problem | None:
        """Send products and follow them; return why the call was refused, None if it was not.

        One that is refused alone is rejected. Trouble with the call ends the whole ``write``:
        what has no outcome by then is tried again.
        """
        if self._patience.is_over:
            self._stop = WriteResult(status="retry", reason=OUT_OF_TIME)
            return None
        try:
            answer = self._calls.synchronise([self._bodies[each.key] for each in some], self.tally)
        except _FAILURES as error:
            self._stop = WriteResult(
                status="retry",
                reason=error.code,
                detail=error.happened,
                retry_after_seconds=getattr(error, "retry_after_seconds", None),
            )
            return None
        if answer.is_success:
            self._follow(some, answer)
            return None
        problem = read_problem(answer)
        if len(some) == 1:
            self._end(some[0], rejected(INVALID_VALUE, problem.named_detail))
        return problem

    # -- what became of it -------------------------------------------------------------------------

    def _follow(self, some: Sequence[Change], answer: Answer) -> None:
        try:
            process_id = _process_id(answer) if self._has_status else None
            if process_id is None:
                self._read_back(some, self._patience.pauses())
            else:
                self._ask(some, process_id)
        except _FAILURES as error:
            self._end_all(
                some, WriteResult(status="unknown", reason=error.code, detail=error.happened)
            )

    def _ask(self, some: Sequence[Change], process_id: str) -> None:
        """Ask until the process is over; when nobody tells, read back."""
        for _ in itertools.chain([None], self._patience.pauses()):
            process = self._follower.ask(process_id, len(some), self.tally)
            if process is None:
                self._read_back(some, self._patience.pauses())
                return
            if process.is_over:
                self._told(some, process)
                return
        still_running = WriteResult(
            status="unknown", reason=PROCESS_RUNNING, detail="CRM.COM is not done with it yet."
        )
        self._end_all(some, still_running)

    def _told(self, some: Sequence[Change], process: Process) -> None:
        """Take what the process says; read back whatever it does not account for."""
        for change in some:
            error = process.errors.get(sku_of(change.key))
            if error is not None:
                detail = f"CRM.COM refused the product: {shown_name(error)}."
                self._end(change, rejected(INVALID_VALUE, detail))
            elif process.is_exact and not process.has_failed:
                self._end(change, acked(sku_of(change.key)))
        self._read_back(some, itertools.islice(self._patience.pauses(), _LOOKS_AFTER_THE_END))

    def _read_back(self, some: Sequence[Change], pauses: Iterator[None]) -> None:
        """Look until all products are there as they were sent, or there is no more waiting.

        Where some are there and others are not, CRM.COM did not take those others over.
        """
        left = self._not_there(self._unsettled(some))
        for _ in pauses if left else ():
            left = self._not_there(left)
            if not left:
                break
        is_at_work = len(left) == len(some) > 1
        for change in left:
            self._end(
                change,
                WriteResult(status="unknown", reason=PROCESS_RUNNING, detail=_NOT_SHOWN)
                if is_at_work
                else rejected(NOT_TAKEN_OVER, _NOT_SHOWN),
            )

    def _not_there(self, some: Sequence[Change]) -> Sequence[Change]:
        """Acknowledge the products that are there as they were sent; return the others."""
        shown = self._follower.read_back(some, self.tally) if some else {}
        for change in some:
            if looks_as_sent(change, shown.get(change.key)):
                self._end(change, acked(sku_of(change.key)))
        return self._unsettled(some)

    def _unsettled(self, some: Sequence[Change]) -> Sequence[Change]:
        return [change for change in some if change.key not in self._results]

    def _end(self, change: Change, result: WriteResult) -> None:
        self._results.setdefault(change.key, result)

    def _end_all(self, some: Sequence[Change], result: WriteResult) -> None:
        for change in some:
            self._end(change, result)


def _process_id(answer: Answer) -> str | None:
    """Return the process's id; None when the answer has none or is no JSON."""
    try:
        content = as_object(answer.json())
    except MalformedAnswerError:
        return None
    ids = (as_text(content.get(member)) for member in PROCESS_ID_MEMBERS)
    return next((each for each in ids if each), None)
