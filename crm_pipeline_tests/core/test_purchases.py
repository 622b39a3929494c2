"""A payment becomes one purchase for ever, and perhaps its refund, exact to the cent."""

import itertools
import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.core.purchases import (
    Place,
    PurchaseRules,
    map_payment,
    purchase_id,
    read_items,
    refund_key,
)

RULES = PurchaseRules()
ITEMS = [
    {"id": "FOOD014", "name": "Flat white", "amount": 500, "quantity": 2},
    {"id": "FOOD015", "label": "Toast", "amount": 700},
]


def payment(**changes):
    row = {
        "id": "p-1",
        "state": "COMPLETED",
        "created_at": "2024-06-06T22:09:58Z",
        "completed_at": "2024-06-06T22:10:11Z",
        "refunded_at": None,
        "location_id": "LOC207",
        "currency": "AUD",
        "total": 1450,
        "refunded_amount": None,
        "customer_id": "01C",
        "customer": json.dumps({"id": "01C", "email": "mina@example.com"}),
        "items": json.dumps(ITEMS),
    }
    return {**row, **changes}


def purchase_of(rules=RULES, **changes):
    return map_payment(payment(**changes), rules, "acme").purchase


def lines_of(fields):
    return json.loads(fields["lines"])


def cents(text):
    return int(Decimal(text) * 100)


def test_a_payment_is_a_purchase_with_the_times_and_amounts_of_the_data():
    fields = purchase_of()
    assert fields["reference_number"] == "loke:p-1"
    assert fields["purchase_id"] == purchase_id("acme", "loke:p-1")
    assert fields["contact_key"] == "loke:01C"
    assert fields["date"] == 1717711811
    assert (fields["total"], fields["net"], fields["tax"]) == ("14.50", "14.50", "0.00")
    assert "participant" not in fields


def test_what_the_items_lack_is_a_line_of_its_own():
    lines = lines_of(purchase_of())
    assert [(line["sku"], line["total_amount"]) for line in lines] == [
        ("FOOD014", "5.00"),
        ("FOOD015", "7.00"),
        ("LOKE-ADJUSTMENT", "2.50"),
    ]
    assert [line["name"] for line in lines] == ["Flat white", "Toast", "Other charges"]
    assert [line["quantity"] for line in lines] == [2, 1, 1]


def test_a_discount_is_shared_out_over_the_items():
    lines = lines_of(purchase_of(total=600))
    assert [line["total_amount"] for line in lines] == ["2.50", "3.50"]


@given(
    total=st.integers(1, 10**7),
    amounts=st.lists(st.integers(-100, 10**6), max_size=8),
    rate=st.one_of(st.none(), st.sampled_from([Decimal("0"), Decimal("0.1"), Decimal("0.24")])),
)
def test_net_and_tax_make_the_total_and_lines_make_the_purchase(total, amounts, rate):
    items = [{"id": f"I{place}", "amount": amount} for place, amount in enumerate(amounts)]
    fields = purchase_of(replace(RULES, tax_rate=rate), total=total, items=json.dumps(items))
    lines = lines_of(fields)
    assert cents(fields["net"]) + cents(fields["tax"]) == cents(fields["total"]) == total
    for name in ("net", "tax", "total"):
        assert sum(cents(line[f"{name}_amount"]) for line in lines) == cents(fields[name])
    assert all(cents(line["total_amount"]) >= 0 for line in lines)


def test_amounts_have_the_decimals_of_their_currency():
    assert purchase_of(currency="JPY")["total"] == "1450"
    assert purchase_of(currency="KWD")["total"] == "1.450"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"completed_at": None, "state": "PENDING"}, "not_completed"),
        ({"customer_id": None}, "anonymous"),
        ({"total": 0}, "no_value"),
    ],
)
def test_what_makes_no_purchase_says_why(changes, why):
    mapped = map_payment(payment(**changes), RULES, "acme")
    assert (mapped.skipped, mapped.purchase, mapped.rejected) == (why, None, "")


def test_history_before_the_go_live_is_not_sent():
    assert map_payment(payment(), replace(RULES, go_live=1717711812), "acme").skipped
    assert not map_payment(payment(), replace(RULES, go_live=1717711811), "acme").skipped


