"""The fake CRM.COM keeps purchases, and moves wallets, as the vendor's sources say."""

import time
import uuid
from typing import Any

import httpx
import pytest

from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline_tests.sandbox.conftest import SMALL, Clock
from crm_pipeline_tests.sandbox.test_crm_com_contacts import MINA, create, refused

TEN: dict[str, Any] = {
    "reference_number": "loke:01HX1",
    "date": 1_714_731_300,
    "currency_code": "AUD",
    "classification": {"name": "LOKE"},
    "transaction_amounts": {"net": 9.09, "tax": 0.91, "discount": 0, "total": 10.00},
    "products": [
        {
            "sku": "SKU-1",
            "name": "Flat white",
            "family": {"name": "Coffee"},
            "quantity": 2,
            "net_amount": 9.09,
            "tax_amount": 0.91,
            "total_amount": 10.00,
        }
    ],
}


@pytest.fixture
def desk(sandbox: Sandbox) -> Desk:
    return Desk(sandbox.crm_com, SMALL.slug)


@pytest.fixture
def mina(crm: httpx.Client) -> str:
    return create(crm, MINA)


def post(crm: httpx.Client, body: dict[str, Any]) -> dict[str, Any]:
    answer = crm.post("/purchases", json=body)
    assert answer.status_code == 200, answer.text
    kept: dict[str, Any] = answer.json()
    return kept


def test_a_purchase_is_kept_as_it_was_sent_and_awards_at_once(
    crm: httpx.Client, desk: Desk, mina: str
) -> None:
    chosen = str(uuid.uuid4())
    answer = post(crm, {**TEN, "id": chosen, "contact": {"id": mina}})
    assert answer == {"id": chosen, "rewards": {"award": 0.5, "spend": 0, "redeem": 0}}
    kept = crm.get(f"/purchases/{chosen}").json()
    assert kept["transaction_amounts"] == TEN["transaction_amounts"]
    expected = {
        "reference_number": "loke:01HX1",
        "state": "POSTED",
        "date": 1_714_731_300,
        "currency_code": "AUD",
        "ad_hoc_return": None,
        "rewards": {"award": 0.5, "spend": 0, "redeem": 0},
        "contact": {"id": mina, "code": MINA["code"], "name": "Mina Okafor"},
    }
    assert {name: kept[name] for name in expected} == expected
    assert kept["classification"]["name"] == "LOKE"
    assert kept["organisation"]["name"] == SMALL.name
    line = kept["products"][0]
    assert (line["product_sku"]["sku"], line["product_family"]["name"]) == ("SKU-1", "Coffee")
    assert (line["quantity"], line["total_amount"]) == (2, 10)
    assert desk.balance(mina) == 50
    assert crm.get(f"/purchases/{chosen}/rewards").json()["content"] == [
        {
            "type": "AWARD",
            "reward_offer": None,
            "redeem_method": "INSTANT",
            "amount": 0.5,
            "currency_code": "AUD",
        }
    ]
    names = crm.get("/customer_event_classifications").json()["content"]
    assert [each["name"] for each in names] == ["LOKE"]
    again = post(crm, {**TEN, "classification": {"id": names[0]["id"]}})["id"]
    assert crm.get(f"/purchases/{again}").json()["classification"]["name"] == "LOKE"


