"""Pulls against the fake LOKE (FAULTS.md P01-P25)."""

import contextlib
import dataclasses
import datetime as dt

import pytest

from crm_pipeline.core.times import format_time
from crm_pipeline.errors import CrmPipelineError, SourceUnstableError, TryLaterError
from crm_pipeline.sandbox.control.faults import FaultRule
from crm_pipeline.sources.loke import SOURCE
from crm_pipeline.store.ledger import Ledger
from crm_pipeline.sync.land import newest, pull
from crm_pipeline_tests.sync.conftest import ORGANISATION, SLUG, TABLE


def same_names(desk):
    landed, source = desk.landed(), desk.at_source()
    assert landed.keys() == source.keys()
    return all(
        landed[key]["first_name"] == source[key]["firstName"]
        and landed[key]["updated_at"] == source[key].get("updatedAt")
        for key in source
    )


def test_a_first_load_lands_everything_and_sets_the_watermark(desk):
    report = desk.pull()
    assert (report.is_first, report.rows_landed, report.pages) == (True, 25, 3)
    assert same_names(desk)
    assert desk.watermark().rows_known == 25
    assert desk.watermark().at == report.watermark_at is not None


def test_a_quiet_pull_reads_one_page_and_writes_nothing(desk):
    desk.pull()
    version, mark, asked = desk.ws.lake.version(SLUG, TABLE), desk.watermark(), desk.requests()
    report = desk.pull()
    assert desk.requests() == asked + 1
    assert (report.pages, report.rows_landed) == (1, 0)
    assert desk.ws.lake.version(SLUG, TABLE) == version
    assert desk.watermark() == mark


def test_only_what_changed_is_landed(desk):
    desk.pull()
    changed = desk.change(count=3, fields={"firstName": "Changed"})
    report = desk.pull()
    assert report.rows_landed == 3
    assert same_names(desk)
    assert all(desk.landed()[row_id]["first_name"] == "Changed" for row_id in changed)
    assert desk.pull().rows_landed == 0


def test_ties_over_a_page_border_are_all_seen(desk):
    desk.pull()
    desk.change(count=25, fields={"lastName": "Imported"})
    report = desk.pull()
    assert report.rows_landed == 25
    assert same_names(desk)


def test_rows_without_a_time_are_landed_and_stop_nothing(desk):
    ids = list(desk.at_source())[::3]
    desk.sandbox.loke.mutate(ORGANISATION.id, ids=ids, fields={"updatedAt": None}, bump=False)
    assert desk.pull().rows_landed == 25
    landed = desk.landed()
    assert all(landed[row_id]["version_at"] is None for row_id in ids)
    desk.change(count=2)
    desk.pull()
    assert same_names(desk)


@pytest.mark.parametrize("how", ["pull", "sweep"])
def test_a_time_outranks_none_although_the_source_s_clock_is_behind(desk, how):
    row_id = next(iter(desk.at_source()))
    desk.change(ids=[row_id], fields={"updatedAt": None, "firstName": "Before"}, bump=False)
    desk.pull()
    behind = format_time(desk.clock() - dt.timedelta(hours=1))
    desk.change(ids=[row_id], fields={"firstName": "After"}, updated_at=behind)
    desk.pull(*([how] if how == "sweep" else []))
    assert desk.landed()[row_id]["first_name"] == "After"


@pytest.mark.parametrize(("how", "is_recent"), [("pull", True), ("sweep", True), ("sweep", False)])
def test_a_row_that_loses_its_time_is_still_the_newest(desk, how, is_recent):
    row_id = list(desk.at_source())[-1]
    if is_recent:
        desk.change(ids=[row_id])
    desk.pull()
    known = desk.landed()[row_id]["version_at"]
    desk.change(ids=[row_id], fields={"updatedAt": None, "firstName": "After"}, bump=False)
    desk.pull(*([how] if how == "sweep" else []))
    landed = desk.landed()[row_id]
    assert (landed["first_name"], landed["updated_at"]) == ("After", None)
    assert known < landed["version_at"] < known + dt.timedelta(seconds=1)
    assert desk.pull().rows_landed == 0


def test_a_time_in_the_future_hides_no_later_update(desk):
    desk.pull()
    strange = desk.change(count=1, updated_at="2999-01-01T00:00:00Z")
    report = desk.pull()
    assert report.times_in_future == 1
    assert desk.watermark().at.year < 2999
    desk.change(ids=strange, fields={"firstName": "Later"})
    other = desk.change(count=1, fields={"firstName": "Other"})
    desk.pull()
    assert desk.landed()[strange[0]]["first_name"] == "Later"
    assert desk.landed()[other[0]]["first_name"] == "Other"


