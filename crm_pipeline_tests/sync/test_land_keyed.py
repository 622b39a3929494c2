"""Records that webhooks name: the unfinished ones are read again, in turn, a bounded number."""

import pytest

from crm_pipeline.core.pulling import PullRules
from crm_pipeline.errors import AnswerLostError, MalformedAnswerError, UnreachableError
from crm_pipeline.sync.land import landed_table, peek, pull
from crm_pipeline.sync.land.hooks import land_hook_rows
from crm_pipeline_tests.sync.conftest import SLUG
from crm_pipeline_tests.sync.shelf import Shelf, shelf_spec

TABLE = landed_table("shelf", "things")


class Keyed:
    """A source without a list; ``tell`` lands what a webhook made somebody read."""

    def __init__(self, desk):
        self.desk = desk
        self.shelf = Shelf()
        self.spec = shelf_spec("keyed")
        self.rules = PullRules(recheck_seconds=900, recheck_records=3, recheck_age_seconds=10)

    def tell(self, thing_id, status):
        self.desk.clock.turn(seconds=1)
        self.shelf.put(thing_id, status)
        return self.land(thing_id)

    def land(self, thing_id, **how):
        rows = self.shelf.read_one("things", thing_id).rows
        self.shelf.reads.clear()
        return land_hook_rows(
            self.desk.ws, SLUG, self.spec, "things", [(rows, "")], is_read=True, **how
        )

    def pull(self, mode="incremental"):
        self.shelf.reads.clear()
        return pull(
            self.desk.ws, SLUG, self.spec, self.shelf, "things", mode=mode, rules=self.rules
        )

    def pull_later(self):
        self.desk.clock.turn(minutes=15)
        self.pull()
        return list(self.shelf.reads)

    def look(self):
        return peek(self.desk.ws, SLUG, self.spec, self.shelf, "things", self.rules)

    def landed(self):
        rows = self.desk.ws.lake.current(SLUG, TABLE, "id").read_all().to_pylist()
        return {row["id"]: row["status"] for row in rows}

    def rows(self):
        return self.desk.ws.lake.row_count(SLUG, TABLE)

    def watermark(self):
        return self.desk.ws.ledger.watermarks.get(SLUG, "shelf", "things")


@pytest.fixture
def keyed(desk):
    return Keyed(desk)


def test_with_nothing_landed_nothing_is_read(keyed):
    assert keyed.look().version == "first"
    report = keyed.pull()
    assert (report.is_first, report.rows_read, keyed.shelf.pages) == (True, 0, 0)
    assert not keyed.look()
    keyed.desk.clock.turn(hours=1)
    assert not keyed.look()


def test_unfinished_records_are_read_again_and_finished_ones_are_not(keyed):
    keyed.tell("a", "NEW")
    keyed.tell("b", "done")
    keyed.tell("c", "NEW")
    keyed.shelf.put("a", "APPROVED")
    assert keyed.pull_later() == ["a", "c"]
    assert keyed.landed() == {"a": "APPROVED", "b": "done", "c": "NEW"}
    assert keyed.rows() == 4
    keyed.shelf.put("a", "DONE")
    keyed.shelf.put("c", "DONE")
    assert keyed.pull_later() == ["a", "c"]
    assert keyed.pull_later() == []
    assert keyed.watermark().rows_known == 0


def test_a_record_that_landed_a_moment_ago_is_left_alone(keyed):
    keyed.tell("a", "NEW")
    keyed.desk.clock.turn(seconds=9)
    keyed.pull()
    assert keyed.shelf.reads == []
    keyed.desk.clock.turn(seconds=1)
    keyed.pull("sweep")
    assert keyed.shelf.reads == ["a"]


def test_records_take_turns(keyed):
    for name in "abcdefg":
        keyed.tell(name, "NEW")
    read = [keyed.pull_later() for _ in range(4)]
    assert read == [["a", "b", "c"], ["d", "e", "f"], ["g", "a", "b"], ["c", "d", "e"]]


def test_an_incremental_pull_a_moment_later_reads_nothing(keyed):
    keyed.tell("a", "NEW")
    keyed.pull_later()
    mark = keyed.watermark()
    keyed.desk.clock.turn(minutes=14)
    keyed.pull()
    assert (keyed.shelf.reads, keyed.watermark()) == ([], mark)


def test_there_is_news_when_unfinished_records_are_due(keyed):
    keyed.tell("a", "NEW")
    keyed.pull_later()
    assert not keyed.look()
    keyed.desk.clock.turn(minutes=15)
    look = keyed.look()
    assert look.has_news
    assert keyed.look() == look
    keyed.pull()
    assert not keyed.look()
    keyed.shelf.put("a", "DONE")
    keyed.pull_later()
    keyed.pull_later()
    keyed.desk.clock.turn(minutes=15)
    assert not keyed.look()
    keyed.tell("b", "NEW")
    assert keyed.look().version != look.version


def test_a_record_that_is_gone_stays_as_it_was(keyed):
    keyed.tell("a", "NEW")
    keyed.tell("b", "NEW")
    del keyed.shelf.things["a"]
    assert keyed.pull_later() == ["a", "b"]
    assert keyed.landed()["a"] == "NEW"


@pytest.mark.parametrize("error", [MalformedAnswerError("bad"), AnswerLostError("lost")])
def test_one_bad_record_is_set_aside_and_the_others_are_read(keyed, error):
    for name in "abcd":
        keyed.tell(name, "NEW")
    keyed.shelf.failing["a"] = error
    assert keyed.pull_later() == ["a", "b", "c"]
    assert keyed.desk.ws.ledger.rejects.counts(SLUG) == {error.code: 1}
    del keyed.shelf.failing["a"]
    assert keyed.pull_later() == ["d", "a", "b"]
    assert keyed.desk.ws.ledger.rejects.counts(SLUG) == {}


def test_a_source_that_is_down_is_left_alone_and_what_was_read_stays(keyed):
    for name in "abcde":
        keyed.tell(name, "NEW")
    keyed.pull_later()
    mark = keyed.watermark()
    keyed.shelf.put("d", "DONE")
    keyed.shelf.failing["e"] = UnreachableError("down")
    keyed.desk.clock.turn(minutes=15)
    with pytest.raises(UnreachableError):
        keyed.pull()
    assert keyed.shelf.reads == ["d", "e"]
    assert (keyed.landed()["d"], keyed.watermark()) == ("DONE", mark)
    keyed.shelf.failing.clear()
    assert keyed.pull_later() == ["a", "b", "c"]


def test_three_lost_answers_in_a_row_are_a_source_that_is_down(keyed):
    for name in "abc":
        keyed.tell(name, "NEW")
        keyed.shelf.failing[name] = AnswerLostError("lost")
    keyed.desk.clock.turn(minutes=15)
    with pytest.raises(AnswerLostError):
        keyed.pull()


def test_the_same_content_is_landed_once(keyed):
    assert keyed.tell("a", "NEW").landed == 1
    assert keyed.land("a").landed == 0
    keyed.tell("a", "APPROVED")
    assert keyed.tell("a", "NEW").landed == 1
    assert keyed.landed() == {"a": "NEW"}
