"""From the inbox into the lake: what each event comes to."""

import dataclasses
import datetime as dt

import pytest

from crm_pipeline.errors import TryLaterError, UnreachableError
from crm_pipeline.sandbox import FaultRule
from crm_pipeline.sources.loke import SOURCE as LOKE
from crm_pipeline.sync.drain import DrainRules, draining, settle_pulled
from crm_pipeline.sync.land import peek
from crm_pipeline_tests.sync.conftest import ORGANISATION, SLUG
from crm_pipeline_tests.sync.mailroom import (
    COMPLETED_EVENT,
    CREATED_EVENT,
    CUSTOMER,
    PAYMENT,
    REFUNDED,
    REFUNDED_EVENT,
    UPDATED_EVENT,
    cut_off,
    opened,
)


@pytest.fixture
def mailbox(desk):
    with opened(desk) as made:
        yield made


@pytest.fixture
def alone(mailbox):
    with cut_off(mailbox) as made:
        yield made


def a_customer(desk):
    return desk.sandbox.loke.customers(ORGANISATION.id)[3]


def test_a_whole_customer_is_landed_without_asking_loke(alone):
    alone.post(*CREATED_EVENT)
    report = alone.drain()
    assert (report.landed, report.settled, report.reads, report.errors) == (1, 1, 0, [])
    row = alone.current()[CUSTOMER["id"]]
    assert (row["first_name"], row["points_balance"], row["origin"]) == ("Mina", 5, "hook")
    assert alone.drain().settled == 0


def test_a_customer_without_statistics_is_read_because_absent_is_unknown(desk, mailbox):
    customer = a_customer(desk)
    told = {name: value for name, value in customer.items() if name != "statistics"}
    mailbox.post("customer.updated", {"customer": {**told, "firstName": "Told"}})
    report = mailbox.drain()
    assert (report.landed, report.reads) == (1, 1)
    row = mailbox.current()[customer["id"]]
    assert row["first_name"] == customer["firstName"]
    assert row["points_balance"] == customer["statistics"]["pointsBalance"]


def test_statistics_bring_the_whole_fresh_customer(desk, mailbox):
    desk.pull()
    customer = a_customer(desk)
    desk.sandbox.loke.mutate(
        ORGANISATION.id,
        ids=[customer["id"]],
        fields={"statistics": {"pointsBalance": 4321}, "hasAgreedToMarketing": False},
        bump=False,
    )
    tiny = {name: customer[name] for name in ("id", "firstName", "lastName")}
    body = {"customer": tiny, "statistics": {"pointsBalance": 1}}
    mailbox.post("customer.updated-statistics", body)
    mailbox.drain()
    row = mailbox.current()[customer["id"]]
    assert (row["points_balance"], row["has_agreed_to_marketing"]) == (4321, False)
    assert row["dob"] == customer.get("dob")


def test_ten_events_of_one_customer_are_one_read(desk, mailbox):
    customer = a_customer(desk)
    for _ in range(10):
        mailbox.post("customer.updated", {"customer": {"id": customer["id"]}})
    report = mailbox.drain()
    assert (report.reads, report.landed, report.settled) == (1, 1, 10)


def test_what_a_webhook_landed_is_no_news_to_a_look_and_to_a_pull(desk, mailbox):
    desk.pull()
    changed = desk.change(count=2, fields={"firstName": "Changed"})
    for customer_id in changed:
        mailbox.post("customer.updated", {"customer": {"id": customer_id}})
    assert mailbox.drain().landed == 2
    rows = mailbox.rows()
    assert not peek(desk.ws, SLUG, LOKE, desk.api, "customers", desk.rules)
    before = desk.watermark()
    assert desk.pull().rows_landed == 0
    assert mailbox.rows() == rows
    assert desk.watermark().at > before.at
    assert desk.pull().rows_landed == 0
    assert desk.watermark().version == before.version + 1


def test_what_was_pulled_is_not_landed_again_by_its_webhook(desk, mailbox):
    desk.pull()
    changed = desk.change(count=1, fields={"firstName": "Changed"})
    desk.pull()
    rows = mailbox.rows()
    mailbox.post("customer.updated", {"customer": {"id": changed[0]}})
    report = mailbox.drain()
    assert (report.landed, report.settled) == (0, 1)
    assert mailbox.rows() == rows


