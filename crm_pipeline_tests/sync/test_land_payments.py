"""Payments: newest first like customers, ordered by the latest of their own four times."""

import pytest

from crm_pipeline.sources.loke import SOURCE
from crm_pipeline.sync.land import landed_table, peek, pull
from crm_pipeline_tests.sync.conftest import ORGANISATION, SLUG
from crm_pipeline_tests.sync.mailroom import opened

TABLE = landed_table("loke", "payments")


class Till:
    def __init__(self, desk, mailbox):
        self.desk = desk
        self.mailbox = mailbox
        self.loke = desk.sandbox.loke

    def pull(self, mode="incremental"):
        ws, api, rules = self.desk.ws, self.desk.api, self.desk.rules
        return pull(ws, SLUG, SOURCE, api, "payments", mode=mode, rules=rules)

    def peek(self):
        return peek(self.desk.ws, SLUG, SOURCE, self.desk.api, "payments", self.desk.rules)

    def sell(self, **how):
        self.desk.clock.turn(seconds=5)
        return self.loke.complete_payment(ORGANISATION.id, **how)

    def refund(self, payment, **how):
        self.desk.clock.turn(seconds=5)
        return self.loke.refund(ORGANISATION.id, payment["id"], **how)

    def tell(self, event, payment):
        location = {"location": {"id": payment["locationId"]}} if "locationId" in payment else {}
        self.mailbox.post(event, {"payment": payment, **location})
        return self.mailbox.drain()

    def landed(self):
        return self.mailbox.current("payments")

    def rows(self):
        return self.mailbox.rows("payments")


@pytest.fixture
def till(desk):
    with opened(desk) as mailbox:
        yield Till(desk, mailbox)


def test_a_sale_and_its_refund_are_two_versions_of_one_payment(till):
    till.pull()
    first = till.rows()
    payment = till.sell(total=1450)
    assert till.pull().rows_landed == 1
    assert till.landed()[payment["id"]]["total"] == 1450
    refunded = till.refund(payment)
    assert till.pull().rows_landed == 1
    row = till.landed()[payment["id"]]
    assert (row["refunded_at"], row["changed_at"]) == (refunded["refundedAt"],) * 2
    assert till.rows() == first + 2
    assert till.pull("sweep").rows_landed == 0


def test_a_quiet_pull_of_payments_reads_one_page_and_writes_nothing(till):
    till.pull()
    rows, mark = till.rows(), till.desk.ws.ledger.watermarks.get(SLUG, "loke", "payments")
    report = till.pull()
    assert (report.pages, report.rows_landed, till.rows()) == (1, 0, rows)
    assert till.desk.ws.ledger.watermarks.get(SLUG, "loke", "payments") == mark
    assert not till.peek()
    till.sell()
    assert till.peek().rows == 1


@pytest.mark.parametrize("location", [None, ""])
def test_what_a_webhook_told_of_a_payment_is_no_news_to_a_pull(till, location):
    till.pull()
    payment = till.sell(location=location)
    assert till.tell("payment.completed", payment).landed == 1
    refunded = till.refund(payment)
    assert till.tell("payment.refunded", refunded).landed == 1
    assert till.tell("payment.completed", payment).landed == 0
    rows = till.rows()
    assert not till.peek()
    assert till.pull().rows_landed == 0
    assert till.pull("sweep").rows_landed == 0
    assert till.rows() == rows


def test_a_pull_and_then_its_webhooks_land_each_version_once(till):
    till.pull()
    payment = till.sell()
    refunded = till.refund(payment)
    till.pull()
    rows = till.rows()
    assert till.tell("payment.completed", payment).landed == 0
    assert till.tell("payment.refunded", refunded).landed == 0
    assert till.rows() == rows


def test_a_sale_and_a_refund_of_one_second_end_as_the_refund(till):
    payment = till.sell()
    refunded = {**payment, "refundedAt": payment["completedAt"], "state": "REFUNDED"}
    for event, body in (("payment.refunded", refunded), ("payment.completed", payment)):
        till.tell(event, body)
    assert till.landed()[payment["id"]]["refunded_at"] == payment["completedAt"]