def test_amounts_are_numbers_with_the_decimals_of_their_currency(crm: httpx.Client) -> None:
    kept = post(crm, TEN)["id"]
    assert '"total":10.00' in crm.get(f"/purchases/{kept}").text
    yen = {"currency_code": "JPY", "transaction_amounts": {"total": 1200}}
    shown = crm.get(f"/purchases/{post(crm, yen)['id']}").text
    assert '"net":1200,"tax":0,"discount":0,"total":1200}' in shown
    dinar = {"currency_code": "KWD", "transaction_amounts": {"total": 1.125}}
    assert '"total":1.125}' in crm.get(f"/purchases/{post(crm, dinar)['id']}").text


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"total": 10}, {"net": 10, "tax": 0, "discount": 0, "total": 10}),
        ({"total": 10, "tax": 0.91}, {"net": 9.09, "tax": 0.91, "discount": 0, "total": 10}),
        ({"net": 9.09, "tax": 0.91}, {"net": 9.09, "tax": 0.91, "discount": 0, "total": 10}),
        (None, {"net": 10, "tax": 0, "discount": 0, "total": 10}),
        ({"total": 0}, {"net": 0, "tax": 0, "discount": 0, "total": 0}),
    ],
)
def test_amounts_that_are_not_given_are_calculated(
    crm: httpx.Client, given: Any, expected: dict[str, float]
) -> None:
    body: dict[str, Any] = {"transaction_amounts": given}
    if given is None:
        body["products"] = [{"sku": "A", "total_amount": 4}, {"sku": "B", "total_amount": 6}]
    kept = post(crm, body)["id"]
    assert crm.get(f"/purchases/{kept}").json()["transaction_amounts"] == expected


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"transaction_amounts": {"net": 9, "tax": 0.91, "total": 10}}, "transaction_amounts"),
        ({"transaction_amounts": {"total": "10.00"}}, "total"),
        ({"transaction_amounts": {"total": 10.001}}, "total"),
        ({"transaction_amounts": {"total": -1}}, "total"),
        ({"transaction_amounts": {"total": True}}, "total"),
        ({"transaction_amounts": {}, "products": None}, "total"),
        ({"transaction_amounts": {"total": 11}}, "products"),
        ({"transaction_amounts": {"total": 1e30}}, "total"),
        ({"currency_code": "aud"}, "currency_code"),
        ({"currency_code": 36}, "currency_code"),
        ({"date": "2024-05-03"}, "date"),
        ({"date": 1_714_731_300_000}, "date"),
        ({"id": "loke:01HX1"}, "id"),
        ({"products": [{"name": "no sku"}]}, "sku"),
        ({"products": [{"sku": " "}]}, "sku"),
        ({"products": [{"sku": "A", "quantity": 0}]}, "quantity"),
        (
            {"products": [{"sku": "A", "net_amount": 9, "tax_amount": 2, "total_amount": 10}]},
            "total_amount",
        ),
        ({"spend_request": {"amount": 1}}, "contact"),
        ({"contact": {}, "spend_request": {"amount": 1}}, "contact"),
        ({"spend_request": {"amount": 0}}, "amount"),
        ({"spend_request": {"restrict_fully_covered": True}}, "amount"),
        ({"reference_number": 7}, "reference_number"),
    ],
)
def test_a_wrong_purchase_is_refused_and_leaves_nothing_behind(
    crm: httpx.Client, desk: Desk, change: dict[str, Any], field: str
) -> None:
    answer = crm.post("/purchases", json={**TEN, **change})
    assert refused(answer) == (400, "INVALIDVALUEEXCEPTION", [field])
    assert desk.purchases() == []
    assert len(desk.business.catalogue) == 0
    assert crm.get("/customer_event_classifications").json()["content"] == []


def test_unknown_members_are_ignored(crm: httpx.Client) -> None:
    post(crm, {**TEN, "custom_fields": [{"key": "x", "value": "y"}], "contact_id": "whoever"})


def test_a_person_is_named_by_id_code_medium_wallet_or_one_time_password(
    crm: httpx.Client, desk: Desk, mina: str, clock: Clock
) -> None:
    crm.put(f"/contacts/{mina}", json={"loyalty_identifiers": [{"identifier": "100000001908"}]})
    issued = desk.issue_otp(mina)
    wallet = crm.get(f"/contacts/{mina}").json()["wallet"]["code"]
    for named in (
        {"id": mina},
        {"id": MINA["code"]},
        {"code": MINA["code"]},
        {"cim": "mina@mail.example.com"},
        {"cim": "+61411222333"},
        {"cim": "411222333"},
        {"cim": "100000001908"},
        {"wallet_code": wallet},
        {"wallet": {"code": wallet}},
        {"otp": issued.otp},
    ):
        kept = post(crm, {"contact": named, "transaction_amounts": {"total": 1}})["id"]
        assert crm.get(f"/purchases/{kept}").json()["contact"]["id"] == mina, named
    body = {"contact": {"otp": issued.otp}, "transaction_amounts": {"total": 1}}
    assert refused(crm.post("/purchases", json=body))[1] == "NOTFOUNDEXCEPTION"
    body["contact"] = {"otp": desk.issue_otp(mina).alternative}
    clock.turn(minutes=5)
    assert refused(crm.post("/purchases", json=body))[1] == "NOTFOUNDEXCEPTION"


