"""Who may be contacted (FAULTS.md I8)."""

import datetime as dt
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.core.consent import decide, is_consent, is_news, is_open
from crm_pipeline.core.records import ConsentRecord

NOON = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)


def said(is_granted, minutes):
    return ConsentRecord(
        key="loke:a",
        channel="email",
        is_granted=is_granted,
        at=None if minutes is None else NOON + dt.timedelta(minutes=minutes),
        seen_at=NOON,
        origin="loke",
    )


_answers = st.lists(
    st.builds(said, st.booleans(), st.one_of(st.none(), st.integers(0, 3))), max_size=4
)


@given(_answers)
def test_the_order_of_arrival_never_matters(answers):
    assert len({decide(order) for order in itertools.permutations(answers)}) == 1


@given(_answers)
def test_a_channel_is_open_only_when_a_yes_is_later_than_every_no(answers):
    refusals = [each for each in answers if not each.is_granted]
    expected = any(
        all(
            each.at is not None and refusal.at is not None and each.at > refusal.at
            for refusal in refusals
        )
        for each in answers
        if each.is_granted
    )
    assert decide(answers) == expected


@given(_answers, st.integers(0, 3))
def test_one_more_no_never_opens_a_channel(answers, minutes):
    assert decide([*answers, said(False, minutes)]) <= decide(answers)


@given(_answers)
def test_a_no_without_a_time_closes_for_good(answers):
    assert not decide([*answers, said(False, None)])


def test_nobody_is_contacted_without_an_answer():
    assert not decide([])
    assert not is_open(None, [said(True, 0)])


def test_a_yes_of_the_same_second_as_a_no_does_not_open():
    assert not decide([said(False, 1), said(True, 1)])
    assert decide([said(False, 1), said(True, 2)])


@pytest.mark.parametrize("value", [None, "true", "yes", 1, 1.0, [], {}, "false", 0])
def test_what_is_not_a_plain_true_is_no_consent(value):
    assert is_consent(value) is None
    assert not is_open(value, [said(True, 0)])


def test_the_source_must_say_yes_now():
    assert is_open(True, [said(True, 0)])
    assert not is_open(False, [said(True, 0)])


def test_only_an_answer_that_differs_from_the_last_is_news():
    assert is_news(True, [])
    assert is_news(False, [said(True, 0)])
    assert is_news(True, [said(True, 0), said(False, 1)])
    assert not is_news(True, [said(False, 0), said(True, 1)])
