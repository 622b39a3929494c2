"""Webhooks that wait to be drained."""

import datetime as dt
import threading

import pytest

from crm_pipeline.store.ledger import InboxCounts, Received
from crm_pipeline_tests.store.ledger.samples import ACME, NOW


def received(dedup="one", *, organisation=ACME, source="loke", body=b'{"a":1}', event="customer"):
    return Received(
        organisation=organisation,
        source=source,
        event=event,
        entity_id="01HP",
        dedup=dedup,
        body=body,
        received_at=NOW,
    )


def numbers_of(rows):
    return [row.number for row in rows]


def test_an_event_is_read_back_as_it_came(ledger):
    body = bytes(range(256))
    ledger.inbox.append([received(body=body)])
    (row,) = ledger.inbox.claim(ACME, 10)
    assert (row.organisation, row.source, row.event, row.entity_id) == (
        ACME, "loke", "customer", "01HP",
    )  # fmt: skip
    assert (row.body, row.received_at, row.deliveries, row.attempts) == (body, NOW, 1, 0)


def test_the_same_event_is_stored_once_and_its_deliveries_are_counted(ledger, other):
    first, again, second = ledger.inbox.append([received(), received(body=b"x"), received("two")])
    (third,) = other.inbox.append([received(body=b"later")])
    assert (first.is_new, again.is_new, second.is_new, third.is_new) == (True, False, True, False)
    assert first.number == again.number == third.number != second.number
    rows = ledger.inbox.claim(ACME, 10)
    assert [(row.body, row.deliveries) for row in rows] == [(b'{"a":1}', 3), (b'{"a":1}', 1)]


def test_equal_names_of_another_organisation_or_source_are_other_events(ledger):
    rows = [received(), received(organisation="blue"), received(source="sopost")]
    assert [each.is_new for each in ledger.inbox.append(rows)] == [True, True, True]
    assert len(ledger.inbox.claim(ACME, 10)) == 2
    assert len(ledger.inbox.claim(ACME, 10, source="sopost")) == 1


def test_an_event_that_comes_again_after_it_was_done_stays_done(ledger):
    (kept,) = ledger.inbox.append([received()])
    ledger.inbox.settle([kept.number], "done")
    (again,) = ledger.inbox.append([received()])
    assert (again.number, again.is_new) == (kept.number, False)
    assert ledger.inbox.claim(ACME, 10) == []


def test_an_event_acknowledged_before_another_is_drained_before_it(ledger):
    for name in ("c", "a", "b"):
        ledger.inbox.append([received(name, body=name.encode())])
    assert [row.body for row in ledger.inbox.claim(ACME, 2)] == [b"c", b"a"]


def test_a_postponed_event_waits_and_lets_the_others_pass(ledger, clock):
    first, second = ledger.inbox.append([received("a"), received("b")])
    ledger.inbox.postpone(first.number, NOW + dt.timedelta(seconds=30), "not_found")
    assert numbers_of(ledger.inbox.claim(ACME, 10)) == [second.number]
    clock.forward(30)
    rows = ledger.inbox.claim(ACME, 10)
    assert [(row.number, row.attempts) for row in rows] == [(first.number, 1), (second.number, 0)]
    assert numbers_of(ledger.inbox.claim(ACME, 10, NOW)) == [second.number]


def test_an_event_that_fails_too_often_is_parked_and_shown_as_a_reject(ledger):
    (kept,) = ledger.inbox.append([received(body='{"name":"Zoë"}'.encode())])
    assert ledger.inbox.postpone(kept.number, NOW, "bad_total", max_attempts=2) == 0
    assert ledger.inbox.postpone([kept.number], NOW, "bad_total", max_attempts=2) == 1
    assert ledger.inbox.claim(ACME, 10) == []
    (stored,) = ledger.rejects.list(ACME)
    assert (stored.party, stored.reject.stage, stored.reject.dataset) == (
        "loke",
        "land",
        "customer",
    )
    assert (stored.reject.reason, stored.reject.detail) == ("bad_total", "01HP")
    assert stored.reject.payload == '{"name":"Zoë"}'


def test_a_parked_event_is_tried_again_when_an_operator_says_so(ledger):
    ours, theirs = ledger.inbox.append([received(), received(organisation="blue")])
    ledger.inbox.settle([ours.number, theirs.number], "failed", "unreadable")
    assert ledger.inbox.retry(ACME) == 1
    assert ledger.inbox.retry(ACME) == 0
    (row,) = ledger.inbox.claim(ACME, 10)
    assert (row.number, row.attempts) == (ours.number, 0)
    assert ledger.rejects.list(ACME) == []
    assert len(ledger.rejects.list("blue")) == 1


