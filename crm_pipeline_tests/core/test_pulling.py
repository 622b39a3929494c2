"""When a pull may stop, proven on a list that moves while it is read (FAULTS.md, finding 4)."""

import datetime as dt
import random

from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.core.pulling import (
    PullRules,
    doubt_of_members,
    is_settled,
    is_suspiciously_short,
    may_stop,
    next_watermark,
    stop_floor,
)

START = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)


def at(seconds):
    return None if seconds is None else START + dt.timedelta(seconds=seconds)


def test_rows_as_old_as_the_floor_are_read_on():
    assert not may_stop([at(5), at(0)], at(0))
    assert may_stop([at(5), at(-1)], at(0))


def test_rows_without_a_time_decide_nothing():
    assert may_stop([at(-1), None, None], at(0))
    assert not may_stop([None, None], at(0))
    assert not may_stop([], at(0))


def test_an_old_row_out_of_order_does_not_stop():
    assert not may_stop([at(-9), at(5)], at(0))


def test_nothing_stops_a_first_load():
    assert not may_stop([at(-9)], None)
    assert stop_floor(None, dt.timedelta(seconds=1)) is None


def test_the_floor_lies_an_overlap_below_the_watermark():
    assert stop_floor(at(10), PullRules(overlap_seconds=4).overlap) == at(6)
    assert stop_floor(dt.datetime.min.replace(tzinfo=dt.UTC), dt.timedelta(1)) is None


def test_a_time_in_the_future_never_becomes_the_watermark():
    assert next_watermark([at(10**9), at(7), None, at(3)], at(9)) == at(7)
    assert next_watermark([at(10**9)], at(0)) is None
    assert next_watermark([None], at(0)) is None
    assert next_watermark([at(3601), at(-5)], at(0)) == at(-5)


def test_a_watermark_is_never_ahead_of_the_clock_of_the_source():
    assert next_watermark([at(3600), at(-5)], at(0)) == at(0)


def test_a_scan_is_short_when_it_sees_too_few_of_the_known():
    assert is_suspiciously_short(0, 10, 0.8)
    assert not is_suspiciously_short(0, 0, 0.8)
    assert not is_suspiciously_short(12, 10, 0.8)


def doubt(**changes):
    given = {"seen": 100, "known": 100, "told": 100, "min_share": 0.5, "was_empty": False}
    return doubt_of_members(**{**given, **changes})


def test_a_reading_that_misses_members_whom_the_source_counts_removes_nobody():
    assert doubt(seen=89) == "list_short"
    assert doubt(seen=90) == ""


def test_a_list_that_shrank_is_believed_when_the_source_counts_as_few():
    assert doubt(seen=10, told=10) == ""
    assert doubt(seen=49, told=None) == "list_short"
    assert doubt(seen=50, told=None) == ""


def test_a_sweep_is_settled_after_clean_passes_in_a_row():
    assert not is_settled([0], 2)
    assert not is_settled([0, 1, 0], 2)
    assert is_settled([1, 0, 0], 2)


class MovingList:
    """A source with offset pages: updates move rows to the head while it is read."""

    def __init__(self, chance, page_size):
        self.chance = chance
        self.page_size = page_size
        self.now = 0
        self.rows = dict.fromkeys(range(20), (0, 0))  # id -> (updated second, value)
        self.pending = []  # (visible from, id, row)

    def tick(self):
        """A second passes; up to two rows change, visible at once or up to three seconds later."""
        self.now += self.chance.choice([0, 1, 1])
        for _ in range(self.chance.choice([0, 1, 2])):
            row = self.chance.randrange(22)
            visible = self.now + self.chance.choice([0, 0, 1, 3])
            self.pending.append((visible, row, (self.now, self.chance.random())))
        due = [each for each in self.pending if each[0] <= self.now]
        self.pending = [each for each in self.pending if each[0] > self.now]
        for _, row, version in due:
            if version[0] >= self.rows.get(row, (0, 0))[0]:
                self.rows[row] = version

    def page(self, number):
        self.tick()
        order = sorted(self.rows.items(), key=lambda item: (-item[1][0], item[0]))
        start = number * self.page_size
        return order[start : start + self.page_size]


class Puller:
    """The rules under test, on plain values."""

    def __init__(self, overlap):
        self.overlap = dt.timedelta(seconds=overlap)
        self.watermark = None
        self.landed = {}

    def pull(self, source):
        floor = stop_floor(self.watermark, self.overlap)
        watermark, number = None, 0
        while page := source.page(number):
            times = [at(version[0]) for _, version in page]
            if number == 0:
                watermark = next_watermark(times, at(source.now))
            for row, version in page:
                if version[0] >= self.landed.get(row, (-1, 0))[0]:
                    self.landed[row] = version
            if may_stop(times, floor):
                break
            number += 1
        self.watermark = watermark or self.watermark


@given(st.integers(0, 10**6), st.sampled_from([3, 5, 8]))
def test_no_update_of_a_moving_list_is_lost(seed, page_size):
    source = MovingList(random.Random(seed), page_size)
    puller = Puller(overlap=10)
    for _ in range(6):
        puller.pull(source)
    source.chance = Quiet()
    source.now += 5
    for _ in range(3):
        puller.pull(source)
    assert puller.landed == source.rows


class Quiet:
    """No more changes; what was pending becomes visible."""

    def choice(self, values):
        return values[0]

    def randrange(self, _stop):
        raise AssertionError("a quiet list does not change")