@pytest.mark.parametrize("status", [400, 404])
@pytest.mark.parametrize(
    ("change", "entity"),
    [
        ({"contact": {"id": "none"}}, "contact"),
        ({"contact": {"cim": "+61400000000"}}, "contact"),
        ({"contact": {"wallet_code": "none"}}, "wallet"),
        ({"organisation": {"id": "none"}}, "organisation"),
        ({"venue_tap": {"code": "none"}}, "tap"),
        ({"classification": {"id": "none"}}, "classification"),
    ],
)
def test_what_a_purchase_names_must_exist(
    sandbox: Sandbox, crm: httpx.Client, status: int, change: dict[str, Any], entity: str
) -> None:
    sandbox.crm_com.switch(not_found_status=status)
    answer = refused(crm.post("/purchases", json={**TEN, **change}))
    assert answer[:2] == (status, "NOTFOUNDEXCEPTION")
    assert answer[2][0] == entity


def test_a_place_is_named_by_its_id_or_its_tap(crm: httpx.Client, desk: Desk) -> None:
    places = crm.get("/organisations").json()["content"]
    assert places[0]["name"] == SMALL.name
    second = places[2]
    for named in (
        {"organisation": {"id": second["id"]}},
        {"organisation": {"venue_tap": {"code": "harbour-coffee-2"}}},
        {"merchant_tap": {"code": "harbour-coffee-2"}},
        {"venue_tap": {"id": second["tap"]["id"]}},
    ):
        kept = post(crm, {**TEN, **named})["id"]
        assert crm.get(f"/purchases/{kept}").json()["organisation"]["id"] == second["id"]
    assert desk.purchases()[-1]["tap"]["code"] == "harbour-coffee-2"
    query = f"/purchases?organisations={second['id']}&include_total=true"
    assert crm.get(query).json()["paging"]["total"] == 4
    network = crm.get(f"/organisations/{places[0]['id']}/network").json()["content"]
    assert [each["id"] for each in network] == [each["id"] for each in places[1:]]


def test_a_classification_can_be_left_out_of_every_offer(
    sandbox: Sandbox, crm: httpx.Client, desk: Desk, mina: str
) -> None:
    sandbox.crm_com.switch(unrewarded_classifications=["History"], award_percentage="10")
    post(crm, {**TEN, "contact": {"id": mina}, "classification": {"name": "History"}})
    assert desk.balance(mina) == 0
    post(crm, {**TEN, "contact": {"id": mina}})
    assert desk.balance(mina) == 100


def test_a_foreign_currency_is_converted_to_the_businesss_own(
    sandbox: Sandbox, crm: httpx.Client, desk: Desk, mina: str
) -> None:
    sandbox.crm_com.switch(exchange_rates={"JPY": 0.01})
    body = {"currency_code": "JPY", "transaction_amounts": {"total": 2000}}
    kept = post(crm, {**body, "contact": {"id": mina}})["id"]
    shown = crm.get(f"/purchases/{kept}").json()
    assert (shown["total_default_currency"], shown["default_currency_code"]) == (20, "AUD")
    assert shown["exchange_rate"] == 0.01
    assert desk.balance(mina) == 100


@pytest.mark.parametrize(
    ("asked", "is_restricted", "spent"),
    [(4, False, 4), (4, True, 4), (50, False, 5), (50, True, None)],
)
def test_a_spend_is_limited_by_the_wallet(
    crm: httpx.Client, desk: Desk, mina: str, asked: int, is_restricted: bool, spent: int | None
) -> None:
    desk.credit(mina, 500)
    request = {"amount": asked, "restrict_fully_covered": is_restricted}
    body = {**TEN, "contact": {"id": mina}, "spend_request": request}
    answer = crm.post("/purchases", json=body)
    if spent is None:
        assert refused(answer)[1] == "CANNOTSPENDAMOUNTWALLETBALANCENOTENOUGHEXCEPTION"
        assert desk.balance(mina) == 500
        assert desk.purchases() == []
        return
    assert answer.json()["rewards"] == {"award": 0.5, "spend": spent, "redeem": 0}
    assert desk.balance(mina) == 500 - spent * 100 + 50
    kinds = crm.get(f"/purchases/{answer.json()['id']}/rewards?type=SPEND").json()["content"]
    assert [each["amount"] for each in kinds] == [spent]


