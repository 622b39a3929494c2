"""The difference of one object: what changes, why, and what goes first."""

import datetime as dt

from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.core.diff import (
    LANE_FIRST,
    LANE_SECOND,
    archived,
    changed_fields,
    compare,
)
from crm_pipeline.core.ports import visible_fields
from crm_pipeline.core.records import AppliedObject, Fields

NOW = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
MINA: Fields = {
    "first_name": "Mina",
    "email": "mina@example.com",
    "email_opt_out": False,
    "sms_opt_out": True,
}

names = st.sampled_from(["first_name", "email", "phone_number", "email_opt_out", "custom.x"])
objects = st.dictionaries(names, st.sampled_from(["a", "b", True, False]))


def applied(fields: Fields, withheld: tuple[str, ...] = ()) -> AppliedObject:
    return AppliedObject(
        key="loke:1",
        crm_id="c-1",
        fingerprint="f",
        fields=fields,
        withheld=withheld,
        plan_digest="p",
        version_at=NOW,
        applied_at=NOW,
    )


@given(objects, objects)
def test_writing_the_changed_fields_makes_the_objects_equal(before: Fields, after: Fields):
    result = dict(before)
    for name in changed_fields(before, after):
        if name in after:
            result[name] = after[name]
        else:
            result.pop(name)
    assert result == after


@given(objects)
def test_an_object_does_not_differ_from_itself(fields: Fields):
    assert compare(applied(fields), fields).changed == ()


@given(objects, objects, st.sets(names), st.sets(names))
def test_withheld_fields_are_never_sent_with_a_value(
    before: Fields, after: Fields, was: set[str], now: set[str]
):
    difference = compare(applied(before, tuple(was)), after, tuple(now))
    shown = visible_fields(before, tuple(was))
    assert all(name in shown for name in difference.changed if name in now)


def test_an_opt_out_goes_first_and_says_so():
    difference = compare(applied(MINA), {**MINA, "email_opt_out": True})
    assert (difference.lane, difference.reason) == (LANE_FIRST, "opted_out")
    assert difference.changed == ("email_opt_out",)
    assert not difference.is_widening


def test_an_opt_in_is_marked_as_widening_and_goes_second():
    difference = compare(applied(MINA), {**MINA, "sms_opt_out": False})
    assert (difference.lane, difference.reason) == (LANE_SECOND, "opted_in")
    assert difference.is_widening


def test_closing_one_channel_while_opening_the_other_is_both():
    difference = compare(applied(MINA), {**MINA, "email_opt_out": True, "sms_opt_out": False})
    assert difference.is_widening
    assert difference.lane == LANE_FIRST


def test_a_contact_that_gives_its_email_up_goes_first():
    difference = compare(applied(MINA), {**MINA, "email": "new@example.com"})
    assert (difference.lane, difference.reason) == (LANE_FIRST, "source_changed")


def test_a_contact_that_gets_its_first_email_goes_second():
    without = {name: value for name, value in MINA.items() if name != "email"}
    assert compare(applied(without), MINA).lane == LANE_SECOND


def test_an_email_that_is_withheld_now_is_taken_away():
    difference = compare(applied(MINA), MINA, ("email",))
    assert (difference.changed, difference.reason) == (("email",), "medium_withheld")


def test_an_email_that_is_free_again_is_written():
    difference = compare(applied(MINA, ("email",)), MINA)
    assert (difference.changed, difference.reason) == (("email",), "medium_freed")


def test_an_archived_person_is_opted_out_of_everything_and_keeps_the_rest():
    mailable = {**MINA, "email_opt_out": False, "sms_opt_out": False}
    assert archived(mailable) == {**MINA, "email_opt_out": True, "sms_opt_out": True}
