"""Webhooks go out in parallel, are tried again on a clock that the test moves, and go wrong."""

import threading
import time
from collections.abc import Iterator

import pytest

from crm_pipeline.sandbox.delivery import (
    LOKE_RETRIES,
    SINGLE_SHOT,
    HookSender,
    Message,
    RetryPolicy,
)
from crm_pipeline_tests.sandbox.conftest import Clock
from crm_pipeline_tests.sandbox.receiver import Receiver


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
def sender(clock: Clock) -> Iterator[HookSender]:
    sender = HookSender(clock, LOKE_RETRIES)
    yield sender
    sender.stop()


def outcomes(sender: HookSender) -> list[tuple[int, int, str]]:
    return [(each.attempt, each.status, each.outcome) for each in sender.deliveries()]


def send(sender: HookSender, receiver: Receiver, *bodies: str) -> None:
    for body in bodies:
        sender.send(Message(url=receiver.url, event="thing.happened", body=body.encode()))


def test_a_message_arrives_as_it_was_given_and_is_recorded(
    sender: HookSender, receiver: Receiver
) -> None:
    sender.send(
        Message(
            url=f"{receiver.url}/a?b=c",
            event="thing.happened",
            organisation="harbour-coffee",
            body='{"name":"Zoë"}'.encode(),
            headers=lambda: {"X-Mark": "yes"},
        )
    )
    sender.flush()
    ((path, headers, body),) = receiver.received
    assert (path, body.decode()) == ("/hook/a?b=c", '{"name":"Zoë"}')
    assert headers["X-Mark"] == "yes"
    assert headers["Content-Type"] == "application/json"
    (record,) = sender.deliveries("thing.happened")
    assert (record.organisation, record.attempt, record.status) == ("harbour-coffee", 1, 200)
    assert (record.outcome, record.at) == ("delivered", "2026-03-04T05:06:07Z")
    assert sender.deliveries("other") == []
    assert sender.is_idle
    assert sender.waiting == 0


def test_five_attempts_are_made_at_the_documented_distances(
    sender: HookSender, receiver: Receiver
) -> None:
    receiver.status = 503
    send(sender, receiver, "1")
    sender.flush()
    for wait in (10, 20, 40, 80):
        before = len(receiver.received)
        sender.advance(wait - 1)
        sender.flush()
        assert len(receiver.received) == before
        assert sender.waiting == 1
        sender.advance(1)
        sender.flush()
        assert len(receiver.received) == before + 1
    sender.advance(100_000)
    sender.flush()
    assert outcomes(sender) == [
        *((attempt, 503, "failed") for attempt in (1, 2, 3, 4)),
        (5, 503, "gave_up"),
    ]
    assert sender.deliveries()[-1].at == "2026-03-04T05:08:37Z"
    assert sender.waiting == 0


def test_a_retry_that_is_accepted_is_the_last(sender: HookSender, receiver: Receiver) -> None:
    receiver.statuses = [500, 200]
    send(sender, receiver, "1")
    sender.flush()
    sender.advance(10)
    sender.flush()
    assert outcomes(sender) == [(1, 500, "failed"), (2, 200, "delivered")]


@pytest.mark.parametrize("status", [204, 302, 401, 404, 413, 429])
def test_everything_below_500_counts_as_delivered_at_loke(
    sender: HookSender, receiver: Receiver, status: int
) -> None:
    receiver.status = status
    send(sender, receiver, "1")
    sender.flush()
    assert outcomes(sender) == [(1, status, "delivered")]
    assert sender.waiting == 0


def test_a_single_shot_is_not_repeated(clock: Clock, receiver: Receiver) -> None:
    sender = HookSender(clock, SINGLE_SHOT)
    receiver.status = 404
    send(sender, receiver, "1")
    sender.flush()
    assert outcomes(sender) == [(1, 404, "gave_up")]


def test_nobody_there_and_no_answer_in_time_are_failures(
    sender: HookSender, receiver: Receiver
) -> None:
    sender.switch(timeout_seconds=0.05)
    receiver.may_answer.clear()
    send(sender, receiver, "1")
    sender.flush()
    assert outcomes(sender) == [(1, 0, "failed")]
    receiver.stop()
    send(sender, receiver, "2")
    sender.flush()
    assert outcomes(sender)[1:] == [(1, 0, "failed")]
    assert sender.deliveries()[1].reason == "ConnectionRefusedError"


@pytest.mark.parametrize(
    "url",
    ["http://192.0.2.1/x", "http://hooks.example.com/", "https://127.0.0.1/", "http://[", "x"],
)
def test_nothing_leaves_this_machine(sender: HookSender, url: str) -> None:
    sender.send(Message(url=url, event="thing.happened", body=b"{}"))
    sender.flush()
    assert outcomes(sender) == [(1, 0, "refused")]


