"""Members of lists: additions and removals are derived, and no fault of the source removes anybody
(FAULTS.md P16-P18, vendors file traps 10 and 11)."""

import dataclasses

import pytest

from crm_pipeline.core.pulling import ListRule, PullRules
from crm_pipeline.errors import AnswerLostError, MalformedAnswerError, SourceUnstableError
from crm_pipeline.sandbox import FaultRule
from crm_pipeline.sources.loke import SOURCE
from crm_pipeline.sync.land import peek, pull
from crm_pipeline_tests.sync.conftest import ORGANISATION, SLUG

TABLE = "landed/loke/list_members"
NAMES = (SLUG, "loke", "list_members")


class Lists:
    """Two opted-in lists of the sandbox: ``vip`` of three pages, ``staff`` of one."""

    def __init__(self, desk):
        self.desk = desk
        self.loke = desk.sandbox.loke
        self.loke.switch(member_page_size=10)
        self.people = [each["id"] for each in self.loke.customers(ORGANISATION.id)]
        self.vip = self.loke.create_list(ORGANISATION.id, "VIP")
        self.staff = self.loke.create_list(ORGANISATION.id, "Staff")
        self.loke.add_members(ORGANISATION.id, self.vip, self.people[:23])
        self.loke.add_members(ORGANISATION.id, self.staff, self.people[:4])
        rules = (ListRule(id=self.vip, name="VIP"), ListRule(id=self.staff, name="Staff"))
        self.rules = PullRules(overlap_seconds=600, group_pages=2, lists=rules)
        self.spec = SOURCE

    def pull(self, api=None):
        self.desk.clock.turn(minutes=15)
        return pull(
            self.desk.ws,
            SLUG,
            self.spec,
            api or self.desk.api,
            "list_members",
            mode="incremental",
            rules=self.rules,
        )

    def add(self, list_id, *places):
        self.loke.add_members(ORGANISATION.id, list_id, [self.people[each] for each in places])

    def remove(self, list_id, *places):
        chosen = [self.people[each] for each in places] or None
        self.loke.remove_members(ORGANISATION.id, list_id, chosen)

    def fail(self, **rule):
        self.loke.faults.add(FaultRule(times=None, **rule))

    def landed(self):
        rows = self.desk.ws.lake.current(SLUG, TABLE, "id").read_all().to_pylist()
        return {row["id"]: row for row in rows}

    def members(self, list_id):
        return {
            row["customer_id"]
            for row in self.landed().values()
            if row["list_id"] == list_id and row["is_member"]
        }

    def at_source(self, list_id):
        return set(self.loke.members(ORGANISATION.id, list_id))

    def are_right(self):
        return all(self.members(each) == self.at_source(each) for each in (self.vip, self.staff))

    def reasons(self):
        return dict(self.desk.ws.ledger.rejects.counts(SLUG))

    def rows(self):
        return self.desk.ws.lake.row_count(SLUG, TABLE)

    def watermark(self):
        return self.desk.ws.ledger.watermarks.get(*NAMES)


@pytest.fixture
def lists(desk):
    return Lists(desk)


class Told:
    """The same source that counts the members of a list otherwise."""

    def __init__(self, api, count):
        self._api = api
        self._count = count

    def __getattr__(self, name):
        return getattr(self._api, name)

    def lists(self):
        return [dataclasses.replace(each, member_count=self._count) for each in self._api.lists()]


def test_a_first_reading_lands_every_member_of_every_list(lists):
    report = lists.pull()
    assert (report.is_first, report.added, report.removed, report.rows_landed) == (True, 27, 0, 27)
    assert lists.are_right()
    mark = lists.watermark()
    assert (mark.rows_known, mark.at, mark.swept_at) == (27, report.watermark_at, mark.committed_at)


def test_a_reading_without_changes_lands_nothing(lists):
    lists.pull()
    rows = lists.rows()
    report = lists.pull()
    assert (report.added, report.removed, report.rows_landed) == (0, 0, 0)
    assert lists.rows() == rows
    assert lists.watermark().version == 2


def test_who_came_and_who_left_is_landed(lists):
    lists.pull()
    lists.desk.clock.turn(minutes=1)
    lists.add(lists.staff, 10, 11)
    lists.remove(lists.staff, 0)
    lists.remove(lists.vip, 3, 4)
    report = lists.pull()
    assert (report.added, report.removed, report.rows_landed) == (2, 3, 5)
    assert lists.are_right()
    gone = lists.landed()[f"{lists.staff}/{lists.people[0]}"]
    assert (gone["is_member"], gone["version_at"]) == (False, report.watermark_at)
    assert gone["added_at"] is not None
    assert lists.pull().rows_landed == 0