def test_an_event_that_is_done_is_no_reject_any_more(ledger):
    (kept,) = ledger.inbox.append([received()])
    ledger.inbox.postpone(kept.number, NOW, "bad_total")
    # What a crash leaves behind just before an event is parked.
    ledger.inbox._reject([kept.number], "bad_total")
    ledger.inbox.settle([kept.number], "done")
    assert ledger.rejects.list(ACME) == []


def test_only_pending_events_can_be_settled_or_postponed(ledger):
    (kept,) = ledger.inbox.append([received()])
    ledger.inbox.settle([kept.number], "done")
    ledger.inbox.settle([kept.number], "failed", "late")
    assert ledger.inbox.postpone(kept.number, NOW, "late", max_attempts=1) == 0
    ledger.inbox.settle([], "done")
    assert ledger.inbox.counts() == {}
    assert ledger.rejects.list(ACME) == []


def test_what_waits_is_counted_by_organisation(ledger, clock):
    a, b, c, d = ledger.inbox.append(
        [received("a"), received("b"), received("c"), received("d", organisation="blue")]
    )
    ledger.inbox.settle([a.number], "done")
    ledger.inbox.settle([b.number], "failed", "bad")
    ledger.inbox.postpone(d.number, NOW + dt.timedelta(minutes=1), "later")
    assert ledger.inbox.counts() == {
        ACME: InboxCounts(pending=1, failed=1, is_due=True, oldest=NOW, newest=c.number),
        "blue": InboxCounts(pending=1, is_due=False, oldest=NOW, newest=d.number),
    }
    assert ledger.inbox.waiting() == {ACME: 1, "blue": 1}
    assert ledger.inbox.waiting("blue") == {"blue": 1}
    assert ledger.inbox.oldest() == ledger.inbox.oldest(ACME) == NOW
    assert ledger.inbox.oldest("red") is None
    ledger.inbox.settle([c.number], "done")
    clock.forward(60)
    assert ledger.inbox.counts() == {
        ACME: InboxCounts(failed=1),
        "blue": InboxCounts(pending=1, is_due=True, oldest=NOW, newest=d.number),
    }


def test_done_events_are_deleted_after_their_time_and_nothing_else(ledger, clock):
    done, failed, last = ledger.inbox.append([received("a"), received("b"), received("c")])
    ledger.inbox.settle([done.number], "done")
    ledger.inbox.settle([failed.number], "failed", "bad")
    assert ledger.inbox.purge(NOW) == 0
    clock.forward(1)
    assert ledger.inbox.purge(clock()) == 1
    assert ledger.inbox.counts() == {
        ACME: InboxCounts(pending=1, failed=1, is_due=True, oldest=NOW, newest=last.number)
    }
    (again,) = ledger.inbox.append([received("a")])
    assert again.is_new


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 10_000, "", "Zoë 🦊"])
def test_whatever_an_event_is_called_it_can_be_stored(ledger, text):
    row = received(text, event=text)
    assert [each.is_new for each in ledger.inbox.append([row, row])] == [True, False]


def test_groups_of_many_and_of_none_are_stored(ledger):
    rows = [received(str(each)) for each in range(2_500)]
    assert ledger.inbox.append([]) == []
    answers = ledger.inbox.append(rows)
    assert len({each.number for each in answers}) == 2_500
    ledger.inbox.settle([each.number for each in answers], "done")
    assert ledger.inbox.waiting() == {}
    assert ledger.inbox.purge(NOW + dt.timedelta(seconds=1)) == 2_500


def test_two_receivers_that_get_the_same_events_in_turn_store_each_once(ledger, other):
    rows = [received(str(each)) for each in range(50)]
    answers = {}

    def append(name, inbox, given):
        answers[name] = [inbox.append(given[start:] + given[:start]) for start in range(10)]

    threads = [
        threading.Thread(target=append, args=("one", ledger.inbox, rows)),
        threading.Thread(target=append, args=("two", other.inbox, rows[::-1])),
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    new = [each for group in answers.values() for part in group for each in part if each.is_new]
    assert len(new) == 50
    assert {row.deliveries for row in ledger.inbox.claim(ACME, 100)} == {20}


def test_no_repr_holds_a_body(ledger):
    row = received(body=b"mina@example.com")
    ledger.inbox.append([row])
    assert "mina" not in repr(row) + repr(ledger.inbox.claim(ACME, 1))