def test_a_payment_without_a_customer_is_sent_when_the_organisation_says_so():
    fields = purchase_of(replace(RULES, is_anonymous_sent=True), customer_id=None)
    assert "contact_key" not in fields


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"completed_at": "soon"}, "time_unreadable"),
        ({"currency": "XXY"}, "currency_unknown"),
        ({"total": None}, "total_missing"),
        ({"total": -1}, "total_negative"),
    ],
)
def test_what_cannot_be_a_purchase_is_set_aside(changes, why):
    assert map_payment(payment(**changes), RULES, "acme").rejected == why


def test_a_completed_payment_without_that_time_takes_the_time_of_its_creation():
    assert purchase_of(completed_at=None)["date"] == 1717711798


def test_places_are_named_as_the_crm_names_them():
    rules = replace(RULES, places={"LOC207": Place(organisation_id="o-1")})
    assert purchase_of(rules)["organisation_id"] == "o-1"
    assert map_payment(payment(location_id="LOC1"), rules, "acme").rejected == "location_unmapped"
    assert "organisation_id" not in purchase_of(rules, location_id=None)
    lenient = replace(rules, is_default_for_unmapped=True, default_place=Place(tap_code="T1"))
    assert purchase_of(lenient, location_id="LOC1")["tap_code"] == "T1"


@pytest.mark.parametrize(
    ("name", "value"), [("email", "mina@example.com"), ("id", "01C"), ("phoneNumber", None)]
)
def test_the_participant_is_the_field_that_the_organisation_chose(name, value):
    assert purchase_of(replace(RULES, participant=name)).get("participant") == value


def test_nobody_is_no_participant():
    rules = replace(RULES, participant="id", is_anonymous_sent=True)
    assert "participant" not in purchase_of(rules, customer_id=None)
    emails = replace(rules, participant="email")
    assert "participant" not in purchase_of(emails, customer=None)


def refund_of(**changes):
    rules = replace(RULES, is_unknown_refund_whole=changes.pop("whole", False))
    return map_payment(payment(refunded_at="2024-06-07T01:00:00Z", **changes), rules, "acme")


def test_a_refunded_payment_cancels_its_purchase():
    fields = refund_of(state="REFUNDED").refund
    assert (fields["kind"], fields["purchase_key"]) == ("cancel", "loke:p-1")
    assert fields["reference_number"] == refund_key("loke:p-1")
    assert fields["date"] == 1717722000
    assert "amount" not in fields


def test_a_known_part_is_returned_and_the_whole_is_cancelled():
    part = refund_of(refunded_amount=400).refund
    assert (part["kind"], part.get("amount")) == ("return", "4.00")
    assert refund_of(refunded_amount=1450).refund["kind"] == "cancel"


def test_a_refund_of_an_unknown_amount_waits_for_a_person():
    for mapped in (refund_of(), refund_of(refunded_amount=0)):
        assert mapped.refund is None
        assert mapped.issues == ("refund_amount_unknown",)
        assert mapped.purchase is not None
    assert refund_of(whole=True).refund["kind"] == "cancel"


def test_a_refund_whose_time_cannot_be_read_has_the_time_of_the_purchase():
    refund = map_payment(payment(refunded_at="late", state="REFUNDED"), RULES, "acme").refund
    assert refund["date"] == 1717711811


def test_the_purchase_is_the_same_before_and_after_its_refund():
    later = refund_of(state="REFUNDED", refunded_amount=None).purchase
    assert later == purchase_of()


def test_items_that_cannot_be_read_are_left_out():
    assert read_items(None) == []
    assert read_items('{"id": 1}') == []
    assert read_items('[{"name": "nameless"}, 5, {"id": "A"}]') == [{"id": "A"}]
    odd = [{"id": "A", "amount": "5", "quantity": True}]
    (line, rest) = lines_of(purchase_of(items=json.dumps(odd)))
    assert (line["name"], line["quantity"], line["total_amount"]) == ("A", 1, "0.00")
    assert rest["total_amount"] == "14.50"


def test_every_organisation_and_key_has_an_id_of_its_own():
    pairs = itertools.product(("acme", "blue"), ("loke:1", "loke:2"))
    assert len({purchase_id(*pair) for pair in pairs}) == 4