def test_a_spend_is_limited_by_the_total(crm: httpx.Client, desk: Desk, mina: str) -> None:
    desk.credit(mina, 5000)
    body = {**TEN, "contact": {"id": mina}, "spend_request": {"amount": 20}}
    assert post(crm, body)["rewards"]["spend"] == 10


def test_a_reference_number_may_be_accepted_twice_refused_or_answered_with_the_first(
    sandbox: Sandbox, crm: httpx.Client, desk: Desk, mina: str
) -> None:
    body = {**TEN, "id": str(uuid.uuid4()), "contact": {"id": mina}}
    first = post(crm, body)["id"]
    assert first == body["id"]
    sandbox.crm_com.switch(duplicate_reference="first")
    assert post(crm, body)["id"] == first
    sandbox.crm_com.switch(duplicate_reference="refuse")
    assert refused(crm.post("/purchases", json=body)) == (
        400,
        "REFERENCENUMBERALREADYEXISTSEXCEPTION",
        ["reference_number", "loke:01HX1"],
    )
    assert len(desk.purchases()) == 1
    assert desk.balance(mina) == 50
    sandbox.crm_com.switch(duplicate_reference="accept")
    assert post(crm, body)["id"] != first
    assert len(desk.purchases("loke:01HX1")) == 2
    assert desk.balance(mina) == 100


def test_a_chosen_id_may_be_ignored(sandbox: Sandbox, crm: httpx.Client) -> None:
    sandbox.crm_com.switch(purchase_id="ignored")
    chosen = str(uuid.uuid4())
    assert post(crm, {**TEN, "id": chosen})["id"] != chosen


def test_which_name_of_the_date_is_understood_is_a_switch(
    sandbox: Sandbox, crm: httpx.Client, clock: Clock
) -> None:
    def kept(**dates: int) -> object:
        body = {"transaction_amounts": {"total": 1}, **dates}
        return crm.get(f"/purchases/{post(crm, body)['id']}").json()["date"]

    assert kept(performed_on=1_714_731_300) == 1_714_731_300
    sandbox.crm_com.switch(purchase_date="performed_on")
    assert kept(date=1_714_731_300) == int(clock().timestamp())


def test_a_total_of_zero_may_be_refused(sandbox: Sandbox, crm: httpx.Client) -> None:
    sandbox.crm_com.switch(zero_total="refused")
    nothing = {"transaction_amounts": {"total": 0}}
    assert refused(crm.post("/purchases", json=nothing))[2] == ["total"]


def test_lines_need_not_make_the_total_when_so_switched(
    sandbox: Sandbox, crm: httpx.Client
) -> None:
    sandbox.crm_com.switch(line_sum="free")
    post(crm, {**TEN, "transaction_amounts": {"total": 11}})


def test_a_cancellation_takes_the_award_back_and_returns_the_spend(
    crm: httpx.Client, desk: Desk, mina: str
) -> None:
    desk.credit(mina, 500)
    kept = post(crm, {**TEN, "contact": {"id": mina}, "spend_request": {"amount": 5}})["id"]
    assert desk.balance(mina) == 50
    assert crm.post(f"/purchases/{kept}/cancel", json={}).json() == {"id": kept}
    assert desk.balance(mina) == 500
    shown = crm.get(f"/purchases/{kept}").json()
    assert (shown["state"], shown["rewards"]["award"]) == ("CANCELLED", 0)
    again = crm.post(f"/purchases/{kept}/cancel", json={})
    assert refused(again) == (400, "INVALIDSTATEEXCEPTION", ["purchase", kept, "CANCELLED"])
    assert desk.balance(mina) == 500