def test_a_replay_of_an_old_event_changes_nothing(alone):
    alone.post(*CREATED_EVENT)
    alone.post(*UPDATED_EVENT)
    alone.drain()
    before = alone.current()
    alone.post(*CREATED_EVENT)
    report = alone.drain()
    assert (report.landed, report.settled) == (0, 1)
    assert alone.current() == before


def test_a_full_disk_leaves_every_event_to_the_next_drain(alone, full_disk):
    alone.post(*CREATED_EVENT)
    alone.drain()
    alone.post(*UPDATED_EVENT)
    with full_disk(), pytest.raises(TryLaterError):
        alone.drain()
    report = alone.drain()
    assert (report.landed, report.settled, report.failed) == (1, 1, 0)


def test_two_versions_of_one_second_are_settled_by_reading(desk, mailbox):
    customer = a_customer(desk)
    for name in ("First", "Second"):
        mailbox.post("customer.updated", {"customer": {**customer, "firstName": name}})
    report = mailbox.drain()
    assert (report.reads, report.landed, report.settled) == (1, 1, 2)
    assert mailbox.current()[customer["id"]]["first_name"] == customer["firstName"]


def test_a_second_version_of_the_landed_second_is_settled_by_reading(desk, mailbox):
    desk.pull()
    customer = a_customer(desk)
    mailbox.post("customer.updated", {"customer": {**customer, "firstName": "Told"}})
    report = mailbox.drain()
    assert (report.reads, report.landed, report.settled) == (1, 0, 1)
    assert mailbox.current()[customer["id"]]["first_name"] == customer["firstName"]


@pytest.mark.parametrize("time", [None, "soon", "2999-01-01T00:00:00Z"])
def test_a_customer_with_no_believable_time_is_read(desk, mailbox, time):
    customer = a_customer(desk)
    mailbox.post("customer.updated", {"customer": {**customer, "updatedAt": time}})
    assert mailbox.drain().reads == 1
    assert mailbox.current()[customer["id"]]["updated_at"] == customer["updatedAt"]


def test_a_payment_takes_the_place_that_the_event_names(alone):
    alone.post(*COMPLETED_EVENT)
    alone.drain()
    (row,) = alone.current("payments").values()
    assert (row["location_id"], row["customer_id"], row["total"]) == (
        "LOC207",
        CUSTOMER["id"],
        1450,
    )


def test_a_refund_of_an_unknown_payment_makes_the_payment(alone):
    alone.post(*REFUNDED_EVENT)
    alone.post(*COMPLETED_EVENT)
    alone.drain()
    (row,) = alone.current("payments").values()
    assert row["refunded_at"] == REFUNDED["refundedAt"]


def test_a_payment_without_any_time_waits_for_a_pull(mailbox):
    untimed = {"id": PAYMENT["id"], "total": 5}
    number = mailbox.post("payment.completed", {"payment": untimed})
    report = mailbox.drain()
    assert (report.landed, report.pulls) == (0, {"loke": [number]})
    assert mailbox.drain(pulled={"loke": mailbox.ws.clock()}).settled == 1


def test_after_an_outage_the_caller_has_to_pull(mailbox):
    number = mailbox.post("catch-up", b"{}")
    report = mailbox.drain()
    assert (report.pulls, report.settled, report.is_complete) == ({"loke": [number]}, 0, True)
    assert mailbox.drain().pulls == {"loke": [number]}
    settle_pulled(mailbox.ws, report, ["loke"])
    assert report.settled == 1
    assert mailbox.drain().pulls == {}


def test_a_pull_that_began_before_the_outage_ended_does_not_count(mailbox):
    began = mailbox.ws.clock()
    mailbox.post("catch-up", b"{}", at=began + dt.timedelta(seconds=1))
    assert mailbox.drain(pulled={"loke": began}).pulls.keys() == {"loke"}


@pytest.mark.parametrize(
    ("event", "body"),
    [
        ("order.created", {"order": {"id": "7d2f0b52-0a51-4b0e-8c55-0b7f6a1d9e01"}}),
        ("order", b"{}"),
    ],
)
def test_what_the_organisation_does_not_read_is_not_wanted(mailbox, event, body):
    mailbox.post(event, body, source="loke" if isinstance(body, dict) else "elsewhere")
    report = mailbox.drain()
    assert (report.settled, report.landed, report.failed) == (1, 0, 0)


