"""Webhooks on their way: sent in parallel, tried again on a clock that tests move, recorded.

Here: when a message is due, the attempt, the record, what goes wrong on request. Not here: what a
message says and how it is signed; the vendor that sends it brings both.

In a test::

    sandbox.loke.hooks.flush()        # everything that is due has been tried
    sandbox.loke.hooks.advance(10)    # the first wait of LOKE's retries is over
    sandbox.loke.hooks.flush()
    [(each.event, each.attempt, each.status) for each in sandbox.loke.hooks.deliveries()]
"""

import dataclasses
import datetime as dt
import heapq
import http.client
import ipaddress
import itertools
import random
import threading
import time
import urllib.parse
from collections import deque
from collections.abc import Callable, Mapping
from typing import Literal

import msgspec

_WORKERS = 4
_LOG_SIZE = 20_000
#: The clock may be moved by somebody who cannot tell us, so those who wait look at it this often.
_LOOK_SECONDS = 0.05

Outcome = Literal["delivered", "failed", "gave_up", "dropped", "refused"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When an attempt counts as delivered, and how long to wait after one that does not."""

    #: A status from here on, or no answer at all, is a failure.
    delivered_below: int = 300
    #: Waits after the first, second, ... failure; afterwards the message is given up.
    waits_seconds: tuple[float, ...] = ()
    #: How long the receiver may take.
    timeout_seconds: float = 10.0


#: LOKE's guide: up to five attempts, exponential waits from 10 s; everything below 500 counts as
#: delivered. The response time is not documented.
LOKE_RETRIES = RetryPolicy(delivered_below=500, waits_seconds=(10, 20, 40, 80))
#: One attempt and no more: SoPost and CRM.COM say nothing of retries.
SINGLE_SHOT = RetryPolicy()


class HookSwitches(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong on the way. Shares lie between 0 and 1 and are drawn from ``seed``."""

    #: Further copies of every message.
    duplicate: int = 0
    #: Every message comes so much later, by the sandbox's clock.
    delay_seconds: float = 0.0
    #: Hold so many messages, then send them last one first, one by one.
    reorder: int = 0
    #: The share of messages that is never sent.
    drop: float = 0.0
    #: The share of messages that comes ``late_seconds`` late.
    late: float = 0.0
    late_seconds: float = 3600.0
    #: How many messages are touched; None for all.
    times: int | None = None
    #: Which events are touched; None for all.
    events: list[str] | None = None
    seed: int = 7
    #: How long a receiver may take instead of the policy's time.
    timeout_seconds: float | None = None


def _no_headers() -> Mapping[str, str]:
    return {}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One webhook for one subscriber. ``headers`` is asked before every attempt."""

    url: str
    event: str
    body: bytes
    organisation: str = ""
    headers: Callable[[], Mapping[str, str]] = _no_headers


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, or the decision to make none. Status 0 means that no answer came."""

    #: Counts messages; copies and attempts of one message share it.
    message: int
    organisation: str
    event: str
    url: str
    attempt: int
    status: int
    at: str
    outcome: Outcome
    reason: str = ""
    body: str = ""


@dataclasses.dataclass(slots=True)
class _Parcel:
    """A copy of a message on its way."""

    number: int
    message: Message
    attempt: int = 1
    #: Sent one by one after the first attempt of this one, whatever became of it.
    then: "list[_Parcel]" = dataclasses.field(default_factory=list)


class HookSender:
    """Sends one vendor's webhooks. Every method may be called from any thread.

    Threads begin with the first message and end when nothing waits any more.
    """

    switches: HookSwitches

    def __init__(
        self,
        clock: Callable[[], dt.datetime],
        policy: RetryPolicy = SINGLE_SHOT,
        *,
        workers: int = _WORKERS,
    ) -> None:
        """Send by ``clock``; nothing is running yet."""
        self.policy = policy
        self._clock = clock
        self._workers = workers
        self._changed = threading.Condition()
        self._start_over()

    def reset(self) -> None:
        """Forget messages, record, switches and moved time."""
        with self._changed:
            self._start_over()
            self._changed.notify_all()

    def stop(self) -> None:
        """Drop what waits, so that the threads end."""
        with self._changed:
            self._waiting.clear()
            self._held.clear()
            self._begin_era()
            self._changed.notify_all()

    def now(self) -> dt.datetime:
        """Return the sender's time: the sandbox's clock and what was advanced."""
        return self._clock() + dt.timedelta(seconds=self._offset_seconds)

    def advance(self, seconds: float) -> None:
        """Let time pass for what waits; nothing else in the sandbox gets older."""
        if seconds < 0:
            raise ValueError("time moves forward only")
        with self._changed:
            self._offset_seconds += seconds
            self._changed.notify_all()

    def switch(self, **changes: object) -> HookSwitches:
        """Change switches. Raises ValueError for unknown names or values."""
        with self._changed:
            try:
                self.switches = msgspec.convert(
                    {**msgspec.structs.asdict(self.switches), **changes}, HookSwitches
                )
            except msgspec.ValidationError as error:
                raise ValueError(str(error)) from error
            self._chance = random.Random(self.switches.seed)
            self._touched = 0
            return self.switches

    def send(self, message: Message) -> int:
        """Queue a message and return its number; the attempt comes as soon as it is due."""
        with self._changed:
            number = next(self._numbers)
            if self._is_touched(message):
                self._queue_with_mischief(number, message)
            else:
                self._queue(_Parcel(number, message), 0.0)
            self._start_workers()
            self._changed.notify_all()
            return number

    @property
    def is_idle(self) -> bool:
        """Say whether nothing is due or under way; a retry may still wait for its time."""
        with self._changed:
            return not self._in_flight and not self._is_due()

    @property
    def waiting(self) -> int:
        """Count what has not been tried yet or waits to be tried again."""
        with self._changed:
            return (
                len(self._held)
                + self._in_flight
                + sum(1 + len(parcel.then) for _, _, parcel in self._waiting)
            )

    def flush(self, timeout_seconds: float = 30.0) -> None:
        """Wait until everything due has been tried. Raises TimeoutError.

        Messages held back for ``reorder`` are let go first. Never call it under the vendor's lock:
        a receiver may ask the vendor something before it answers.
        """
        ends = time.monotonic() + timeout_seconds
        with self._changed:
            self._release()
            self._start_workers()
            self._changed.notify_all()
            while self._in_flight or self._is_due():
                if time.monotonic() >= ends:
                    raise TimeoutError(f"webhooks are still due after {timeout_seconds} s")
                self._changed.wait(_LOOK_SECONDS)

    def deliveries(self, event: str | None = None) -> list[Delivery]:
        """Return the record, oldest first, of one kind of event or of all."""
        with self._changed:
            return [each for each in self._record if event in (None, each.event)]

    def _start_over(self) -> None:
        self.switches = HookSwitches()
        self._chance = random.Random(self.switches.seed)
        self._touched = 0
        self._offset_seconds = 0.0
        self._numbers = itertools.count(1)
        self._ticket = itertools.count()
        self._waiting: list[tuple[float, int, _Parcel]] = []
        self._held: list[_Parcel] = []
        self._record: deque[Delivery] = deque(maxlen=_LOG_SIZE)
        self._begin_era()

    def _begin_era(self) -> None:
        """Disown the threads: what they still have under way is neither recorded nor repeated."""
        self._era = object()
        self._in_flight = 0
        self._threads = 0

    def _is_touched(self, message: Message) -> bool:
        switches = self.switches
        if switches.events is not None and message.event not in switches.events:
            return False
        self._touched += 1
        return switches.times is None or self._touched <= switches.times

    def _queue_with_mischief(self, number: int, message: Message) -> None:
        switches = self.switches
        if self._chance.random() < switches.drop:
            self._note(_Parcel(number, message, attempt=0), 0, "dropped", "lost on purpose")
            return
        wait_seconds = switches.delay_seconds
        if self._chance.random() < switches.late:
            wait_seconds += switches.late_seconds
        for _ in range(1 + switches.duplicate):
            parcel = _Parcel(number, message)
            if switches.reorder > 1 and not wait_seconds:
                self._held.append(parcel)
            else:
                self._queue(parcel, wait_seconds)
        if self._held and len(self._held) >= switches.reorder * (1 + switches.duplicate):
            self._release()

    def _release(self) -> None:
        """Let go of what is held: the last one first, each after the attempt of the one before."""
        held, self._held = self._held, []
        if held:
            first = held.pop()
            first.then = held[::-1]
            self._queue(first, 0.0)

    def _queue(self, parcel: _Parcel, wait_seconds: float) -> None:
        due = self.now().timestamp() + wait_seconds
        heapq.heappush(self._waiting, (due, next(self._ticket), parcel))

    def _is_due(self) -> bool:
        return bool(self._waiting) and self._waiting[0][0] <= self.now().timestamp()

    def _start_workers(self) -> None:
        while self._threads < min(self._workers, len(self._waiting) + self._in_flight):
            self._threads += 1
            threading.Thread(
                target=self._work, args=(self._era,), name="sandbox-hooks", daemon=True
            ).start()

    def _work(self, era: object) -> None:
        while True:
            with self._changed:
                parcel = self._take(era)
                if parcel is None:
                    return
                seconds = self.switches.timeout_seconds or self.policy.timeout_seconds
            status, reason = _attempt(parcel.message, seconds)
            with self._changed:
                if era is self._era:
                    self._in_flight -= 1
                    self._settle(parcel, status, reason)
                self._changed.notify_all()

    def _take(self, era: object) -> _Parcel | None:
        """Wait for a parcel that is due; None when there is no more work for this thread."""
        while era is self._era and self._waiting:
            if self._is_due():
                self._in_flight += 1
                return heapq.heappop(self._waiting)[2]
            self._changed.wait(_LOOK_SECONDS)
        if era is self._era:
            self._threads -= 1
        return None

    def _settle(self, parcel: _Parcel, status: int, reason: str) -> None:
        waits = self.policy.waits_seconds
        if reason.startswith("refused"):
            self._note(parcel, status, "refused", reason)
        elif 0 < status < self.policy.delivered_below:
            self._note(parcel, status, "delivered", reason)
        elif parcel.attempt > len(waits):
            self._note(parcel, status, "gave_up", reason)
        else:
            self._note(parcel, status, "failed", reason)
            again = _Parcel(parcel.number, parcel.message, parcel.attempt + 1)
            self._queue(again, waits[parcel.attempt - 1])
        if parcel.then:
            follower = parcel.then[0]
            follower.then = parcel.then[1:]
            self._queue(follower, 0.0)
        self._start_workers()

    def _note(self, parcel: _Parcel, status: int, outcome: Outcome, reason: str) -> None:
        message = parcel.message
        self._record.append(
            Delivery(
                message=parcel.number,
                organisation=message.organisation,
                event=message.event,
                url=message.url,
                attempt=parcel.attempt,
                status=status,
                at=self.now().isoformat(timespec="seconds").replace("+00:00", "Z"),
                outcome=outcome,
                reason=reason,
                body=message.body.decode(errors="replace"),
            )
        )


def _attempt(message: Message, timeout_seconds: float) -> tuple[int, str]:
    """Post a message; returns the status, 0 without an answer, and why it failed."""
    try:
        parts = urllib.parse.urlsplit(message.url)
        host, port = parts.hostname or "", parts.port or 80
    except ValueError:
        return 0, "refused: this is no address"
    if parts.scheme != "http" or not _is_loopback(host):
        return 0, "refused: the sandbox posts to http on loopback only"
    connection = http.client.HTTPConnection(host, port, timeout=timeout_seconds)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    headers = {"Content-Type": "application/json", **message.headers()}
    try:
        connection.request("POST", target, message.body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, ""
    except (OSError, ValueError, http.client.HTTPException) as error:
        return 0, type(error).__name__
    finally:
        connection.close()


def _is_loopback(host: str) -> bool:
    """Say whether a host is this machine.

    >>> _is_loopback("127.0.0.1"), _is_loopback("localhost"), _is_loopback("192.0.2.1")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