@pytest.mark.parametrize("by", ["both", "id", "reference_number"])
def test_a_purchase_is_cancelled_by_id_or_by_the_tills_number(
    sandbox: Sandbox, crm: httpx.Client, by: str
) -> None:
    sandbox.crm_com.switch(cancel_by=by)
    for number in ("loke:a/1", "loke:b"):
        kept = post(crm, {**TEN, "reference_number": number})["id"]
        named = number.replace("/", "%2F") if number == "loke:a/1" else kept
        way = "reference_number" if number == "loke:a/1" else "id"
        answer = crm.post(f"/purchases/{named}/cancel")
        assert (answer.status_code == 200) == (by in ("both", way)), answer.text
        if answer.status_code == 200:
            assert answer.json() == {"id": kept}
        else:
            assert refused(answer)[1] == "NOTFOUNDEXCEPTION"


def test_of_two_purchases_with_one_number_each_is_cancelled_once(
    crm: httpx.Client, desk: Desk
) -> None:
    post(crm, TEN)
    post(crm, TEN)
    assert [crm.post("/purchases/loke:01HX1/cancel").status_code for _ in range(3)] == [
        200,
        200,
        400,
    ]
    assert [each["state"] for each in desk.purchases()] == ["CANCELLED", "CANCELLED"]


def test_goods_that_come_back_take_their_award_with_them(
    sandbox: Sandbox, crm: httpx.Client, desk: Desk, mina: str
) -> None:
    post(crm, {**TEN, "contact": {"id": mina}})
    body = {
        "reference_number": "loke:refund-77",
        "contact": {"id": mina},
        "date": 1_714_817_700,
        "amount": 4.00,
        "currency_code": "AUD",
    }
    answer = crm.post("/purchases/ad_hoc_return", json=body)
    assert set(answer.json()) == {"id"}
    assert desk.balance(mina) == 30
    kept = crm.get(f"/purchases/{answer.json()['id']}").json()
    assert kept["ad_hoc_return"] == {
        "reference_number": "loke:refund-77",
        "date": 1_714_817_700,
        "return_amount": 4,
        "return_spent_amount": 0,
        "amount": 0.2,
    }
    for wanted, number in (("true", "loke:refund-77"), ("false", "loke:01HX1")):
        rows = crm.get(f"/purchases?is_ad_hoc_returned={wanted}").json()["content"]
        assert [row["reference_number"] for row in rows] == [number]
    assert crm.post(f"/purchases/{kept['id']}/cancel").status_code == 400
    sandbox.crm_com.switch(duplicate_reference="first")
    assert crm.post("/purchases/ad_hoc_return", json=body).json() == {"id": kept["id"]}
    sandbox.crm_com.switch(duplicate_reference="refuse")
    assert crm.post("/purchases/ad_hoc_return", json=body).status_code == 400
    sandbox.crm_com.switch(are_returns_listed=False)
    assert len(crm.get("/purchases").json()["content"]) == 1


@pytest.mark.parametrize("mode", ["ignored", "honoured"])
def test_the_chosen_id_of_a_return_counts_as_switched(
    sandbox: Sandbox, crm: httpx.Client, mode: str
) -> None:
    sandbox.crm_com.switch(return_id=mode)
    body = {"id": str(uuid.uuid4()), "reference_number": "r", "amount": 4}
    kept = crm.post("/purchases/ad_hoc_return", json=body).json()["id"]
    assert (kept == body["id"]) == (mode == "honoured")


@pytest.mark.parametrize("amount", [0, -1, "4.00", None, 4.005])
def test_a_return_needs_an_amount_above_zero(crm: httpx.Client, amount: Any) -> None:
    body = {"reference_number": "r", "amount": amount}
    assert refused(crm.post("/purchases/ad_hoc_return", json=body))[2] == ["amount"]