def test_an_order_is_landed_where_orders_are_read(alone):
    known = alone.sources["loke"]
    alone.sources["loke"] = dataclasses.replace(known, datasets=("customers", "orders"))
    order = {"id": "7d2f0b52", "status": "CREATED", "createdAt": "2026-11-20T10:00:00Z"}
    alone.post("order.created", {"order": order, "location": {"id": "LOC207"}})
    assert alone.drain().landed == 1
    (row,) = alone.current("orders").values()
    assert (row["status"], row["location_id"]) == ("CREATED", "LOC207")


def test_bad_events_are_set_aside_and_the_others_land(alone):
    alone.post("customer.created", b"{")
    alone.post("customer.created", {"customer": {"firstName": "No id"}})
    alone.post("payment.partially-refunded", {"payment": PAYMENT})
    alone.post(*CREATED_EVENT)
    report = alone.drain()
    assert (report.landed, report.settled, report.failed) == (1, 1, 3)
    assert alone.reject_reasons() == {"bad_payload": 2, "unknown_event": 1}
    assert alone.ws.ledger.inbox.retry(SLUG) == 3


def test_while_loke_is_down_what_events_carry_lands_and_the_rest_waits(alone):
    for number in range(6):
        alone.post("customer.updated", {"customer": {"id": f"c{number}"}})
    alone.post(*CREATED_EVENT)
    report = alone.drain()
    assert (report.landed, report.settled, report.postponed) == (1, 1, 6)
    assert report.reads == 1
    assert [error.code for error in report.errors] == [UnreachableError.code]
    assert alone.drain().postponed == 0
    for _ in range(50):
        alone.clock.turn(hours=2)
        assert alone.drain().failed == 0


def test_one_record_that_loke_fails_on_stops_no_other(desk, mailbox):
    ids = [customer["id"] for customer in desk.sandbox.loke.customers(ORGANISATION.id)[:4]]
    desk.sandbox.loke.faults.add(FaultRule(kind="status", path=ids[0], times=None, status=500))
    for customer_id in ids:
        mailbox.post("customer.updated", {"customer": {"id": customer_id}})
    report = mailbox.drain()
    assert (report.landed, report.postponed, report.errors) == (3, 1, [])
    for _ in range(40):
        desk.clock.turn(hours=2)
        report = mailbox.drain()
    assert mailbox.reject_reasons() == {"answer_lost": 1}


def test_reads_are_bounded_and_the_rest_comes_with_the_next_drain(desk, mailbox):
    ids = [customer["id"] for customer in desk.sandbox.loke.customers(ORGANISATION.id)[:5]]
    for customer_id in ids:
        mailbox.post("customer.updated", {"customer": {"id": customer_id}})
    mailbox.post(*COMPLETED_EVENT)
    rules = DrainRules(claim_rows=10, max_reads=3)
    report = mailbox.drain(rules=rules)
    assert (report.reads, report.landed, report.settled, report.is_complete) == (3, 4, 4, False)
    report = mailbox.drain(rules=rules)
    assert (report.reads, report.landed, report.is_complete) == (2, 2, True)


def test_a_backlog_is_drained_claim_after_claim(alone):
    for number in range(7):
        alone.post("payment.completed", {"payment": {**PAYMENT, "id": f"p{number}"}})
    alone.post("catch-up", b"{}")
    report = alone.drain(rules=DrainRules(claim_rows=2))
    assert (report.landed, report.settled, report.is_complete) == (7, 7, True)
    assert list(report.pulls) == ["loke"]


def test_a_drain_does_only_so_much(alone):
    for number in range(6):
        alone.post("payment.completed", {"payment": {**PAYMENT, "id": f"p{number}"}})
    rules = DrainRules(claim_rows=2, max_events=4)
    assert not alone.drain(rules=rules).is_complete
    assert alone.drain(rules=rules).is_complete
    assert alone.rows("payments") == 6


def test_a_stream_that_never_ends_does_not_keep_the_rest_of_the_pass_waiting(alone):
    def pay(*_):
        number = next(alone.numbers)
        later = alone.ws.clock() + dt.timedelta(milliseconds=number)
        payment = {**PAYMENT, "id": f"p{number}"}
        alone.post("payment.completed", {"payment": payment}, at=later)

    pay()
    alone.ws = dataclasses.replace(alone.ws, report_progress=pay)
    report = alone.drain(rules=DrainRules(max_events=50))
    assert 1 <= report.settled <= 2
    assert not report.is_complete


