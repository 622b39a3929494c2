"""Datasets that are read whole each time: what differs is landed, nobody is taken for gone."""

import pytest

from crm_pipeline.core.pulling import PullRules
from crm_pipeline.errors import SourceUnstableError
from crm_pipeline.sync.land import landed_table, peek, pull
from crm_pipeline.sync.land.missing import missing_table
from crm_pipeline_tests.sync.conftest import SLUG
from crm_pipeline_tests.sync.shelf import Shelf, shelf_spec

TABLE = landed_table("shelf", "things")


class Whole:
    def __init__(self, desk):
        self.desk = desk
        self.shelf = Shelf()
        self.spec = shelf_spec("whole")
        self.rules = PullRules(group_pages=2)
        for number in range(8):
            self.shelf.put(f"t{number}", "NEW")

    def pull(self, mode="incremental"):
        self.desk.clock.turn(minutes=20)
        return pull(
            self.desk.ws, SLUG, self.spec, self.shelf, "things", mode=mode, rules=self.rules
        )

    def landed(self):
        rows = self.desk.ws.lake.current(SLUG, TABLE, "id").read_all().to_pylist()
        return {row["id"]: row["status"] for row in rows}

    def at_source(self):
        return {key: thing["status"] for key, thing in self.shelf.things.items()}

    def watermark(self):
        return self.desk.ws.ledger.watermarks.get(SLUG, "shelf", "things")


@pytest.fixture
def whole(desk):
    return Whole(desk)


def test_the_first_reading_lands_everything(whole):
    report = whole.pull()
    assert (report.is_first, report.rows_landed, report.pages) == (True, 8, 3)
    assert whole.landed() == whole.at_source()
    assert whole.watermark().at == report.watermark_at is not None


@pytest.mark.parametrize("mode", ["incremental", "sweep"])
def test_later_readings_land_what_is_new_or_differs(whole, mode):
    whole.pull()
    whole.shelf.put("t3", "DONE")
    whole.shelf.put("t9", "NEW")
    report = whole.pull(mode)
    assert (report.rows_landed, report.rows_late, report.passes) == (2, 0, 1)
    assert whole.landed() == whole.at_source()
    assert whole.pull(mode).rows_landed == 0
    assert whole.watermark().version == 3


def test_what_changes_back_is_landed_again(whole):
    for status in ("DONE", "NEW", "DONE"):
        whole.shelf.put("t3", status)
        whole.pull()
        assert whole.landed()["t3"] == status


def test_what_is_gone_stays(whole):
    whole.pull()
    del whole.shelf.things["t3"]
    for _ in range(4):
        assert whole.pull().rows_landed == 0
    assert "t3" in whole.landed()
    assert not whole.desk.ws.lake.exists(SLUG, missing_table("shelf", "things"))


def test_an_empty_reading_is_believed_the_second_time(whole):
    whole.pull()
    mark = whole.watermark()
    whole.shelf.things.clear()
    with pytest.raises(SourceUnstableError, match="no rows"):
        whole.pull()
    assert whole.watermark() == mark
    assert whole.pull().rows_read == 0
    assert whole.pull().rows_read == 0
    assert len(whole.landed()) == 8


def test_a_first_reading_that_failed_goes_on(whole):
    whole.rules = PullRules(group_pages=1)
    next_page = whole.shelf.next_page
    whole.shelf.next_page = lambda link: 1 / 0 if link == "6" else next_page(link)
    with pytest.raises(ZeroDivisionError):
        whole.pull()
    del whole.shelf.next_page
    pages = whole.shelf.pages
    assert whole.pull().rows_landed == 2
    assert whole.shelf.pages == pages + 1
    assert whole.landed() == whole.at_source()


def test_times_decide_where_there_are_some(whole):
    whole.shelf.put("t1", "SECOND", "2026-11-20T12:00:02Z")
    whole.pull()
    whole.shelf.put("t1", "THIRD", "2026-11-20T12:00:03Z")
    assert whole.pull().rows_landed == 1
    whole.shelf.put("t1", "FIRST", "2026-11-20T12:00:01Z")
    assert whole.pull().rows_landed == 1
    assert whole.landed()["t1"] == "FIRST"
    assert whole.pull().rows_landed == 0


def test_there_is_news_before_the_first_reading_only(whole):
    def look():
        return peek(whole.desk.ws, SLUG, whole.spec, whole.shelf, "things", whole.rules)

    assert look().version == "first"
    whole.pull()
    pages = whole.shelf.pages
    whole.shelf.put("t9", "NEW")
    assert not look()
    assert whole.shelf.pages == pages