def test_a_purchase_of_nobody_waits_for_its_claim(
    sandbox: Sandbox, crm: httpx.Client, desk: Desk, mina: str
) -> None:
    kept = post(crm, {**TEN, "venue_tap": {"code": "harbour-coffee-1"}})
    assert kept["rewards"]["award"] == 0
    url = sandbox.crm_com_url.replace("/backoffice/v2", "/self-service/v2/purchases/reclaim")
    signed_in = {"Authorization": f"Bearer {mina}"}
    assert refused(crm.post(url, json={}, headers=signed_in))[2] == ["transaction_code"]
    receipt = {
        "transaction_code": "loke:01HX1",
        "organisation": {"venue_tap": {"code": "harbour-coffee-1"}},
        "transaction_amounts": {"total": 10},
        "currency_code": "AUD",
    }
    assert crm.post(url, json=receipt).status_code == 401
    wrong = {**receipt, "transaction_amounts": {"total": 11}}
    assert crm.post(url, json=wrong, headers=signed_in).status_code == 400
    answer = crm.post(url, json=receipt, headers=signed_in)
    assert answer.json() == {"id": kept["id"], "rewards": {"award": 0.5, "spend": 0, "redeem": 0}}
    assert desk.balance(mina) == 50
    assert crm.get(f"/purchases?contact_id={mina}").json()["content"][0]["id"] == kept["id"]
    again = crm.post(url, json=receipt, headers=signed_in)
    assert refused(again)[1] == "INVALIDSTATEEXCEPTION"


def numbers(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["reference_number"] for row in answer.json()["content"]]


@pytest.fixture
def five(crm: httpx.Client, desk: Desk, mina: str, clock: Clock) -> httpx.Client:
    """The client, over five purchases that came in another order than they happened."""
    for number, date in enumerate((300, 100, 500, 200, 400)):
        body = {**TEN, "reference_number": f"p:{date}", "date": date}
        if number % 2 == 0:
            body |= {"contact": {"id": mina}, "classification": {"name": "Even"}}
        desk.add_purchases([body])
        clock.turn(seconds=1)
    return crm


def test_purchases_are_found_by_person_date_classification_and_number(
    five: httpx.Client, mina: str
) -> None:
    even = five.get("/customer_event_classifications").json()["content"][0]
    assert even["name"] == "Even"
    for query, found in (
        ("", ["p:400", "p:200", "p:500", "p:100", "p:300"]),
        (f"contact_id={mina}", ["p:400", "p:500", "p:300"]),
        (f"contact_id={MINA['code']}", ["p:400", "p:500", "p:300"]),
        ("contact_id=nobody", []),
        (f"contact_id={mina}&search_value=P:4", ["p:400"]),
        (f"contact_id={mina}&date[gte]=300&date[lte]=400", ["p:400", "p:300"]),
        ("date[gte]=200&date[lt]=400", ["p:200", "p:300"]),
        ("date[gt]=200&date[lte]=400&order=ASC", ["p:300", "p:400"]),
        ("date[eq]=500", ["p:500"]),
        (f"classification_id={even['id']}&order=ASC", ["p:300", "p:500", "p:400"]),
        ("search_value=P:3", ["p:300"]),
        ("search_value=p:&size=2&page=2", ["p:500", "p:100"]),
        ("sort=DATE&order=ASC&size=2", ["p:100", "p:200"]),
        ("sort=DATE&size=2", ["p:500", "p:400"]),
        ("size=2&page=3", ["p:300"]),
        ("size=2&page=4", []),
        ("state=CANCELLED", []),
    ):
        assert numbers(five.get(f"/purchases?{query}")) == found, query
    page = five.get("/purchases?size=2&include_total=true").json()["paging"]
    assert page == {"page": 1, "size": 2, "total": 5, "has_more": True}
    assert refused(five.get("/purchases?date[gte]=today"))[2] == ["date[gte]"]
    assert refused(five.get("/purchases?sort=LAST_NAME"))[2] == ["sort"]


def test_a_search_may_be_exact_or_not_there_at_all(sandbox: Sandbox, five: httpx.Client) -> None:
    sandbox.crm_com.switch(purchase_search="exact")
    assert numbers(five.get("/purchases?search_value=p:300")) == ["p:300"]
    assert numbers(five.get("/purchases?search_value=p:")) == []
    sandbox.crm_com.switch(purchase_search="ignored")
    assert len(numbers(five.get("/purchases?search_value=p:300"))) == 5


