"""Faults while LOKE is read: what a pull, and a whole sync, make of them."""

import dataclasses
import datetime as dt
import os
import signal
import subprocess

import pytest

from crm_pipeline.errors import CrmPipelineError
from crm_pipeline.sandbox import FaultRule
from crm_pipeline.store.ledger import Ledger, this_process
from crm_pipeline_tests.acceptance.test_convergence import wrong
from crm_pipeline_tests.sync.conftest import ORGANISATION


def writes(product):
    log = product.sandbox.crm_com.requests
    return log.count("POST") + log.count("PUT")


def contacts(product, number=0):
    organisation = product.sandbox.settings.organisations[number]
    return product.sandbox.crm_com.contacts(organisation.crm_test_key)


def test_a_row_that_becomes_visible_late_is_found(desk):
    desk.pull()
    early, late = list(desk.at_source())[:2]
    desk.clock.turn(minutes=1)
    desk.change(ids=[early], fields={"firstName": "Early"})
    desk.pull()
    # Changed eight seconds before the other, shown after it.
    shown = desk.clock() - dt.timedelta(seconds=8)
    desk.change(
        ids=[late],
        fields={"firstName": "Late"},
        updated_at=shown.isoformat().replace("+00:00", "Z"),
    )
    desk.pull()
    assert desk.landed()[late]["first_name"] == "Late"


@pytest.mark.parametrize("minutes", [-10, 10])
def test_the_source_s_clock_may_be_ahead_or_behind(desk, minutes):
    ours = lambda: desk.clock() - dt.timedelta(minutes=minutes)  # noqa: E731
    desk.ws = dataclasses.replace(desk.ws, clock=ours)
    assert desk.pull().rows_landed == 25
    for name in ("One", "Two"):
        changed = desk.change(count=3, fields={"firstName": name})
        assert desk.pull().rows_landed == 3
        assert all(desk.landed()[row_id]["first_name"] == name for row_id in changed)
    assert desk.pull().rows_landed == 0


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("2026-11-21T12:00:05Z", 5.0),
        ("2026-11-21T12:00:05.000Z", 5.0),
        ("2026-11-21T22:00:05+10:00", 5.0),
        ("2026-11-21T12:00:05.1234567Z", 5.123456),
        ("2026-11-21T12:00:05", None),
        ("2026-11-21T12:00:61Z", None),
    ],
)
def test_a_time_of_any_spelling_is_that_moment_or_none(desk, text, second):
    desk.pull()
    known = desk.landed()
    desk.clock.turn(minutes=2)
    fields = {"firstName": "Strange"}
    if second is None:
        [strange] = desk.change(count=1, fields={**fields, "updatedAt": text}, bump=False)
    else:
        [strange] = desk.change(count=1, fields=fields, updated_at=text)
    report = desk.pull("sweep" if second is None else "incremental")
    row = desk.landed()[strange]
    assert row["updated_at"] == text
    if second is None:
        assert report.times_unreadable >= 1
        just_newer = known[strange]["version_at"] + dt.timedelta(microseconds=1)
        assert row["version_at"] == just_newer
    else:
        noon = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
        assert row["version_at"] == noon + dt.timedelta(seconds=second)
    # It hides nothing that comes later.
    [other] = desk.change(count=1, fields={"firstName": "Other"})
    desk.pull()
    assert desk.landed()[other]["first_name"] == "Other"


@pytest.mark.parametrize("mode", ["incremental", "sweep"])
def test_a_row_of_the_year_2999_stops_no_update_of_this_year(desk, mode):
    desk.pull()
    [strange] = desk.change(count=1, updated_at="2999-01-01T00:00:00Z")
    assert desk.pull(mode).times_in_future >= 1
    for number in range(3):
        changed = desk.change(count=2, fields={"firstName": f"Later {number}"})
        desk.pull()
        assert {desk.landed()[each]["first_name"] for each in changed} == {f"Later {number}"}
    assert desk.watermark().at <= desk.clock() + dt.timedelta(hours=1)
    desk.change(ids=[strange], fields={"firstName": "Healed"})
    desk.pull()
    assert desk.landed()[strange]["first_name"] == "Healed"


@pytest.mark.parametrize(
    "rule",
    [
        {"kind": "status", "status": 200, "content": "html"},
        {"kind": "status", "status": 200, "content": "empty"},
        {"kind": "status", "status": 200, "body": '[{"id":'},
        {"kind": "status", "status": 200, "body": "{}"},
        {"kind": "status", "status": 200, "body": "null"},
        {"kind": "truncate", "keep_bytes": 0},
        {"kind": "truncate", "keep_bytes": 300},
        {"kind": "not_json"},
    ],
    ids=lambda rule: "-".join(str(value) for value in rule.values()),
)
def test_an_answer_that_is_no_page_lands_nothing_and_moves_nothing(desk, rule):
    desk.pull()
    mark, landed = desk.watermark(), desk.landed()
    desk.change(count=5, fields={"firstName": "Later"})
    desk.sandbox.loke.faults.add(FaultRule(path="/customers", times=None, **rule))
    for mode in ("incremental", "sweep"):
        with pytest.raises(CrmPipelineError):
            desk.pull(mode)
    assert (desk.watermark(), desk.landed()) == (mark, landed)
    desk.sandbox.loke.faults.clear()
    assert desk.pull().rows_landed == 5