def test_an_unreadable_time_is_landed_and_counted(desk):
    ids = desk.change(count=1, fields={"updatedAt": "last Tuesday"}, bump=False)
    report = desk.pull()
    assert report.times_unreadable == 1
    assert desk.landed()[ids[0]]["version_at"] is None


def test_a_row_that_a_page_shows_older_than_before_is_ignored_and_counted(desk):
    desk.pull()
    ids = desk.change(count=1, fields={"firstName": "New"})
    desk.pull()
    desk.change(ids=ids, fields={"firstName": "Old"}, updated_at="2026-11-21T12:00:00.500Z")
    report = desk.pull()
    assert report.rows_stale == 1
    assert desk.landed()[ids[0]]["first_name"] == "New"


def test_a_row_that_a_sweep_shows_older_than_before_is_taken(desk):
    desk.pull()
    ids = desk.change(count=1, fields={"firstName": "Restored"}, updated_at="2001-01-01T00:00:00Z")
    assert desk.pull().rows_landed == 0
    desk.pull("sweep")
    assert desk.landed()[ids[0]]["first_name"] == "Restored"
    assert desk.pull("sweep").rows_landed == 0


def test_what_changes_after_a_restore_wins_although_the_source_s_clock_is_behind(desk):
    desk.pull()
    [row_id] = desk.change(count=1, updated_at=format_time(desk.clock() - dt.timedelta(hours=3)))
    desk.pull("sweep")
    desk.change(ids=[row_id], fields={"firstName": "Restored"}, updated_at="2001-01-01T00:00:00Z")
    desk.pull("sweep")
    assert desk.landed()[row_id]["first_name"] == "Restored"
    behind = format_time(desk.clock() - dt.timedelta(hours=2))
    desk.change(ids=[row_id], fields={"firstName": "After"}, updated_at=behind)
    desk.pull("sweep")
    assert desk.landed()[row_id]["first_name"] == "After"


def test_a_sweep_finds_what_changed_without_a_new_time_and_writes_nothing_else(desk):
    desk.pull()
    desk.sandbox.loke.mutate(
        ORGANISATION.id, count=4, fields={"statistics": {"pointsBalance": 77}}, bump=False
    )
    report = desk.pull("sweep")
    assert (report.rows_landed, report.rows_late) == (4, 4)
    assert report.passes == 3
    assert desk.watermark().swept_at is not None
    again = desk.pull("sweep")
    assert (again.rows_landed, again.passes) == (0, 2)


def test_changes_made_during_a_sweep_do_not_count_as_late(desk):
    desk.pull()
    rule = FaultRule(kind="move_rows", path="/customers", times=None, mutate=1, pick="oldest")
    desk.clock.turn(seconds=30)
    desk.sandbox.loke.faults.add(rule)
    report = desk.pull("sweep")
    desk.sandbox.loke.faults.clear()
    assert report.passes == 2
    assert report.rows_late == 0
    desk.pull()
    assert same_names(desk)


@pytest.mark.parametrize("cursor", ["key", "offset"])
def test_rows_that_move_while_they_are_read_are_found_by_the_next_pull(desk, cursor):
    desk.sandbox.loke.switch(cursor=cursor)
    desk.pull()
    desk.change(count=15)
    rule = FaultRule(kind="move_rows", path="/customers", times=None, mutate=2, pick="any")
    desk.sandbox.loke.faults.add(rule)
    desk.clock.turn(seconds=1)
    desk.pull()
    desk.sandbox.loke.faults.clear()
    desk.pull()
    assert same_names(desk)


def test_a_row_that_slips_over_a_page_border_is_found_by_reading_again(desk):
    desk.sandbox.loke.switch(cursor="offset")
    desk.pull()
    desk.change(count=25, fields={"lastName": "All"})
    rule = FaultRule(kind="move_rows", path="after=", times=1, delete=1, pick="newest")
    desk.sandbox.loke.faults.add(rule)
    report = desk.pull()
    source = desk.at_source()
    assert len(source) == 24
    assert report.pages > 3
    landed = desk.landed()
    assert all(landed[row_id]["last_name"] == "All" for row_id in source)


