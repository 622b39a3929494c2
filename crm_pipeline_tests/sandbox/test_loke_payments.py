"""Payments, orders and locations of the fake LOKE, as its clients read them."""

import dataclasses
import itertools
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from crm_pipeline.sandbox import FaultRule, Sandbox, demo_organisations
from crm_pipeline_tests.sandbox.conftest import SMALL, Clock, rows_of, scan

SHOP = dataclasses.replace(SMALL, payments=2500, currency="NZD")
ROOT = f"/organizations/{SHOP.id}"
PAYMENTS = f"{ROOT}/payments"
Connect = Callable[[Sandbox], httpx.Client]


@pytest.fixture
def sandbox(run: Callable[..., Sandbox]) -> Sandbox:
    return run(organisations=(SHOP,))


@pytest.fixture
def rows(loke: httpx.Client) -> list[dict[str, Any]]:
    return rows_of(scan(loke, PAYMENTS))


def has(rows: list[dict[str, Any]], name: str) -> float:
    return sum(name in row for row in rows) / len(rows)


@pytest.mark.parametrize("sort", ["created", "updated"])
@pytest.mark.parametrize("cursor", ["key", "offset"])
def test_a_scan_meets_every_payment_once_newest_first(
    sandbox: Sandbox, loke: httpx.Client, sort: str, cursor: str
) -> None:
    sandbox.loke.switch(cursor=cursor)
    pages = scan(loke, f"{PAYMENTS}?sort={sort}")
    assert [len(page) for page in pages] == [100] * 25
    rows = rows_of(pages)
    assert len({row["id"] for row in rows}) == 2500
    times = [row[f"{sort}At"][:19] for row in rows if f"{sort}At" in row]
    assert times == sorted(times, reverse=True)


def test_payments_come_by_creation_unless_told_otherwise(loke: httpx.Client) -> None:
    assert loke.get(PAYMENTS).content == loke.get(f"{PAYMENTS}?sort=created").content
    assert scan(loke, PAYMENTS) != scan(loke, f"{PAYMENTS}?sort=updated")
    assert loke.get(f"{PAYMENTS}?sort=total").status_code == 400


def test_the_page_size_is_a_switch(sandbox: Sandbox, loke: httpx.Client) -> None:
    sandbox.loke.switch(payment_page_size=1000)
    assert [len(page) for page in scan(loke, PAYMENTS)] == [1000, 1000, 500]


@pytest.mark.parametrize("cursor", ["key", "offset"])
def test_payments_of_one_location_are_those_payments_and_no_others(
    sandbox: Sandbox, loke: httpx.Client, rows: list[dict[str, Any]], cursor: str
) -> None:
    sandbox.loke.switch(cursor=cursor)
    place = loke.get(f"{ROOT}/locations").json()[1]["id"]
    pages = scan(loke, f"{PAYMENTS}?locationId={place}")
    assert {len(page) for page in pages[:-1]} == {100}
    assert rows_of(pages) == [row for row in rows if row.get("locationId") == place]
    assert loke.get(f"{PAYMENTS}?locationId=LOC0").json() == []


def test_a_cursor_of_another_list_of_payments_is_refused(loke: httpx.Client) -> None:
    link = loke.get(f"{PAYMENTS}?sort=updated").headers["X-Next-Page"]
    assert loke.get(link.replace("sort=updated", "sort=created")).status_code == 400
    assert loke.get(f"{PAYMENTS}?after=nonsense").status_code == 400


def test_payments_are_as_real_ones_are(rows: list[dict[str, Any]]) -> None:
    assert has(rows, "customer") == pytest.approx(0.88, abs=0.03)
    assert has(rows, "locationId") == pytest.approx(0.97, abs=0.02)
    assert has(rows, "refId") == pytest.approx(0.70, abs=0.04)
    assert has(rows, "refundedAt") == pytest.approx(0.05, abs=0.02)
    assert 0.97 < has(rows, "updatedAt") < 1
    assert {row["currency"] for row in rows} == {"NZD"}
    assert {len(row["id"]) for row in rows} == {36}
    assert set(Counter(row["billingType"].partition("/")[0] for row in rows)) == {
        "order",
        "instore",
    }
    for name in ("tipAmount", "creditAmount", "externalAmount", "discountAmount"):
        assert 0.01 < sum(row[name] > 0 for row in rows) / len(rows) < 0.5
    assert any(row["discountAmount"] == row["total"] for row in rows)


