"""Times as sources spell them."""

import datetime as dt

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.core.times import (
    TIME_TYPE,
    UnreadableTimeError,
    format_time,
    parse_time,
    parse_times,
)

NOON = dt.datetime(2024, 6, 7, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    "text",
    [
        "2024-06-07T12:00:00Z",
        "2024-06-07T12:00:00z",
        "2024-06-07T12:00:00.000Z",
        "2024-06-07T12:00:00.0000000Z",
        "2024-06-07t22:00:00+10:00",
        "2024-06-07T22:00:00+1000",
        "2024-06-07 22:00:00+10",
        "2024-06-07T12:00Z",
        "2024-06-07T12Z",
    ],
)
def test_every_spelling_of_one_moment_is_the_same_moment(text):
    assert parse_time(text) == NOON
    assert parse_time(text).tzinfo is dt.UTC


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024-06-07",
        "2024-06-07T12:00:00",
        "2024-02-30T12:00:00Z",
        "2024-06-07T25:00:00Z",
        "2024-06-07T12:00:61Z",
        "0001-01-01T00:00:00+14:00",
        "٢٠٢٤-06-07T12:00:00Z",
        "2024-06-07T12:00:00Z\n",
        "soon",
    ],
)
def test_what_names_no_moment_is_refused(text):
    with pytest.raises(UnreadableTimeError):
        parse_time(text)


def test_a_leap_second_is_the_last_moment_of_its_minute():
    leap = parse_time("2016-12-31T23:59:60Z")
    assert parse_time("2016-12-31T23:59:59.999Z") < leap < parse_time("2017-01-01T00:00:00Z")


def test_seven_digits_are_cut_to_microseconds():
    assert parse_time("2024-06-07T12:00:00.1234567Z").microsecond == 123456


def test_a_naive_time_is_not_written():
    with pytest.raises(ValueError, match="offset"):
        format_time(dt.datetime(2024, 6, 7))  # noqa: DTZ001


@given(st.datetimes(timezones=st.just(dt.UTC)))
def test_what_is_written_is_read_back(moment):
    assert parse_time(format_time(moment)) == moment


def test_a_regular_column_is_read_in_one_go():
    read = parse_times(pa.array(["2024-06-07T12:00:00Z", None, "2024-06-07T12:00:00.000Z"]))
    assert read.values.to_pylist() == [NOON, None, NOON]
    assert read.unreadable == 0
    assert read.values.type == TIME_TYPE


def test_odd_times_in_a_column_are_read_one_by_one_and_the_unreadable_counted():
    texts = ["2024-06-07T12:00:00Z", "2016-12-31T23:59:60Z", None, "2024-06-07T12:00:00", "x"]
    read = parse_times(pa.array(texts))
    assert [value is None for value in read.values.to_pylist()] == [False, False, True, True, True]
    assert read.unreadable == 2


_parts = st.tuples(
    st.sampled_from(["2024-06-07", "2024-02-30", "1969-12-31", "2999-01-01"]),
    st.sampled_from(["T", " "]),
    st.sampled_from(["00", "00:00", "23:59:59", "24:00:00", "23:59:60", "07:08:09.1", "07:08:09."]),
    st.sampled_from(["", "Z", "+10:00", "-0330", "+14", "+99:00"]),
)


@given(_parts.map("".join))
def test_both_ways_of_reading_a_time_agree(text):
    try:
        in_one_go = pc.cast(pa.array([text]), TIME_TYPE)[0].as_py()
    except pa.ArrowInvalid:
        return
    assert parse_time(text) == in_one_go