def test_a_failed_page_moves_no_watermark_and_the_next_pull_covers_the_gap(desk):
    desk.pull()
    mark = desk.watermark()
    desk.change(count=25, fields={"lastName": "All"})
    desk.sandbox.loke.faults.add(FaultRule(kind="status", path="after=", times=None, status=500))
    with pytest.raises(CrmPipelineError):
        desk.pull()
    assert desk.watermark() == mark
    desk.sandbox.loke.faults.clear()
    desk.pull()
    assert same_names(desk)


def test_a_full_disk_moves_no_watermark_and_the_next_pull_covers_the_gap(desk, full_disk):
    desk.pull()
    mark = desk.watermark()
    desk.change(count=3, fields={"lastName": "Unlanded"})
    with full_disk(), pytest.raises(TryLaterError):
        desk.pull()
    assert desk.watermark() == mark
    assert desk.pull().rows_landed == 3
    assert same_names(desk)


def test_a_first_load_that_met_a_full_disk_leaves_no_page_out(desk, full_disk):
    desk.rules = dataclasses.replace(desk.rules, group_pages=1)
    desk.sandbox.loke.faults.add(FaultRule(kind="status", page=2, times=None, status=500))
    with pytest.raises(CrmPipelineError):
        desk.pull()
    desk.sandbox.loke.faults.clear()
    with full_disk(), pytest.raises(TryLaterError):
        desk.pull()
    assert desk.pull().rows_landed == 15
    assert same_names(desk)


def test_a_first_load_that_was_stopped_goes_on_where_it_was(desk):
    desk.sandbox.loke.faults.add(FaultRule(kind="status", page=3, times=None, status=500))
    with pytest.raises(CrmPipelineError):
        desk.pull()
    assert desk.watermark() is None
    assert desk.ws.lake.row_count(SLUG, TABLE) == 20
    desk.sandbox.loke.faults.clear()
    asked = desk.requests()
    report = desk.pull()
    assert desk.requests() == asked + 1
    assert report.rows_landed == 5
    assert same_names(desk)
    assert desk.watermark().rows_known == 25


def test_a_first_load_starts_anew_when_its_link_is_no_longer_taken(desk):
    desk.sandbox.loke.faults.add(FaultRule(kind="status", page=3, times=None, status=500))
    with pytest.raises(CrmPipelineError):
        desk.pull()
    desk.sandbox.loke.faults.clear()
    desk.sandbox.loke.faults.add(FaultRule(kind="status", path="after=", times=1, status=400))
    report = desk.pull()
    assert report.rows_landed == 5
    assert same_names(desk)


def test_a_first_load_of_the_day_before_yesterday_starts_anew(desk):
    desk.sandbox.loke.faults.add(FaultRule(kind="status", page=3, times=None, status=500))
    with pytest.raises(CrmPipelineError):
        desk.pull()
    desk.sandbox.loke.faults.clear()
    desk.clock.turn(days=2)
    assert desk.pull().pages == 3


def test_a_lost_watermark_lands_nothing_twice(desk):
    desk.pull()
    rows = desk.ws.lake.row_count(SLUG, TABLE)
    forget(desk)
    report = desk.pull()
    assert (report.is_first, report.rows_landed) == (True, 0)
    assert desk.ws.lake.row_count(SLUG, TABLE) == rows


def forget(desk):
    """Lose the ledger, as a restore from nothing does."""
    path = desk.ws.lake._place.root.parent / "other.db"
    ledger = Ledger(f"sqlite:///{path}", clock=desk.clock)
    ledger.migrate()
    desk.ws = dataclasses.replace(desk.ws, ledger=ledger)


def test_a_source_that_is_suddenly_empty_removes_nobody(desk):
    desk.pull()
    mark = desk.watermark()
    desk.clock.turn(minutes=1)
    desk.sandbox.loke.delete(ORGANISATION.id, ids=list(desk.at_source()))
    assert desk.peek().has_news
    for mode in ("incremental", "sweep"):
        with pytest.raises(SourceUnstableError, match="25 are known"):
            desk.pull(mode)
    assert desk.watermark() == mark
    assert len(desk.landed()) == 25
    forget(desk)
    with pytest.raises(SourceUnstableError, match="25 are known"):
        desk.pull()


def test_a_lost_next_link_is_asked_for_again(desk):
    desk.sandbox.loke.faults.add(FaultRule(kind="next_link", link="missing", page=2, times=1))
    assert desk.pull().rows_landed == 25