@pytest.mark.parametrize("page", [2, 5])
def test_a_pull_that_is_killed_leaves_no_gap(make_product, page):
    product = make_product(acme=200)
    product.sandbox.loke.switch(page_size=20)
    log, seen = product.sandbox.loke.requests, 0
    add = log.add
    started: list[subprocess.Popen[bytes]] = []

    def counted(entry):
        nonlocal seen
        add(entry)
        seen += "/customers" in entry.path
        if seen == page:
            os.kill(started[0].pid, signal.SIGKILL)

    log.add = counted
    started.append(product.start("pull", "--org", "acme"))
    assert started[0].wait(60) == -signal.SIGKILL
    log.add = add
    product.sandbox.loke.mutate(product.sandbox.settings.organisations[0].id, count=20, seed=4)
    assert product.run_here("sync", "--org", "acme").code == 0
    assert wrong(product) == []


@pytest.mark.parametrize("body", ["[]", None], ids=["an empty list", "everybody deleted"])
def test_a_source_that_is_suddenly_empty_changes_nothing_in_the_crm(make_product, body):
    product = make_product(acme=40)
    organisation = product.sandbox.settings.organisations[0]
    assert product.run_here("sync", "--org", "acme").code == 0
    before = contacts(product)
    product.sandbox.crm_com.requests.clear()
    if body is None:
        product.sandbox.loke.delete(
            organisation.id, ids=[each["id"] for each in product.sandbox.loke.customers("acme")]
        )
    else:
        rule = FaultRule(kind="status", status=200, body=body, path="/customers", times=None)
        product.sandbox.loke.faults.add(rule)
    for options in ((), ("--full",)):
        answer = product.run_here("sync", "--org", "acme", *options)
        assert answer.code == 65
        assert "40 are known" in answer.err
    assert (writes(product), contacts(product)) == (0, before)


def test_a_sync_leaves_while_another_is_at_work(make_product):
    product = make_product(acme=3)
    assert product.run_here("ledger", "migrate").code == 0
    ledger = Ledger(
        f"sqlite:///{product.folder / 'home' / 'ledger.sqlite3'}",
        clock=lambda: dt.datetime.now(dt.UTC),
    )
    with ledger.leases.hold("sync:acme", this_process(), 60):
        for command in (("sync",), ("sync", "--full"), ("pull",)):
            answer = product.run_here(*command, "--org", "acme")
            assert answer.code == 75, answer.err
            assert "at work" in answer.err
    ledger.close()
    assert writes(product) == product.sandbox.loke.requests.count() == 0
    assert product.run_here("sync", "--org", "acme").code == 0


@pytest.mark.parametrize("status", [403, 404])
def test_an_organisation_that_uninstalled_stops_alone_and_its_crm_stays(make_product, status):
    product = make_product(acme=10, beta=10)
    acme, beta = product.sandbox.settings.organisations
    assert product.run_here("sync", "--all").code == 0
    before = contacts(product)
    product.sandbox.crm_com.requests.clear()
    product.sandbox.loke.uninstall(acme.id, status=status)
    product.sandbox.loke.mutate(beta.id, count=3, seed=2)
    for options in ((), ("--full",)):
        answer = product.run_here("sync", "--all", "--json", *options)
        assert answer.code == 78
        errors = answer.document["organisations"]["acme"]["errors"]
        assert [each["code"] for each in errors] == ["organisation_gone"]
        assert answer.document["organisations"]["beta"]["exit_code"] == 0
    assert contacts(product) == before
    assert product.sandbox.crm_com.requests.count("PUT", organisation=acme.slug) == 0
    assert wrong(product, 1) == []
    shown = product.run_here("status", "--json").document["organisations"]
    assert (shown["acme"]["failure_code"], shown["beta"]["failure_code"]) == (
        "organisation_gone",
        None,
    )


@pytest.mark.parametrize(
    ("vendor", "rule", "code", "failure"),
    [
        ("loke", {"kind": "status", "status": 503, "path": "/customers"}, 75, "answer_lost"),
        ("loke", {"kind": "status", "status": 401}, 78, "credentials_refused"),
        ("loke", {"kind": "not_json", "path": "/customers"}, 65, "malformed_answer"),
        ("loke", {"kind": "next_link", "path": "/customers"}, 65, "foreign_link"),
        ("crm_com", {"kind": "status", "status": 401}, 78, "credentials_refused"),
        ("crm_com", {"kind": "cut_before"}, 75, "try_later"),
    ],
)  # fmt: skip
def test_a_failed_sync_is_red_everywhere(make_product, vendor, rule, code, failure):
    product = make_product(acme=5)
    product.sandbox.loke.switch(page_size=2)
    assert product.run_here("sync", "--org", "acme").code == 0
    good = product.run_here("status", "--json").document["organisations"]["acme"]["last_success"]
    product.sandbox.loke.mutate(product.sandbox.settings.organisations[0].id, count=2, seed=1)
    getattr(product.sandbox, vendor).faults.add(FaultRule(times=None, **rule))
    answer = product.run_here("sync", "--org", "acme", "--json")
    assert answer.code == code
    assert answer.document["organisations"]["acme"]["exit_code"] == code
    shown = product.run_here("status", "--json").document["organisations"]["acme"]
    assert (shown["failure_code"], shown["last_success"]) == (failure, good)


def test_an_instant_that_calendars_find_hard_is_read_like_any_other(desk):
    for year, month, day in ((2028, 2, 29), (2028, 12, 31), (2029, 3, 25), (2029, 10, 28)):
        desk.clock.now = dt.datetime(year, month, day, 23, 59, 59, tzinfo=dt.UTC)
        desk.pull()
        changed = desk.change(count=2, fields={"lastName": f"{year}-{month}"})
        assert desk.pull().rows_landed >= 2
        assert {desk.landed()[each]["last_name"] for each in changed} == {f"{year}-{month}"}
        assert desk.pull().rows_landed == 0
    assert ORGANISATION.slug