def test_amounts_are_whole_numbers_that_need_not_add_up(rows: list[dict[str, Any]]) -> None:
    parts = ("chargedAmount", "creditAmount", "discountAmount", "externalAmount")
    assert all(isinstance(row[name], int) for row in rows for name in (*parts, "total"))
    odd = [row for row in rows if sum(row[name] for name in parts) != row["total"]]
    assert 0.02 < len(odd) / len(rows) < 0.2


def test_some_items_have_options_with_choices(rows: list[dict[str, Any]]) -> None:
    items = [item for row in rows for item in row["items"]]
    assert {"id", "name", "amount", "quantity", "type", "options"} == set(items[0])
    options = [option for item in items for option in item["options"]]
    assert 0.1 < len(options) / len(items) < 0.9
    assert {"id", "name", "amount"} == set(options[0]["choices"][0])
    assert any(not item["name"].isascii() for item in items)


def test_a_refunded_payment_says_when_and_changed_no_earlier(rows: list[dict[str, Any]]) -> None:
    for row in rows:
        assert (row["state"] == "REFUNDED") is ("refundedAt" in row)
        assert row["createdAt"] < row["completedAt"]
        assert row.get("updatedAt", "9") > row["completedAt"]
        assert row.get("refundedAt", row.get("updatedAt")) == row.get("updatedAt")


def test_the_customers_of_payments_are_customers(
    sandbox: Sandbox, rows: list[dict[str, Any]]
) -> None:
    for payment in rows[:200]:
        if "customer" in payment:
            customer = sandbox.loke.customer(SHOP.slug, payment["customer"]["id"])
            assert customer is not None
            assert payment["customer"].items() <= customer.items()
            assert set(payment["customer"]) >= {"id", "firstName", "lastName"}


def test_the_same_seed_gives_the_same_payments_and_another_gives_others(
    run: Callable[..., Sandbox], sandbox: Sandbox
) -> None:
    again, other = run(organisations=(SHOP,)), run(organisations=(SHOP,), seed=8)
    payments = sandbox.loke.payments(SHOP.slug)
    assert again.loke.payments(SHOP.slug) == payments
    assert not {row["id"] for row in other.loke.payments(SHOP.slug)} & {
        row["id"] for row in payments
    }


def test_an_organisation_without_customers_has_payments_of_nobody(
    run: Callable[..., Sandbox],
) -> None:
    empty = dataclasses.replace(SHOP, customers=0, payments=20)
    sandbox = run(organisations=(empty,))
    assert not any("customer" in row for row in sandbox.loke.payments(SHOP.slug))
    assert "customer" not in sandbox.loke.complete_payment(SHOP.slug)


def test_the_demo_has_a_few_payments() -> None:
    assert [each.payments for each in demo_organisations()] == [30, 500, 2000]


def test_a_million_payments_cost_nothing_until_they_are_read(
    run: Callable[..., Sandbox], connect: Connect
) -> None:
    began = time.perf_counter()
    sandbox = run(organisations=(dataclasses.replace(SHOP, payments=1_000_000),))
    client = connect(sandbox)
    newest = client.get(f"{PAYMENTS}?sort=updated").json()
    assert len(newest) == 100
    sandbox.loke.refund(SHOP.slug, next(row["id"] for row in newest if "refundedAt" not in row))
    assert "refundedAt" in client.get(f"{PAYMENTS}?sort=updated").json()[0]
    assert time.perf_counter() - began < 5