def test_a_list_that_ends_with_a_full_page_is_believed_when_links_were_given_before(desk):
    desk.sandbox.loke.seed(ORGANISATION.id, 20)
    assert desk.pull().rows_landed == 20
    assert desk.pull("sweep").rows_landed == 0


def test_a_single_full_page_without_a_link_is_believed_by_the_second_pull(desk):
    full = dataclasses.replace(SOURCE.datasets["customers"], page_size=10)
    desk.sandbox.loke.seed(ORGANISATION.id, 10)
    with pytest.raises(SourceUnstableError, match="names no next page"):
        pull_with(desk, full)
    assert desk.watermark() is None
    assert pull_with(desk, full).rows_landed == 0
    assert desk.watermark().rows_known == 10
    desk.change(count=10)
    assert pull_with(desk, full).rows_landed == 10


def test_a_single_full_page_is_not_believed_when_more_is_known(desk):
    full = dataclasses.replace(SOURCE.datasets["customers"], page_size=10)
    desk.pull()
    mark = desk.watermark()
    desk.change(count=25)
    desk.sandbox.loke.faults.add(FaultRule(kind="next_link", link="missing", times=None))
    with pytest.raises(SourceUnstableError):
        pull_with(desk, full)
    assert desk.watermark() == mark


def pull_with(desk, dataset):
    source = dataclasses.replace(SOURCE, datasets={"customers": dataset})
    return pull(desk.ws, SLUG, source, desk.api, "customers", mode="incremental", rules=desk.rules)


def test_links_that_go_in_a_circle_are_an_error(desk):
    desk.sandbox.loke.faults.add(FaultRule(kind="next_link", link="loop", times=None))
    with pytest.raises(SourceUnstableError, match="circle"):
        desk.pull()
    assert desk.watermark() is None


def test_ties_in_ever_another_order_are_reported_or_complete(desk):
    desk.sandbox.loke.seed(ORGANISATION.id, 60)
    desk.clock.turn(seconds=5)
    desk.sandbox.loke.mutate(ORGANISATION.id, ids=list(desk.at_source()))
    desk.sandbox.loke.faults.add(FaultRule(kind="shuffle_ties", times=None))
    desk.pull()
    desk.clock.turn(minutes=5)
    with contextlib.suppress(SourceUnstableError):
        desk.pull("sweep")
        assert desk.landed().keys() == desk.at_source().keys()


def test_two_pulls_at_once_move_one_watermark(desk):
    desk.pull()
    desk.change(count=2)
    stale = desk.watermark()
    desk.pull()
    desk.ws.ledger.watermarks.get = lambda *_: stale
    desk.change(count=1)
    with pytest.raises(CrmPipelineError, match="meanwhile"):
        desk.pull()


def test_many_new_rows_are_compared_with_the_lake_as_a_set(desk, monkeypatch):
    monkeypatch.setattr(newest, "SET_ROWS", 5)
    desk.pull()
    desk.change(count=20, fields={"firstName": "Set"})
    assert desk.pull().rows_landed == 20
    assert same_names(desk)


def test_a_record_without_an_id_is_set_aside_and_the_others_land(desk):
    page = desk.api.first_page("customers")
    body = page.body[:-1] + b',{"firstName":"Nobody"}]'
    api = FirstPage(desk.api, dataclasses.replace(page, body=body))
    report = desk.pull(api=api)
    assert (report.rejects, report.rows_landed) == (1, 25)
    assert desk.ws.ledger.rejects.counts(SLUG) == {"record_without_id": 1}


class FirstPage:
    """A source whose first page is another one."""

    def __init__(self, api, page):
        self.first_page = lambda _dataset: page
        self.next_page, self.decode = api.next_page, api.decode


def test_progress_is_told(desk):
    told = []
    desk.ws = dataclasses.replace(desk.ws, report_progress=told.append)
    desk.pull()
    assert [each.done for each in told] == [10, 20, 25]


def test_a_look_tells_news_from_quiet_and_writes_nothing(desk):
    assert desk.peek().version == "first"
    desk.pull()
    assert not desk.peek()
    desk.clock.turn(minutes=5)
    assert not desk.peek()
    desk.change(count=2)
    look = desk.peek()
    assert (look.has_news, look.rows) == (True, 2)
    assert desk.peek() == look
    desk.change(count=1)
    assert desk.peek().version != look.version
    desk.pull()
    assert not desk.peek()
