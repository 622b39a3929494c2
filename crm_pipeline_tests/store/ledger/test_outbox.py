"""Intents and receipts: nothing is sent twice without a look, nothing is counted twice."""

import pytest

from crm_pipeline.errors import LeaseHeldError, TryLaterError
from crm_pipeline_tests.store.ledger.samples import (
    ACME,
    CRM,
    KIND,
    NOW,
    OF_CONTACTS,
    OF_CRM,
    header,
    intent,
    receipt,
)

LEASE = "apply:acme:crm_com"


def states(ledger):
    return {row.key: row.state for row in ledger.outbox.unfinished(*OF_CRM)}


def test_an_intent_is_there_for_another_process_before_the_call(ledger, other, lease):
    ledger.outbox.begin(*OF_CRM, [intent("loke:2", seq=1), intent("loke:1", seq=0)], lease)
    rows = other.outbox.unfinished(*OF_CRM)
    assert [(row.key, row.seq, row.state, row.attempt) for row in rows] == [
        ("loke:1", 0, "sending", 1),
        ("loke:2", 1, "sending", 1),
    ]
    assert (rows[0].intent_at, rows[0].object_kind, rows[0].plan_digest) == (NOW, KIND, "p1")


def test_nothing_to_begin_or_settle_is_no_work(ledger, lease):
    ledger.outbox.begin(*OF_CRM, [], lease)
    ledger.outbox.settle(*OF_CRM, [], lease)
    ledger.outbox.release(*OF_CRM, "p1", [])
    assert ledger.outbox.unfinished(*OF_CRM) == []


def test_a_receipt_ends_the_intent_and_counts_once(ledger, lease):
    ledger.outbox.begin(*OF_CRM, [intent(), intent("loke:2")], lease)
    for _ in range(2):  # the second is a repeat after a commit whose answer was lost
        ledger.outbox.settle(*OF_CRM, [receipt(), receipt("loke:2", "rejected")], lease)
    assert states(ledger) == {}
    assert ledger.outbox.outcomes(*OF_CRM, "p1") == {"applied": 1, "rejected": 1}
    assert ledger.outbox.reasons(*OF_CRM, "p1") == {"": 1}
    assert ledger.outbox.outcomes(*OF_CRM, "p2") == {}


def test_receipts_of_two_plans_are_counted_apart(ledger, lease):
    ledger.outbox.settle(*OF_CRM, [receipt(), receipt("loke:2", plan="p2")], lease)
    assert ledger.outbox.outcomes(*OF_CRM, "p1") == {"applied": 1}
    assert ledger.outbox.done_keys(*OF_CRM, "p2", ["loke:1", "loke:2"]) == {"loke:2"}


def test_an_unknown_write_stays_until_it_is_looked_up(ledger, lease):
    ledger.outbox.begin(*OF_CRM, [intent()], lease)
    ledger.outbox.settle(*OF_CRM, [receipt(outcome=None)], lease)
    (row,) = ledger.outbox.unfinished(*OF_CRM)
    assert (row.state, row.attempt) == ("unknown", 2)
    assert ledger.outbox.outcomes(*OF_CRM, "p1") == {}
    ledger.outbox.settle(*OF_CRM, [receipt()], lease)
    assert states(ledger) == {}


@pytest.mark.parametrize("state", ["sending", "unknown"])
@pytest.mark.parametrize("plan", ["p1", "p2"])
def test_a_write_without_an_outcome_is_neither_sent_again_nor_replaced(ledger, lease, state, plan):
    ledger.outbox.begin(*OF_CRM, [intent()], lease)
    if state == "unknown":
        ledger.outbox.settle(*OF_CRM, [receipt(outcome=None)], lease)
    with pytest.raises(TryLaterError, match="1 earlier writes of acme to crm_com"):
        ledger.outbox.begin(
            *OF_CRM, [intent("loke:0", plan=plan), intent(plan=plan, fingerprint="f2")], lease
        )
    (row,) = ledger.outbox.unfinished(*OF_CRM)
    assert (row.key, row.plan_digest, row.fingerprint, row.state) == ("loke:1", "p1", "f1", state)


def test_objects_of_two_kinds_may_have_one_key(ledger, lease):
    ledger.outbox.begin(*OF_CRM, [intent()], lease)
    ledger.outbox.begin(*OF_CRM, [intent(object_kind="membership")], lease)
    assert len(ledger.outbox.unfinished(*OF_CRM)) == 2


def test_a_released_write_is_pending_again(ledger, lease):
    ledger.outbox.begin(*OF_CRM, [intent()], lease)
    ledger.outbox.release(*OF_CRM, "another plan", [(KIND, "loke:1")])
    assert states(ledger) == {"loke:1": "sending"}
    ledger.outbox.release(*OF_CRM, "p1", [(KIND, "loke:1")], lease)
    assert states(ledger) == {}
    ledger.outbox.begin(*OF_CRM, [intent()], lease)
    assert states(ledger) == {"loke:1": "sending"}


def test_a_worker_that_lost_its_lease_changes_nothing(ledger, other, clock):
    with ledger.leases.hold(LEASE, "host-a", 60) as stale:
        ledger.outbox.begin(*OF_CRM, [intent()], stale)
        clock.forward(61)
        with other.leases.hold(LEASE, "host-b", 60):
            with pytest.raises(LeaseHeldError):
                ledger.outbox.settle(*OF_CRM, [receipt()], stale)
            with pytest.raises(LeaseHeldError):
                ledger.outbox.begin(*OF_CRM, [intent("loke:2")], stale)
            with pytest.raises(LeaseHeldError):
                ledger.outbox.release(*OF_CRM, "p1", [(KIND, "loke:1")], stale)
    assert states(ledger) == {"loke:1": "sending"}
    assert ledger.applied.count(*OF_CONTACTS) == 0
    assert ledger.applied.base(*OF_CRM) == 0


def test_the_plan_counts_its_outcomes(ledger, lease):
    ledger.plans.save(header(creates=3), "applying")
    for keys in (["loke:1", "loke:2"], ["loke:2"]):
        ledger.outbox.settle(*OF_CRM, [receipt(key) for key in keys], lease)
    assert ledger.organisations.status(ACME).outbox_pending == 1


def test_another_destination_has_its_own_writes(ledger, lease):
    ledger.outbox.begin(ACME, "klaviyo", [intent()], lease)
    assert ledger.outbox.unfinished(ACME, CRM) == []
    assert len(ledger.outbox.unfinished(ACME, "klaviyo")) == 1