def test_locations_are_listed_searched_and_read(sandbox: Sandbox, loke: httpx.Client) -> None:
    rows = loke.get(f"{ROOT}/locations").json()
    assert len(rows) == 5
    assert all(row["id"].startswith("LOC") and row["id"][3:].isdecimal() for row in rows)
    assert loke.get(f"{ROOT}/locations?query=fitz").json() == [rows[1]]
    assert loke.get(f"{ROOT}/locations/{rows[2]['id']}").json() == rows[2]
    assert loke.get(f"{ROOT}/locations/LOC1").status_code == 404
    sandbox.loke.switch(location_page_size=2)
    assert [len(page) for page in scan(loke, f"{ROOT}/locations")] == [2, 2, 1]


def test_orders_are_read_by_location_and_belong_to_payments(
    loke: httpx.Client, rows: list[dict[str, Any]]
) -> None:
    places = [row["id"] for row in loke.get(f"{ROOT}/locations").json()]
    total = 0
    for place in places:
        pages = scan(loke, f"{ROOT}/locations/{place}/orders")
        orders = rows_of(pages)
        assert [len(page) for page in pages[:-1]] == [100] * (len(pages) - 1)
        assert len({order["id"] for order in orders}) == len(orders)
        times = [order["createdAt"] for order in orders]
        assert times == sorted(times, reverse=True)
        total += len(orders)
    ordered = [
        row for row in rows if row["billingType"].startswith("order/") and "locationId" in row
    ]
    assert total == len(ordered)
    order = orders[0]
    assert {"id", "createdAt", "currency", "fulfillAt", "adjustments", "items"} <= set(
        order["cart"]
    )
    assert loke.get(f"{ROOT}/locations/{places[-1]}/orders/{order['id']}").json() == order
    assert loke.get(f"{ROOT}/locations/{places[0]}/orders/{order['id']}").status_code == 404
    assert loke.get(f"{ROOT}/locations/LOC1/orders").status_code == 404


def test_orders_are_rejected_or_completed_and_some_are_delivered(loke: httpx.Client) -> None:
    place = loke.get(f"{ROOT}/locations").json()[0]["id"]
    orders = rows_of(scan(loke, f"{ROOT}/locations/{place}/orders"))
    assert {order["status"] for order in orders} == {"COMPLETED", "REJECTED"}
    for order in orders:
        assert ("rejectedAt" in order) is (order["status"] == "REJECTED")
    carts = [order["cart"] for order in orders]
    assert any("deliveryAddress" in cart for cart in carts)
    adjustments = [each for cart in carts for each in cart["adjustments"]]
    assert adjustments
    assert all(each["amount"] < 0 for each in adjustments)


def test_a_payment_that_is_completed_or_refunded_moves_to_the_head(
    sandbox: Sandbox, loke: httpx.Client, clock: Clock
) -> None:
    old = sandbox.loke.payments(SHOP.slug)[-1]["id"]
    made = sandbox.loke.complete_payment(SHOP.slug, total=1450)
    clock.turn(seconds=1)
    refunded = sandbox.loke.refund(SHOP.slug, old)
    by_change = loke.get(f"{PAYMENTS}?sort=updated").json()
    assert by_change[:2] == [refunded, made]
    assert loke.get(PAYMENTS).json()[0] == made
    assert (made["total"], made["chargedAmount"], made["state"]) == (1450, 1450, "COMPLETED")
    assert refunded["refundedAt"] == refunded["updatedAt"] == "2026-03-04T05:06:08Z"
    assert len(sandbox.loke.payments(SHOP.slug)) == 2501


def test_a_payment_is_for_whom_and_where_one_says(sandbox: Sandbox) -> None:
    customer = sandbox.loke.customers(SHOP.slug)[3]["id"]
    loke = sandbox.loke
    place = loke.tenant(SHOP.slug).locations[2]["id"]
    made = loke.complete_payment(SHOP.slug, customer=customer, location=place)
    assert (made["customer"]["id"], made["locationId"]) == (customer, place)
    nobody = loke.complete_payment(SHOP.slug, customer="", location="")
    assert not {"customer", "locationId"} & set(nobody)
    fields = {"completedAt": "2026-01-01T00:00:00Z", "refId": None, "tipAmount": 7}
    odd = loke.complete_payment(SHOP.slug, fields=fields)
    assert (odd["completedAt"], odd["tipAmount"]) == ("2026-01-01T00:00:00Z", 7)
    assert "refId" not in odd
    for wrong in ({"customer": "nobody"}, {"location": "LOC0"}):
        with pytest.raises(KeyError, match="there is no"):
            loke.complete_payment(SHOP.slug, **wrong)


