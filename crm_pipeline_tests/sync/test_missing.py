"""People who are gone from the source: marked by complete sweeps only, and brought back."""

from dataclasses import replace

import pytest

from crm_pipeline.core.records import Reject
from crm_pipeline.errors import CrmPipelineError
from crm_pipeline.sandbox import FaultRule
from crm_pipeline.sync.land.missing import missing_table
from crm_pipeline.sync.resolve import DESIRED_TABLE
from crm_pipeline_tests.sync.conftest import ORGANISATION, SLUG

TABLE = missing_table("loke", "customers")


def missing(desk):
    """The ids that are missing, and for how many sweeps."""
    if not desk.ws.lake.exists(SLUG, TABLE):
        return {}
    rows = desk.ws.lake.scan(SLUG, TABLE).read_all().to_pylist()
    return {row["id"]: row["sweeps"] for row in rows}


def desired(desk):
    rows = desk.ws.lake.current(SLUG, DESIRED_TABLE, "key").read_all().to_pylist()
    return {row["source_id"] for row in rows}


def sweep(desk, times=1):
    for _ in range(times):
        desk.clock.turn(hours=1)
        desk.pull("sweep")
        desk.resolve(is_full=True)


def delete(desk, count=2):
    return set(desk.sandbox.loke.delete(ORGANISATION.id, count=count))


@pytest.fixture
def settled(desk):
    desk.pull()
    desk.resolve()
    desk.clock.turn(hours=1)
    return desk


def test_nobody_is_missing_while_everybody_is_seen(settled):
    sweep(settled, 2)
    assert not settled.ws.lake.exists(SLUG, TABLE)


def test_who_is_gone_counts_one_sweep_after_the_other_and_then_is_no_contact(settled):
    gone = delete(settled)
    for number in (1, 2):
        sweep(settled)
        assert missing(settled) == dict.fromkeys(gone, number)
        assert len(desired(settled)) == 25
    sweep(settled)
    assert missing(settled) == dict.fromkeys(gone, 3)
    assert desired(settled) == settled.at_source().keys()
    assert len(settled.landed()) == 25


def test_missing_since_is_the_sweep_that_missed_a_row_first(settled):
    (gone,) = delete(settled, 1)
    sweep(settled)
    (first,) = settled.ws.lake.scan(SLUG, TABLE).read_all().to_pylist()
    sweep(settled, 2)
    (last,) = settled.ws.lake.scan(SLUG, TABLE).read_all().to_pylist()
    assert (last["id"], last["missing_since"]) == (gone, first["missing_since"])
    assert last["batch"] > first["batch"]


def test_an_incremental_pull_brings_a_person_back_at_once(settled):
    customer = settled.sandbox.loke.customers(ORGANISATION.id)[7]
    settled.sandbox.loke.delete(ORGANISATION.id, ids=[customer["id"]])
    sweep(settled, 3)
    assert customer["id"] not in desired(settled)
    settled.clock.turn(hours=1)
    settled.sandbox.loke.add(ORGANISATION.id, [{"id": customer["id"], "firstName": "Back"}])
    settled.pull()
    settled.resolve()
    assert customer["id"] in desired(settled)
    settled.resolve(is_full=True)
    assert customer["id"] in desired(settled)
    sweep(settled)
    assert missing(settled) == {}


def test_who_comes_back_and_goes_again_is_counted_from_the_start(settled):
    customer = settled.sandbox.loke.customers(ORGANISATION.id)[7]
    settled.sandbox.loke.delete(ORGANISATION.id, ids=[customer["id"]])
    sweep(settled, 2)
    settled.clock.turn(hours=1)
    settled.sandbox.loke.add(ORGANISATION.id, [{"id": customer["id"], "firstName": "Back"}])
    settled.pull()
    settled.sandbox.loke.delete(ORGANISATION.id, ids=[customer["id"]])
    sweep(settled)
    assert missing(settled) == {customer["id"]: 1}


def test_a_sweep_alone_brings_back_who_came_back_unchanged(settled):
    customer = settled.sandbox.loke.customers(ORGANISATION.id)[7]
    settled.sandbox.loke.delete(ORGANISATION.id, ids=[customer["id"]])
    sweep(settled, 3)
    settled.sandbox.loke.add(ORGANISATION.id, [customer])
    sweep(settled)
    assert customer["id"] in desired(settled)
    assert missing(settled) == {}


def test_a_sweep_that_fails_half_way_marks_nobody(settled):
    delete(settled)
    settled.sandbox.loke.faults.add(
        FaultRule(kind="status", status=503, path="customers", after=2, times=None)
    )
    with pytest.raises(CrmPipelineError):
        settled.pull("sweep")
    assert missing(settled) == {}


def test_a_sweep_that_is_suspiciously_short_marks_nobody(settled):
    delete(settled, 10)
    with pytest.raises(CrmPipelineError, match="are known"):
        settled.pull("sweep")
    assert missing(settled) == {}


def test_an_incremental_pull_marks_nobody(settled):
    delete(settled)
    settled.change(count=1, fields={"firstName": "New"})
    settled.pull()
    assert missing(settled) == {}


class WithoutAnId:
    """A source that sends one record without an id on every page."""

    def __init__(self, api):
        self._api = api

    def __getattr__(self, name):
        return getattr(self._api, name)

    def decode(self, dataset, page):
        decoded = self._api.decode(dataset, page)
        reject = Reject(
            stage="land", dataset=dataset, key="", reason="record_without_id", detail="",
            payload="{}",
        )  # fmt: skip
        return replace(decoded, rejects=(reject,), row_count=decoded.row_count + 1)


def test_records_without_an_id_may_be_anybody_so_nobodys_count_is_raised(settled):
    gone, back = delete(settled), settled.sandbox.loke.customers(ORGANISATION.id)[7]
    settled.sandbox.loke.delete(ORGANISATION.id, ids=[back["id"]])
    sweep(settled)
    settled.sandbox.loke.add(ORGANISATION.id, [back])
    settled.sandbox.loke.delete(ORGANISATION.id, count=1)
    settled.pull("sweep", api=WithoutAnId(settled.api))
    assert missing(settled) == dict.fromkeys(gone, 1)
