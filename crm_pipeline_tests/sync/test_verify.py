"""Verify: drift is found and reported, never overwritten; an opt-out is remembered."""

import dataclasses
import datetime as dt
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, cast

import pytest

from crm_pipeline.core.ports import DestinationApi
from crm_pipeline.core.records import ConsentRecord, Progress, RemoteObject
from crm_pipeline.errors import LeaseHeldError, TryLaterError
from crm_pipeline.sandbox import FaultRule
from crm_pipeline.sync.beside import beside_sync
from crm_pipeline.sync.verify import DriftReport, verify
from crm_pipeline_tests.sync.workbench import KEY, ORGANISATION, Workbench, contact

TEN = {f"loke:{number}": contact(f"Name {number}") for number in range(10)}


def change_in_crm(bench: Workbench, code: str, **body: object) -> None:
    """Change one contact as a person would, in the CRM itself."""
    bench.sandbox.crm_com.mutate(KEY, ids=[bench.remote()[code]["id"]], fields=body)


def drift(bench: Workbench) -> list[tuple[str, str, str]]:
    reader = bench.ws.lake.scan(ORGANISATION, "drift/crm_com")
    rows = [row for batch in reader for row in batch.to_pylist()]
    return sorted((row["kind"], row["key"], row["field"]) for row in rows)


def test_a_crm_that_holds_what_it_acknowledged_is_clean(bench: Workbench):
    bench.bring(TEN)
    report = bench.verify()
    assert report.is_clean
    assert (report.checked, report.foreign) == (10, 0)
    assert drift(bench) == []


def test_a_field_that_a_person_changed_is_reported_and_left_alone(bench: Workbench):
    bench.bring(TEN)
    change_in_crm(bench, "loke:3", person_name={"first_name": "Somebody", "last_name": "Else"})
    bench.forget()
    report = bench.verify()
    assert (report.changed, dict(report.fields)) == (1, {"first_name": 1, "last_name": 1})
    assert drift(bench) == [("changed", "loke:3", "first_name"), ("changed", "loke:3", "last_name")]
    assert bench.writes() == (0, 0)
    assert bench.plan(is_full=True).size == 0


def test_no_more_is_told_to_be_compared_than_there_is(bench: Workbench):
    bench.bring(TEN)
    bench.sandbox.crm_com.seed(KEY, 2)
    told: list[Progress] = []
    bench.ws = dataclasses.replace(bench.ws, report_progress=told.append)
    bench.verify()
    assert (told[-1].done, told[-1].total) == (12, 12)


def test_missing_and_foreign_contacts_are_reported(bench: Workbench):
    bench.bring(TEN)
    bench.sandbox.crm_com.delete(KEY, ids=[bench.remote()["loke:4"]["id"]])
    bench.sandbox.crm_com.seed(KEY, 2)
    report = bench.verify()
    assert (report.missing, report.foreign) == (1, 2)
    assert ("missing", "loke:4", "") in drift(bench)


def test_a_sample_looks_at_that_many_of_ours(bench: Workbench):
    bench.bring(TEN)
    api = bench.connect()
    report = verify(bench.ws, ORGANISATION, bench.binding, api, sample=4, chance=random.Random(1))
    api.close()
    assert report.checked == 4
    assert bench.sandbox.crm_com.requests.count("GET") == 4


def test_the_next_verification_replaces_the_findings(bench: Workbench):
    bench.bring(TEN)
    change_in_crm(bench, "loke:3", person_name={"first_name": "X", "last_name": "Okafor"})
    bench.verify()
    change_in_crm(bench, "loke:3", person_name={"first_name": "Name 3", "last_name": "Okafor"})
    assert bench.verify().is_clean
    assert drift(bench) == []


@pytest.mark.parametrize("sample", [None, 10])
def test_nothing_is_noted_of_people_whose_erasure_is_under_way(
    bench: Workbench, sample: int | None
):
    bench.bring(TEN)
    for number in (3, 4):
        change_in_crm(bench, f"loke:{number}", allow_marketing_comms=False, email_opt_out=True)
        change_in_crm(bench, f"loke:{number}", person_name={"first_name": "X", "last_name": "Y"})
        bench.sandbox.crm_com.delete(KEY, ids=[bench.remote()[f"loke:{number + 2}"]["id"]])
    for number in (3, 5):
        bench.begin_erasure(str(number))
    bench.verify(sample=sample)
    assert {key for _, key, _ in drift(bench)} == {"loke:4", "loke:6"}


class Meanwhile:
    """The CRM, to whom we write between its answer and our look into the ledger."""

    def __init__(self, api: DestinationApi, write: Callable[[], object]) -> None:
        self._api = api
        self._write = write

    def __getattr__(self, name: str) -> Any:
        return getattr(self._api, name)

    def read_all(self, object_kind: str) -> Iterator[Sequence[RemoteObject]]:
        for page in self._api.read_all(object_kind):
            self._write()
            yield page

    def find(self, object_kind: str, key: str, crm_id: str | None) -> RemoteObject | None:
        found = self._api.find(object_kind, key, crm_id)
        self._write()
        return found


def verify_while(bench: Workbench, write: Callable[[], object], sample: int | None) -> DriftReport:
    with closing(bench.connect()) as api:
        meanwhile = cast("DestinationApi", Meanwhile(api, write))
        return verify(bench.ws, ORGANISATION, bench.binding, meanwhile, sample=sample)