def test_a_payment_is_refunded_once_and_never_by_more_than_its_total(sandbox: Sandbox) -> None:
    loke = sandbox.loke
    made = loke.complete_payment(SHOP.slug, total=1000)["id"]
    for amount in (0, 1001):
        with pytest.raises(ValueError, match="at most"):
            loke.refund(SHOP.slug, made, amount=amount)
    assert loke.refund(SHOP.slug, made, amount=400)["refundedAmount"] == 400
    with pytest.raises(ValueError, match="before"):
        loke.refund(SHOP.slug, made)
    with pytest.raises(KeyError, match="no payment"):
        loke.refund(SHOP.slug, "5e0c1c1e-6a44-4e0e-9b3c-0d8f1f6f2a10")
    assert "refundedAmount" not in loke.refund(
        SHOP.slug, loke.complete_payment(SHOP.slug, total=5)["id"]
    )


def test_the_amount_of_a_partial_refund_may_stay_unsaid(
    sandbox: Sandbox, loke: httpx.Client
) -> None:
    made = sandbox.loke.complete_payment(SHOP.slug, total=1000)["id"]
    sandbox.loke.refund(SHOP.slug, made, amount=400)
    assert loke.get(PAYMENTS).json()[0]["refundedAmount"] == 400
    sandbox.loke.switch(refunded_amount=False)
    shown = loke.get(PAYMENTS).json()[0]
    assert "refundedAmount" not in shown
    assert "refundedAt" in shown


def test_a_payment_and_its_refund_change_the_statistics_of_the_customer(
    sandbox: Sandbox, clock: Clock
) -> None:
    loke = sandbox.loke
    customer = loke.create_customer(SHOP.slug, statistics=None)
    assert "statistics" not in customer
    clock.turn(seconds=5)
    made = loke.complete_payment(SHOP.slug, customer=customer["id"], total=1999)
    richer = loke.customer(SHOP.slug, customer["id"])
    assert richer is not None
    assert richer["statistics"] == {
        "pointsBalance": 19,
        "totalPointsEarned": 19,
        "totalSpend": 1999,
        "lastSpentAt": "2026-03-04T05:06:12Z",
        "lastPointsEarnedAt": "2026-03-04T05:06:12Z",
    }
    assert richer["updatedAt"] == "2026-03-04T05:06:12Z"
    loke.refund(SHOP.slug, made["id"])
    poorer = loke.customer(SHOP.slug, customer["id"])
    assert poorer is not None
    assert poorer["statistics"]["totalSpend"] == poorer["statistics"]["pointsBalance"] == 0
    loke.switch(payments_earn=False)
    loke.complete_payment(SHOP.slug, customer=customer["id"])
    assert loke.customer(SHOP.slug, customer["id"]) == poorer


def test_an_order_is_placed_accepted_and_completed(
    sandbox: Sandbox, loke: httpx.Client, clock: Clock
) -> None:
    place = sandbox.loke.tenant(SHOP.slug).locations[1]["id"]
    customer = sandbox.loke.customers(SHOP.slug)[0]["id"]
    order = sandbox.loke.place_order(SHOP.slug, customer=customer, location=place, total=900)
    url = f"{ROOT}/locations/{place}/orders"
    assert loke.get(url).json()[0] == order
    assert (order["status"], order["customer"]["id"]) == ("CREATED", customer)
    assert order["cart"]["items"][0]["amount"] == 900
    clock.turn(seconds=60)
    sandbox.loke.accept_order(SHOP.slug, order["id"])
    clock.turn(seconds=60)
    done = sandbox.loke.complete_order(SHOP.slug, order["id"])
    assert loke.get(f"{url}/{order['id']}").json() == done
    assert (done["status"], done["acceptedAt"]) == ("COMPLETED", "2026-03-04T05:07:07Z")
    assert done["completedAt"] == "2026-03-04T05:08:07Z"
    with pytest.raises(KeyError, match="no order"):
        sandbox.loke.accept_order(SHOP.slug, "none")