def test_who_comes_back_is_a_member_again(lists):
    lists.pull()
    lists.remove(lists.staff, 0)
    lists.pull()
    lists.add(lists.staff, 0)
    report = lists.pull()
    assert (report.added, report.removed) == (1, 0)
    assert lists.are_right()


def test_who_comes_back_with_the_old_time_of_adding_is_a_member_again(lists):
    lists.pull()
    store = lists.loke.tenant(ORGANISATION.id).lists.get(lists.staff)
    before = dict(store.members)
    lists.remove(lists.staff, 0)
    lists.pull()
    store.members = before
    assert lists.pull().added == 1
    assert lists.are_right()
    assert lists.pull().rows_landed == 0


def test_a_changed_member_is_landed_and_counts_as_neither(lists):
    lists.pull()
    lists.desk.change(ids=[lists.people[0]], fields={"email": "new@example.com"})
    report = lists.pull()
    assert (report.added, report.removed, report.rows_landed) == (0, 0, 2)
    assert lists.landed()[f"{lists.vip}/{lists.people[0]}"]["email"] == "new@example.com"


def test_only_opted_in_lists_are_read(lists):
    lists.rules = dataclasses.replace(lists.rules, lists=lists.rules.lists[1:])
    assert lists.pull().added == 4
    assert lists.members(lists.vip) == set()


def test_without_lists_nothing_is_asked(lists):
    lists.rules = dataclasses.replace(lists.rules, lists=())
    asked = len(lists.loke.requests.entries())
    assert lists.pull().pages == 0
    assert len(lists.loke.requests.entries()) == asked
    assert lists.watermark().rows_known == 0


def test_a_failed_page_removes_nobody_and_the_other_lists_go_on(lists):
    lists.pull()
    mark = lists.watermark()
    lists.remove(lists.vip, 0, 1)
    lists.remove(lists.staff, 0)
    lists.fail(kind="status", path=f"{lists.vip}/members.*after", status=500)
    with pytest.raises(AnswerLostError):
        lists.pull()
    assert len(lists.members(lists.vip)) == 23
    assert lists.members(lists.staff) == lists.at_source(lists.staff)
    assert lists.reasons() == {"list_unread": 1}
    assert lists.watermark() == mark
    lists.loke.faults.clear()
    assert lists.pull().removed == 2
    assert (lists.reasons(), lists.are_right()) == ({}, True)


def test_who_was_added_is_kept_when_a_later_page_fails(lists):
    lists.fail(kind="status", path=f"{lists.vip}/members.*after", status=500)
    lists.rules = dataclasses.replace(lists.rules, group_pages=1)
    with pytest.raises(AnswerLostError):
        lists.pull()
    assert len(lists.members(lists.vip)) == 10


def test_a_page_that_is_no_page_removes_nobody(lists):
    lists.pull()
    lists.remove(lists.staff, 0)
    lists.fail(kind="status", path=f"{lists.staff}/members", status=200, content="html")
    with pytest.raises((MalformedAnswerError, SourceUnstableError)):
        lists.pull()
    assert len(lists.members(lists.staff)) == 4


def test_a_lost_next_link_removes_nobody(lists):
    lists.pull()
    small = dataclasses.replace(SOURCE.datasets["list_members"], page_size=10)
    lists.spec = dataclasses.replace(SOURCE, datasets={"list_members": small})
    lists.fail(kind="next_link", link="missing", path=f"{lists.vip}/members")
    report = lists.pull()
    assert report.lists_reported == {lists.vip: "list_cut"}
    assert (report.removed, len(lists.members(lists.vip))) == (0, 23)


def test_a_lost_next_link_removes_nobody_when_the_size_of_pages_is_unknown(lists):
    lists.pull()
    lists.fail(kind="next_link", link="missing", path=f"{lists.vip}/members")
    assert lists.pull().lists_reported == {lists.vip: "list_short"}
    assert len(lists.members(lists.vip)) == 23


def test_a_list_that_is_suddenly_short_removes_nobody_while_the_source_counts_more(lists):
    lists.pull()
    lists.remove(lists.staff, 0, 1, 2)
    report = lists.pull(Told(lists.desk.api, 4))
    assert report.lists_reported[lists.staff] == "list_short"
    assert len(lists.members(lists.staff)) == 4
    report = lists.pull()
    assert (report.removed, report.lists_reported) == (3, {})
    assert lists.are_right()


def test_a_list_that_is_suddenly_short_removes_nobody_when_the_source_counts_nothing(lists):
    lists.pull()
    lists.remove(lists.staff, 0, 1, 2)
    assert lists.pull(Told(lists.desk.api, None)).lists_reported[lists.staff] == "list_short"
    rules = (*lists.rules.lists[:1], dataclasses.replace(lists.rules.lists[1], min_share=0))
    lists.rules = dataclasses.replace(lists.rules, lists=rules)
    assert lists.pull(Told(lists.desk.api, None)).removed == 3