def test_a_sample_order_is_read_by_its_id(desk, mailbox):
    order_id = desk.sandbox.sopost.place(SLUG)
    mailbox.post("order", b"{}", source="sopost", entity_id=order_id)
    assert mailbox.drain().landed == 1
    desk.sandbox.sopost.move(order_id, "APPROVED")
    for _ in range(2):
        mailbox.post("order", b"{}", source="sopost", entity_id=order_id)
    report = mailbox.drain()
    assert (report.reads, report.landed, report.settled) == (1, 1, 2)
    assert mailbox.current("orders", "sopost")[order_id]["status"] == "APPROVED"
    mailbox.post("order", b"{}", source="sopost", entity_id=order_id)
    assert mailbox.drain().landed == 0


@pytest.mark.parametrize("status", [403, 404])
def test_a_sample_order_that_is_not_there_yet_is_asked_for_later(desk, mailbox, status):
    desk.sandbox.sopost.switch(blocked_reads=2, blocked_status=status)
    order_id = desk.sandbox.sopost.place(SLUG)
    mailbox.post("order", b"{}", source="sopost", entity_id=order_id)
    for seconds in (6, 11):
        report = mailbox.drain()
        assert (report.landed, report.postponed, report.failed) == (0, 1, 0)
        assert mailbox.drain().reads == 0
        desk.clock.turn(seconds=seconds)
    assert mailbox.drain().landed == 1


def test_a_sample_order_that_never_comes_is_set_aside_and_not_lost(desk, mailbox):
    unknown = "9a7b6c5d-4e3f-4a2b-8c1d-0e9f8a7b6c5d"
    mailbox.post("order", b"{}", source="sopost", entity_id=unknown)
    reads = 0
    for _ in range(10):
        reads += mailbox.drain().reads
        desk.clock.turn(hours=2)
    assert reads == DrainRules().attempts
    (reject,) = mailbox.ws.ledger.rejects.list(SLUG)
    assert (reject.reject.reason, reject.reject.detail) == ("not_found", unknown)
    assert mailbox.ws.ledger.inbox.retry(SLUG) == 1
    assert mailbox.drain().postponed == 1


def test_an_id_that_is_none_leads_to_no_call(desk, mailbox):
    mailbox.post("order", b"{}", source="sopost", entity_id="../../webhooks")
    assert mailbox.drain().postponed == 1
    assert not desk.sandbox.sopost.requests.entries()


def test_a_drain_that_dies_before_it_settles_lands_nothing_twice(alone, monkeypatch):
    alone.post(*CREATED_EVENT)
    alone.post(*COMPLETED_EVENT)
    inbox = alone.ws.ledger.inbox
    with monkeypatch.context() as patched:
        patched.setattr(inbox, "settle", _die)
        with pytest.raises(KeyboardInterrupt):
            alone.drain()
    before = alone.current(), alone.current("payments")
    report = alone.drain()
    assert (report.landed, report.settled) == (0, 2)
    assert (alone.current(), alone.current("payments")) == before
    assert alone.rows() == alone.rows("payments") == 1


def _die(*_args, **_more):
    raise KeyboardInterrupt


def test_a_poisonous_record_is_tried_and_set_aside_and_the_others_land(alone, monkeypatch):
    land = draining.land_hook_rows

    def poisoned(*args, **more):
        pages = args[4]
        if any("poison" in rows.column("id").to_pylist() for rows, _ in pages):
            raise ZeroDivisionError
        return land(*args, **more)

    monkeypatch.setattr(draining, "land_hook_rows", poisoned)
    alone.post("payment.completed", {"payment": {**PAYMENT, "id": "poison"}})
    alone.post(*COMPLETED_EVENT)
    report = alone.drain()
    assert (report.landed, report.settled, report.postponed) == (1, 1, 1)
    for _ in range(10):
        alone.clock.turn(hours=2)
        alone.drain()
    assert alone.reject_reasons() == {"bug:ZeroDivisionError": 1}


def test_a_sweep_does_not_undo_what_a_webhook_told_before_the_list_shows_it(desk, mailbox):
    desk.pull()
    customer = a_customer(desk)
    desk.clock.turn(hours=1)
    newer = {**customer, "updatedAt": "2026-11-21T12:59:55Z", "firstName": "Told"}
    mailbox.post("customer.updated", {"customer": newer})
    mailbox.drain()
    report = desk.pull("sweep")
    assert (report.rows_landed, report.rows_stale > 0) == (0, True)
    assert mailbox.current()[customer["id"]]["first_name"] == "Told"
    desk.clock.turn(hours=1)
    desk.pull("sweep")
    assert mailbox.current()[customer["id"]]["first_name"] == customer["firstName"]