def test_messages_are_sent_in_parallel(sender: HookSender, receiver: Receiver) -> None:
    receiver.may_answer.clear()
    send(sender, receiver, "1", "2", "3")
    ends = time.monotonic() + 10
    while len(receiver.received) < 3:
        assert time.monotonic() < ends
        threading.Event().wait(0.005)
    assert not sender.is_idle
    with pytest.raises(TimeoutError):
        sender.flush(timeout_seconds=0.01)
    receiver.may_answer.set()
    sender.flush()
    assert len(outcomes(sender)) == 3


def test_duplicates_come_as_often_as_asked(sender: HookSender, receiver: Receiver) -> None:
    sender.switch(duplicate=2, times=1)
    send(sender, receiver, "1", "2")
    sender.flush()
    assert sorted(receiver.bodies) == [b"1", b"1", b"1", b"2"]
    assert [each.message for each in sender.deliveries()].count(1) == 3


def test_a_reordered_batch_comes_last_one_first(sender: HookSender, receiver: Receiver) -> None:
    sender.switch(reorder=3)
    send(sender, receiver, "1", "2")
    assert sender.waiting == 2
    assert receiver.received == []
    send(sender, receiver, "3", "4", "5")
    sender.flush()
    assert [body for body in receiver.bodies if body in (b"1", b"2", b"3")] == [b"3", b"2", b"1"]
    assert [body for body in receiver.bodies if body in (b"4", b"5")] == [b"5", b"4"]


def test_dropped_messages_are_recorded_and_never_sent(
    sender: HookSender, receiver: Receiver
) -> None:
    sender.switch(drop=1.0, events=["thing.lost"])
    sender.send(Message(url=receiver.url, event="thing.lost", body=b"1"))
    send(sender, receiver, "2")
    sender.flush()
    assert receiver.bodies == [b"2"]
    assert (0, 0, "dropped") in outcomes(sender)


def test_delayed_and_late_messages_wait_for_their_time(
    sender: HookSender, receiver: Receiver, clock: Clock
) -> None:
    sender.switch(delay_seconds=5, times=1)
    send(sender, receiver, "1", "2")
    sender.flush()
    assert receiver.bodies == [b"2"]
    clock.turn(seconds=5)
    sender.flush()
    assert receiver.bodies == [b"2", b"1"]
    sender.switch(delay_seconds=0, late=1.0, late_seconds=600, times=None)
    send(sender, receiver, "3")
    sender.advance(599)
    sender.flush()
    assert len(receiver.received) == 2
    sender.advance(1)
    sender.flush()
    assert receiver.bodies[2] == b"3"


def test_headers_are_asked_before_every_attempt(sender: HookSender, receiver: Receiver) -> None:
    receiver.statuses = [500]
    marks = iter("ab")
    sender.send(
        Message(url=receiver.url, event="e", body=b"", headers=lambda: {"X-Mark": next(marks)})
    )
    sender.flush()
    sender.advance(10)
    sender.flush()
    assert [headers["X-Mark"] for _, headers, _ in receiver.received] == ["a", "b"]


def test_what_waits_is_forgotten_at_a_reset_and_at_a_stop(
    sender: HookSender, receiver: Receiver
) -> None:
    for forget in (sender.stop, sender.reset):
        sender.switch(delay_seconds=10)
        send(sender, receiver, "1")
        forget()
        sender.advance(1000)
        sender.flush()
        assert receiver.received == []
        assert sender.waiting == 0
    assert sender.deliveries() == []
    sender.reset()
    assert sender.switches.delay_seconds == 0
    send(sender, receiver, "2")
    sender.flush()
    assert receiver.bodies == [b"2"]


def test_an_answer_that_comes_after_a_reset_is_not_recorded(
    sender: HookSender, receiver: Receiver
) -> None:
    receiver.may_answer.clear()
    receiver.status = 500
    send(sender, receiver, "1")
    sender.reset()
    receiver.may_answer.set()
    sender.flush()
    assert sender.waiting == 0
    assert sender.deliveries() == []


def test_threads_end_when_nothing_waits(sender: HookSender, receiver: Receiver) -> None:
    send(sender, receiver, *map(str, range(20)))
    sender.flush()
    ends = time.monotonic() + 10
    while any(each.name == "sandbox-hooks" for each in threading.enumerate()):
        assert time.monotonic() < ends
        threading.Event().wait(0.005)
    assert len(receiver.received) == 20


def test_wrong_switches_and_a_time_that_runs_backwards_are_refused(sender: HookSender) -> None:
    with pytest.raises(ValueError, match="duplciate"):
        sender.switch(duplciate=1)
    with pytest.raises(ValueError, match="forward"):
        sender.advance(-1)


def test_a_policy_may_be_ones_own(clock: Clock, receiver: Receiver) -> None:
    sender = HookSender(clock, RetryPolicy(delivered_below=300, waits_seconds=(1,)), workers=1)
    receiver.status = 404
    send(sender, receiver, "1")
    sender.flush()
    sender.advance(1)
    sender.flush()
    assert outcomes(sender) == [(1, 404, "failed"), (2, 404, "gave_up")]
