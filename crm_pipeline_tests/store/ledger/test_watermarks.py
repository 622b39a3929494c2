"""Watermarks, what the next read sees again, unfinished reads, batches and stages."""

import datetime as dt

import pytest

from crm_pipeline.errors import LeaseHeldError
from crm_pipeline.store.ledger import PullProgress
from crm_pipeline_tests.store.ledger.samples import ACME, CUSTOMERS, NOW, read

HALFWAY = PullProgress(
    mode="sweep",
    next_link="https://source.example/next",
    watermark_at=NOW,
    started_at=NOW - dt.timedelta(minutes=5),
    batch=1,
    pages=3,
    rows=300,
)


def test_a_dataset_that_was_never_read_has_no_watermark(ledger):
    assert ledger.watermarks.get(*CUSTOMERS) is None
    assert ledger.watermarks.recent(*CUSTOMERS) == {}
    assert ledger.watermarks.load_progress(*CUSTOMERS) is None


def test_a_first_read_counts_as_a_sweep(ledger):
    mark = ledger.watermarks.commit(*CUSTOMERS, read(recent=[("a", "fa")]), expected=None)
    assert ledger.watermarks.get(*CUSTOMERS) == mark
    assert (mark.at, mark.rows_known, mark.swept_at, mark.version) == (NOW, 3, NOW, 1)
    assert ledger.watermarks.recent(*CUSTOMERS) == {"a": "fa"}


def test_an_incremental_read_keeps_what_the_sweep_counted(ledger, clock):
    first = ledger.watermarks.commit(*CUSTOMERS, read(rows=1_000), expected=None)
    clock.forward(60)
    newer = read(2, rows=5, at=NOW + dt.timedelta(seconds=30))
    mark = ledger.watermarks.commit(*CUSTOMERS, newer, expected=first)
    assert (mark.rows_known, mark.last_row_count, mark.swept_at) == (1_000, 5, NOW)
    assert mark.committed_at == NOW + dt.timedelta(seconds=60)
    clock.forward(60)
    swept = ledger.watermarks.commit(*CUSTOMERS, read(3, rows=990, is_sweep=True), expected=mark)
    assert (swept.rows_known, swept.swept_at) == (990, NOW + dt.timedelta(seconds=120))


def test_a_watermark_of_an_empty_source_has_no_time(ledger):
    ledger.watermarks.commit(*CUSTOMERS, read(at=None, rows=0), expected=None)
    assert ledger.watermarks.get(*CUSTOMERS).at is None


def test_a_read_that_started_from_an_old_watermark_changes_nothing(ledger, other):
    first = ledger.watermarks.commit(*CUSTOMERS, read(recent=[("a", "fa")]), expected=None)
    second = ledger.watermarks.commit(*CUSTOMERS, read(2), expected=first)
    other.watermarks.save_progress(*CUSTOMERS, HALFWAY)
    for stale in (None, first):
        with pytest.raises(LeaseHeldError, match="loke/customers of acme"):
            other.watermarks.commit(*CUSTOMERS, read(3, recent=[("b", "fb")]), expected=stale)
    assert ledger.watermarks.get(*CUSTOMERS) == second
    assert ledger.watermarks.recent(*CUSTOMERS) == {}
    assert ledger.watermarks.load_progress(*CUSTOMERS) == HALFWAY


def test_what_the_next_read_sees_again_is_replaced_whole(ledger):
    first = ledger.watermarks.commit(
        *CUSTOMERS, read(recent=[("a", "old"), ("b", "fb"), ("a", "new")]), expected=None
    )
    assert ledger.watermarks.recent(*CUSTOMERS) == {"a": "new", "b": "fb"}
    ledger.watermarks.commit(*CUSTOMERS, read(2, recent=iter([("c", "fc")])), expected=first)
    assert ledger.watermarks.recent(*CUSTOMERS) == {"c": "fc"}


def test_a_complete_read_ends_the_unfinished_one(ledger):
    ledger.watermarks.save_progress(*CUSTOMERS, HALFWAY)
    ledger.watermarks.save_progress(*CUSTOMERS, HALFWAY)
    assert ledger.watermarks.load_progress(*CUSTOMERS) == HALFWAY
    ledger.watermarks.commit(*CUSTOMERS, read(), expected=None)
    assert ledger.watermarks.load_progress(*CUSTOMERS) is None


def test_an_unfinished_read_can_be_forgotten(ledger):
    ledger.watermarks.save_progress(*CUSTOMERS, HALFWAY)
    ledger.watermarks.clear_progress(*CUSTOMERS)
    assert ledger.watermarks.load_progress(*CUSTOMERS) is None


def test_the_watermarks_of_all_organisations_come_in_one_answer(ledger):
    for slug in ("acme", "blue"):
        ledger.watermarks.commit(slug, "loke", "customers", read(), expected=None)
    ledger.watermarks.commit("acme", "loke", "orders", read(7), expected=None)
    marks = ledger.watermarks.get_all("loke", "customers")
    assert {slug: mark.batch for slug, mark in marks.items()} == {"acme": 1, "blue": 1}


def test_batches_grow_for_each_organisation_by_itself(ledger, other):
    assert [ledger.watermarks.next_batch(ACME), other.watermarks.next_batch(ACME)] == [1, 2]
    assert ledger.watermarks.next_batch("blue") == 1
    ledger.organisations.set_paused(ACME, is_paused=True)
    assert ledger.watermarks.next_batch(ACME) == 3
    assert ledger.organisations.is_paused(ACME)


def test_a_stage_goes_forward_only(ledger):
    assert ledger.stages.position(ACME, "resolve:contacts") == 0
    for position in (3, 5, 4):
        ledger.stages.advance(ACME, "resolve:contacts", position)
    assert ledger.stages.position(ACME, "resolve:contacts") == 5
    assert ledger.stages.position("blue", "resolve:contacts") == 0