def test_a_paid_order_that_is_rejected_is_refunded(sandbox: Sandbox) -> None:
    order = sandbox.loke.place_order(SHOP.slug, customer="", total=900, paid=True)
    paid = sandbox.loke.payments(SHOP.slug)[0]
    assert (paid["total"], paid["refId"], paid["billingType"]) == (900, order["id"], "order/pickup")
    assert "customer" not in paid
    rejected = sandbox.loke.reject_order(SHOP.slug, order["id"])
    assert rejected["status"] == "REJECTED"
    refunded = sandbox.loke.payment(SHOP.slug, paid["id"])
    assert refunded is not None
    assert refunded["state"] == "REFUNDED"


def test_orders_from_before_move_as_well(sandbox: Sandbox, loke: httpx.Client) -> None:
    place = sandbox.loke.tenant(SHOP.slug).locations[0]["id"]
    url = f"{ROOT}/locations/{place}/orders"
    orders = rows_of(scan(loke, url))
    sandbox.loke.complete_order(SHOP.slug, orders[-1]["id"])
    after = rows_of(scan(loke, url))
    assert after[:-1] == orders[:-1]
    assert after[-1]["completedAt"] == "2026-03-04T05:06:07Z"
    assert sandbox.loke.order(SHOP.slug, orders[-1]["id"]) == after[-1]


def test_ties_of_payments_lie_across_a_page_border(loke: httpx.Client) -> None:
    pages = scan(loke, f"{PAYMENTS}?sort=updated")
    borders = [
        (before[-1].get("updatedAt", "?")[:19], after[0].get("updatedAt", "!")[:19])
        for before, after in itertools.pairwise(pages)
    ]
    assert any(last == first for last, first in borders)


def test_another_seeding_of_customers_begins_payments_again(sandbox: Sandbox) -> None:
    sandbox.loke.complete_payment(SHOP.slug)
    sandbox.loke.seed(SHOP.slug, 5)
    payments = sandbox.loke.payments(SHOP.slug)
    assert len(payments) == 2500
    known = {row["id"] for row in sandbox.loke.customers(SHOP.slug)}
    assert {row["customer"]["id"] for row in payments if "customer" in row} <= known


def test_a_refunded_payment_stays_where_it_was_made(sandbox: Sandbox, loke: httpx.Client) -> None:
    payment = next(
        row
        for row in sandbox.loke.payments(SHOP.slug)
        if "refundedAt" not in row and "locationId" in row
    )
    refunded = sandbox.loke.refund(SHOP.slug, payment["id"])
    at = payment["locationId"]
    assert loke.get(f"{PAYMENTS}?sort=updated&locationId={at}").json()[0] == refunded


def test_ties_of_payments_may_come_in_another_order(sandbox: Sandbox, loke: httpx.Client) -> None:
    url = f"{PAYMENTS}?sort=updated"
    before = loke.get(url).json()
    sandbox.loke.faults.add(FaultRule(kind="shuffle_ties", path="/payments"))
    shuffled = loke.get(url).json()
    assert shuffled != before
    assert len(shuffled) == 100
    assert loke.get(url).json() == before


def test_an_unknown_order_is_not_found(sandbox: Sandbox, loke: httpx.Client) -> None:
    place = sandbox.loke.tenant(SHOP.slug).locations[0]["id"]
    for order in ("none", sandbox.loke.payments(SHOP.slug)[0]["id"]):
        assert loke.get(f"{ROOT}/locations/{place}/orders/{order}").status_code == 404
    assert sandbox.loke.order(SHOP.slug, "none") is None