def test_a_new_purchase_may_be_missing_from_lists_for_a_while(
    sandbox: Sandbox, crm: httpx.Client, clock: Clock
) -> None:
    sandbox.crm_com.switch(purchase_lag_seconds=2)
    kept = post(crm, TEN)["id"]
    assert numbers(crm.get("/purchases?search_value=loke:01HX1")) == []
    assert crm.get(f"/purchases/{kept}").status_code == 200
    clock.turn(seconds=2)
    assert numbers(crm.get("/purchases?search_value=loke:01HX1")) == ["loke:01HX1"]


def test_a_purchase_is_read_by_its_code_too(crm: httpx.Client) -> None:
    kept = crm.get(f"/purchases/{post(crm, TEN)['id']}").json()
    assert crm.get(f"/purchases/{kept['code']}").json() == kept
    for path in ("none", "0000000000000002", "loke:01HX1"):
        assert refused(crm.get(f"/purchases/{path}"))[2] == ["purchase", path]


def test_a_cut_answer_has_done_its_work(sandbox: Sandbox, crm: httpx.Client, desk: Desk) -> None:
    sandbox.crm_com.faults.add(
        FaultRule(kind="cut_after", method="POST", path="/purchases$"),
        FaultRule(kind="cut_before", method="POST", path="/cancel"),
    )
    with pytest.raises(httpx.TransportError):
        crm.post("/purchases", json=TEN)
    with pytest.raises(httpx.TransportError):
        crm.post("/purchases/loke:01HX1/cancel")
    assert [each["state"] for each in desk.purchases()] == ["POSTED"]


def test_keys_have_their_own_purchases_and_a_reader_posts_none(
    sandbox: Sandbox, crm: httpx.Client
) -> None:
    live, reader = {"api_key": SMALL.crm_live_key}, {"api_key": SMALL.crm_read_only_key}
    kept = post(crm, TEN)["id"]
    assert crm.get(f"/purchases/{kept}", headers=live).status_code == 400
    assert crm.get(f"/purchases/{kept}", headers=reader).status_code == 200
    for path in ("/purchases", "/purchases/ad_hoc_return", f"/purchases/{kept}/cancel"):
        assert crm.post(path, json=TEN, headers=reader).status_code == 403
    assert Desk(sandbox.crm_com, SMALL.crm_live_key).purchases() == []
    sandbox.crm_com.reset()
    assert crm.get("/purchases").json()["content"] == []


def test_a_hundred_thousand_purchases_are_paged_and_found_quickly(
    sandbox: Sandbox, crm: httpx.Client, desk: Desk, mina: str
) -> None:
    desk.make_purchases(100_000)
    post(crm, {**TEN, "contact": {"id": mina}})
    started = time.monotonic()
    for query in (
        "size=100",
        "size=100&page=900",
        f"contact_id={mina}&date[gte]=1714731300&date[lte]=1714731300",
        "search_value=till:00099999",
        "date[gte]=1714731300&date[lte]=1714731300",
    ):
        assert numbers(crm.get(f"/purchases?{query}"))
    assert time.monotonic() - started < 2
    assert desk.balance(mina) > 0


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"a=b", b'{"code":"\xff"}', b'{"contact":' + b"[" * 100_000]
)
def test_a_body_that_is_no_json_object_is_refused(crm: httpx.Client, raw: bytes) -> None:
    paths = ("/contacts", "/purchases", "/purchases/ad_hoc_return", "/synchronise_products")
    for path in paths:
        assert refused(crm.post(path, content=raw))[0] == 400


def test_faults_reach_every_endpoint(sandbox: Sandbox, crm: httpx.Client) -> None:
    calls = (
        ("POST", "/purchases"),
        ("POST", "/purchases/x/cancel"),
        ("POST", "/purchases/ad_hoc_return"),
        ("POST", "/synchronise_products"),
        ("GET", "/processes/x"),
        ("GET", "/orders"),
        ("PUT", "/orders/x/actions"),
        ("GET", "/wallets/x"),
    )
    for method, path in calls:
        sandbox.crm_com.faults.add(
            FaultRule(kind="status", status=429, retry_after=1, method=method, path=f"{path}$")
        )
        answer = crm.request(method, path, json={})
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "1"), path
    assert sandbox.crm_com.requests.count("POST", "/purchases/{id}/cancel") == 1
    assert sandbox.crm_com.requests.count("POST", "/purchases/ad_hoc_return") == 1
