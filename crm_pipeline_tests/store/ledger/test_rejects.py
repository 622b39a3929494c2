"""What was set aside."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.store.ledger import StoredReject
from crm_pipeline.store.ledger.rejects import MAX_KEY_LENGTH, storable
from crm_pipeline_tests.store.ledger.samples import ACME, NOW, reject


def test_a_reject_is_read_back_whole(ledger):
    whole = reject(detail="no domain", payload='{"email":"x"}', plan_digest="p1")
    ledger.rejects.add(ACME, "loke", [whole])
    assert ledger.rejects.list(ACME) == [
        StoredReject(party="loke", reject=whole, rejected_at=NOW, times=1)
    ]


def test_a_record_that_is_refused_again_is_counted_not_copied(ledger, clock):
    ledger.rejects.add(ACME, "loke", [reject(), reject(reason="bad_phone")])
    clock.forward(60)
    ledger.rejects.add(ACME, "loke", [reject(reason="bad_date", payload="[]")])
    (stored,) = ledger.rejects.list(ACME)
    assert (stored.times, stored.reject.reason, stored.reject.payload) == (2, "bad_date", "[]")
    assert stored.rejected_at == NOW + dt.timedelta(seconds=60)


def test_rejects_come_newest_first_and_as_many_as_asked_for(ledger, clock):
    for key in ("a", "b", "c"):
        ledger.rejects.add(ACME, "loke", [reject(key)])
        clock.forward(1)
    ledger.rejects.add("blue", "loke", [reject("d")])
    assert [stored.reject.key for stored in ledger.rejects.list(ACME, 2)] == ["c", "b"]
    assert len(ledger.rejects.list(ACME)) == 3


def test_reasons_are_counted_the_most_frequent_first(ledger):
    ledger.rejects.add(ACME, "loke", [reject("a"), reject("b"), reject("c", reason="rare")])
    ledger.rejects.add(ACME, "loke", [])
    assert list(ledger.rejects.counts(ACME).items()) == [("bad_email", 2), ("rare", 1)]
    assert ledger.rejects.counts("blue") == {}


def test_what_a_stage_set_aside_is_named_without_what_others_did(ledger):
    ledger.rejects.add(ACME, "loke", [reject("a"), reject("b"), reject("c", stage="land")])
    ledger.rejects.add(ACME, "crm_com", [reject("d")])
    ledger.rejects.add("blue", "loke", [reject("e")])
    dataset = reject().dataset
    assert ledger.rejects.names(ACME, "loke", "resolve") == {(dataset, "a"), (dataset, "b")}
    assert ledger.rejects.names("none", "loke", "resolve") == frozenset()


def test_a_record_that_is_fine_by_now_is_cleared_for_its_stage_only(ledger):
    long_key = "x" * 5_000
    ledger.rejects.add(ACME, "loke", [reject("a"), reject("b"), reject(long_key)])
    ledger.rejects.add(ACME, "loke", [reject("a", stage="land")])
    ledger.rejects.add(ACME, "crm_com", [reject("a")])
    assert ledger.rejects.clear(ACME, "loke", "resolve", ["a", "c", long_key]) == 2
    assert ledger.rejects.clear(ACME, "loke", "resolve", []) == 0
    left = {(stored.party, stored.reject.stage, stored.reject.key) for stored in
            ledger.rejects.list(ACME)}  # fmt: skip
    assert left == {
        ("loke", "resolve", "b"),
        ("loke", "land", "a"),
        ("crm_com", "resolve", "a"),
    }


@pytest.mark.parametrize("text", ["a\0b", "\ud800", "x" * 10_000, "", "Zoë 🦊"])
def test_whatever_is_set_aside_can_be_stored(ledger, text):
    poison = reject(text, reason=text[:9], dataset=text[:9], detail=text, payload=text)
    ledger.rejects.add(ACME, "loke", [poison])
    (stored,) = ledger.rejects.list(ACME)
    assert stored.reject.payload == text.replace("\0", "\ufffd").replace("\ud800", "\ufffd")


@given(st.text(alphabet=st.characters(), max_size=600), st.text(max_size=600))
def test_two_long_keys_stay_apart_and_a_storable_text_stays_as_it_is(first, second):
    one, two = storable(first, MAX_KEY_LENGTH), storable(second, MAX_KEY_LENGTH)
    assert max(len(one), len(two)) <= MAX_KEY_LENGTH
    assert "\0" not in one + two
    assert storable(one, MAX_KEY_LENGTH) == one
    if storable(first) != storable(second):
        assert one != two