@pytest.mark.parametrize("sample", [None, 10])
def test_who_says_yes_while_the_crm_is_read_is_not_taken_for_unsubscribed(
    bench: Workbench, sample: int | None
):
    bench.bring({"loke:1": contact()})
    said_yes = {"loke:1": contact("Uno", email_opt_out=False)}
    report = verify_while(bench, lambda: bench.bring(said_yes), sample)
    assert (report.checked, report.is_clean, report.opted_out, report.moving) == (1, True, 0, 1)
    assert bench.ws.ledger.consents.of(ORGANISATION, ["loke:1"]) == {}
    assert bench.verify().is_clean


def test_who_comes_while_the_crm_is_read_is_not_missing_there(bench: Workbench):
    bench.bring(TEN)
    bench.sandbox.crm_com.delete(KEY, ids=[bench.remote()["loke:4"]["id"]])
    report = verify_while(bench, lambda: bench.bring({"loke:new": contact("New")}), None)
    assert (report.missing, report.foreign, report.moving) == (1, 0, 1)
    assert drift(bench) == [("missing", "loke:4", "")]


@pytest.mark.parametrize("sample", [None, 10])
def test_a_write_whose_outcome_nobody_knows_is_no_drift(bench: Workbench, sample: int | None):
    bench.bring({"loke:1": contact(), "loke:2": contact("Two")})
    bench.want({"loke:1": contact("Uno")})
    bench.sandbox.crm_com.faults.add(FaultRule(kind="cut_after", method="PUT", times=1))
    bench.sandbox.crm_com.faults.add(FaultRule(kind="status", status=503, method="GET", times=None))
    with pytest.raises(TryLaterError):
        bench.apply(bench.plan())
    bench.sandbox.crm_com.faults.clear()
    assert bench.remote()["loke:1"]["first_name"] == "Uno"
    report = bench.verify(sample=sample)
    assert (report.is_clean, report.moving) == (True, 1)


def test_what_was_written_a_moment_ago_may_not_show_yet(bench: Workbench):
    bench.bring({"loke:1": contact(), "loke:2": contact("Two")})
    change_in_crm(bench, "loke:1", person_name={"first_name": "X", "last_name": "Okafor"})
    bench.ws = replace(bench.ws, waits=replace(bench.waits, settle_seconds=30.0))
    report = bench.verify()
    assert (report.is_clean, report.checked, report.moving) == (True, 2, 2)
    bench.clock.now += dt.timedelta(seconds=31)
    report = bench.verify()
    assert (report.changed, report.moving) == (1, 0)


def test_who_verifies_keeps_another_one_waiting(bench: Workbench):
    bench.bring(TEN)
    with (
        beside_sync(bench.ws, ORGANISATION, "verify"),
        pytest.raises(LeaseHeldError, match="verify:acme"),
    ):
        bench.verify()
    assert bench.verify().is_clean


def test_an_opt_out_in_the_crm_is_recorded_as_a_refusal(bench: Workbench):
    bench.bring({"loke:1": contact(email_opt_out=False, sms_opt_out=False)})
    change_in_crm(bench, "loke:1", email_opt_out=True)
    report = bench.verify()
    assert report.opted_out == 1
    (record,) = bench.ws.ledger.consents.of(ORGANISATION, ["loke:1"])["loke:1"]
    assert (record.channel, record.is_granted, record.origin) == ("email", False, "crm_com")


def test_an_opt_out_in_the_crm_counts_besides_one_at_the_source(bench: Workbench):
    """A later yes has to be later than both of them."""
    bench.bring({"loke:1": contact(email_opt_out=False)})
    at = bench.clock()
    said = ConsentRecord(
        key="loke:1", channel="email", is_granted=False, at=at, seen_at=at, origin="loke"
    )
    bench.ws.ledger.consents.append(ORGANISATION, [said])
    change_in_crm(bench, "loke:1", email_opt_out=True)
    bench.verify()
    heard = bench.ws.ledger.consents.of(ORGANISATION, ["loke:1"])["loke:1"]
    assert [each.origin for each in heard] == ["loke", "crm_com"]


def test_a_repeated_look_at_the_same_opt_out_is_not_recorded_again(bench: Workbench):
    bench.bring({"loke:1": contact(email_opt_out=False)})
    change_in_crm(bench, "loke:1", email_opt_out=True)
    for _ in range(3):
        assert bench.verify().opted_out == 1
    assert len(bench.ws.ledger.consents.of(ORGANISATION, ["loke:1"])["loke:1"]) == 1


def test_a_linked_contact_is_found_again_by_its_crm_id(bench: Workbench):
    bench.conflict = "link"
    person = {
        "type": "PERSON",
        "person_name": {"first_name": "F", "last_name": "G"},
        "email_address": "a@example.com",
    }
    bench.sandbox.crm_com.add(KEY, [person])
    bench.bring({"loke:1": contact(email="a@example.com")})
    assert bench.verify(sample=1).is_clean


def test_an_update_does_not_bring_a_person_back_who_opted_out_in_the_crm(bench: Workbench):
    bench.bring({"loke:1": contact(email_opt_out=False)})
    change_in_crm(bench, "loke:1", email_opt_out=True)
    bench.bring({"loke:1": contact("Renamed", email_opt_out=False)})
    assert bench.remote()["loke:1"]["first_name"] == "Renamed"
    assert bench.remote()["loke:1"]["email_opt_out"] is True