def test_an_empty_list_is_believed_when_the_source_counts_nobody_twice(lists):
    lists.pull()
    lists.remove(lists.staff)
    assert lists.pull().lists_reported == {lists.staff: "list_empty"}
    assert len(lists.members(lists.staff)) == 4
    assert lists.reasons() == {"list_empty": 1}
    assert lists.pull().removed == 4
    assert (lists.reasons(), lists.are_right()) == ({}, True)
    assert lists.pull().removed == 0


def test_two_empty_readings_that_are_not_in_a_row_remove_nobody(lists):
    lists.pull()
    lists.remove(lists.staff)
    lists.pull()
    lists.add(lists.staff, 0, 1, 2, 3)
    lists.pull()
    lists.remove(lists.staff)
    assert lists.pull().lists_reported == {lists.staff: "list_empty"}
    assert len(lists.members(lists.staff)) == 4


def test_an_empty_answer_of_a_list_that_counts_members_is_never_believed(lists):
    lists.pull()
    lists.fail(kind="status", path=f"{lists.staff}/members", status=200, body="[]")
    for _ in range(3):
        assert lists.pull().lists_reported == {lists.staff: "list_empty"}
    assert len(lists.members(lists.staff)) == 4


def test_a_list_that_vanished_is_reported_and_removes_nobody(lists):
    lists.pull()
    lists.loke.delete_list(ORGANISATION.id, lists.vip)
    lists.remove(lists.staff, 0)
    report = lists.pull()
    assert report.lists_reported == {lists.vip: "list_vanished"}
    assert (report.removed, len(lists.members(lists.vip))) == (1, 23)
    assert lists.reasons() == {"list_vanished": 1}


def test_a_list_that_vanishes_while_it_is_read_is_reported(lists):
    lists.pull()
    lists.fail(kind="status", path=f"{lists.vip}/members", status=404)
    assert lists.pull().lists_reported == {lists.vip: "list_vanished"}
    assert len(lists.members(lists.vip)) == 23


def test_a_list_that_was_renamed_is_reported_and_read_on(lists):
    lists.pull()
    lists.loke.rename_list(ORGANISATION.id, lists.staff, "Team")
    lists.add(lists.staff, 10)
    lists.remove(lists.staff, 0)
    report = lists.pull()
    assert report.lists_reported == {lists.staff: "list_renamed"}
    assert (report.added, report.removed, lists.are_right()) == (1, 1, True)
    lists.loke.rename_list(ORGANISATION.id, lists.staff, "Staff")
    assert (lists.pull().lists_reported, lists.reasons()) == ({}, {})


def test_a_record_without_an_id_may_be_anybody_so_nobody_is_removed(lists):
    lists.pull()
    lists.remove(lists.staff, 0)
    lists.fail(kind="status", path=f"{lists.staff}/members", status=200, body='[{"firstName":"A"}]')
    assert lists.pull().lists_reported == {lists.staff: "list_unclear"}
    assert len(lists.members(lists.staff)) == 4


def test_who_slips_over_a_page_border_is_not_removed(lists):
    lists.pull()
    api = Slipping(lists)
    assert lists.pull(api).removed == 0
    assert api.has_slipped
    assert lists.members(lists.vip) == {*lists.at_source(lists.vip), lists.people[0]}
    assert lists.pull().removed == 1
    assert lists.are_right()


class Slipping:
    """While the second page is on its way, somebody on the first leaves the list."""

    def __init__(self, lists):
        self._lists = lists
        self._api = lists.desk.api
        self.has_slipped = False

    def __getattr__(self, name):
        return getattr(self._api, name)

    def next_page(self, link):
        if not self.has_slipped:
            self.has_slipped = True
            self._lists.remove(self._lists.vip, 0)
        return self._api.next_page(link)


def test_a_lost_ledger_lands_nothing_twice(lists):
    lists.pull()
    rows = lists.rows()
    watermarks = lists.desk.ws.ledger.watermarks
    get, watermarks.get = watermarks.get, lambda *_: None
    try:
        with pytest.raises(Exception, match="meanwhile"):
            lists.pull()
    finally:
        watermarks.get = get
    assert lists.rows() == rows


def test_lists_have_news_before_their_first_reading_only(lists):
    desk = lists.desk

    def look():
        return peek(desk.ws, SLUG, SOURCE, desk.api, "list_members", lists.rules)

    assert look().version == "first"
    lists.pull()
    lists.add(lists.staff, 10)
    asked = len(lists.loke.requests.entries())
    assert not look()
    assert len(lists.loke.requests.entries()) == asked
