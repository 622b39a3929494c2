"""The fake classic CRM.COM, called by hand: tokens, identification, purchases, products."""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline_tests.sandbox.conftest import SMALL, Clock

METHODS = (
    ("POST", "authentication/token/release"),
    ("POST", "rewards_participants/show"),
    ("POST", "rewards_participants/list"),
    ("POST", "customer_events/purchases/preview"),
    ("POST", "customer_events/purchases/create"),
    ("POST", "customer_events/purchases/list"),
    ("GET", "customer_events/purchases/show"),
    ("POST", "customer_events/purchases/cancel"),
    ("POST", "customer_events/bulk/purchases/create"),
    ("POST", "customer_events/spend_requests/create"),
    ("POST", "reward_transactions/awards/list"),
    ("POST", "products/synchronise"),
)
LOGIN = {"username": "sandbox-user", "password": "sandbox-password", "organisation": SMALL.slug}
PERSON = {
    "rewards_participant_identifier": {
        "access_token_identifier": {"authentication_code": "+61400000001"}
    }
}


class Caller:
    """Calls methods with the token of the moment."""

    def __init__(self, http: httpx.Client) -> None:
        self.http = http
        self.token = ""

    def post(self, method: str, body: dict[str, Any], **options: Any) -> dict[str, Any]:
        answer = self.http.post(f"/{method}", json=body, **options)
        told = answer.json()
        assert set(told) == {"status", "data"}
        assert isinstance(told, dict)
        return told

    def log_in(self, key: str = SMALL.crm_test_key, **body: Any) -> str:
        told = self.post("authentication/web_api_key/token", body, auth=(key, ""))
        assert told["status"]["code"] == "OK"
        self.token = told["data"]["token"]
        return self.token

    def code(self, method: str, body: dict[str, Any]) -> str:
        return str(self.post(method, {"token": self.token, **body})["status"]["code"])

    def data(self, method: str, body: dict[str, Any]) -> dict[str, Any]:
        told = self.post(method, {"token": self.token, **body})
        assert told["status"]["code"] == "OK", told
        data = told["data"]
        assert isinstance(data, dict)
        return data


@pytest.fixture
def caller(sandbox: Sandbox) -> Iterator[Caller]:
    with httpx.Client(base_url=sandbox.classic_url, verify=False) as http:
        caller = Caller(http)
        caller.log_in()
        yield caller


def sale(reference: str = "loke:1", **changes: Any) -> dict[str, Any]:
    return {
        **PERSON,
        "performed_by_unit_identifier": {"name": "Shop 1"},
        "performed_on": "2026-03-04T05:06:07",
        "reference_number": reference,
        "external_system": "LOKE",
        "external_system_reference_number": reference,
        "products_set": [
            {
                "product_identifier": {"code": "SKU-1"},
                "quantity": 2,
                "net_amount": 8.40,
                "vat_amount": 1.60,
                "total_amount": 10.00,
            }
        ],
        **changes,
    }


def with_ada(sandbox: Sandbox, wallet: str = "5.00") -> None:
    sandbox.classic.add_participant(
        SMALL.slug,
        ["+61400000001"],
        wallet=wallet,
        pass_codes={"card-1": "4711"},
        one_time_passwords=["9999"],
    )


@pytest.mark.parametrize(("verb", "method"), METHODS)
@pytest.mark.parametrize("token", [None, "", "nonsense", 5])
def test_every_call_without_a_token_fails_clearly(
    verb: str, method: str, token: object, caller: Caller
) -> None:
    if verb == "GET":
        query = {} if token is None else {"token": str(token)}
        answer = caller.http.get(f"/{method}", params=query)
    else:
        answer = caller.http.post(f"/{method}", json={"token": token})
    assert answer.status_code == 401
    assert answer.json()["status"]["code"] == "INVALID_TOKEN"


def test_both_ways_give_a_token_whose_times_are_texts(caller: Caller) -> None:
    by_password = caller.post("authentication/token", {**LOGIN, "unit": "SHOP-02"})["data"]["token"]
    for token in (caller.token, by_password):
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        assert set(claims) == {"usr", "org", "oun", "iat", "exp", "jti"}
        assert int(claims["exp"]) - int(claims["iat"]) == 7200
        assert isinstance(claims["exp"], str)
    caller.token = by_password
    assert caller.data("rewards_participants/list", {}) == {"rewards_participants_set": []}


@pytest.mark.parametrize(
    "body", [{"password": "x"}, {"organisation": "x"}, {"username": "x"}, {"unit": "Shop 9"}]
)
def test_a_wrong_login_gets_no_token(body: dict[str, Any], caller: Caller) -> None:
    told = caller.post("authentication/token", {**LOGIN, **body})
    assert (told["status"]["code"], told["data"]) == ("LOGIN_FAILED", None)


def test_a_login_needs_its_three_mandatory_members(caller: Caller) -> None:
    for name in LOGIN:
        body = {key: value for key, value in LOGIN.items() if key != name}
        told = caller.post("authentication/token", body)
        assert told["status"]["code"] == "MANDATORY_PARAMETER_MISSING"


@pytest.mark.parametrize("auth", [("unknown", ""), (SMALL.crm_test_key, "password")])
def test_a_wrong_key_gets_no_token(auth: tuple[str, str], caller: Caller) -> None:
    told = caller.post("authentication/web_api_key/token", {}, auth=auth)
    assert told["status"]["code"] == "LOGIN_FAILED"


def test_a_new_token_ends_after_two_hours_even_when_it_is_used(
    caller: Caller, clock: Clock
) -> None:
    for _ in range(2):
        clock.turn(minutes=59)
        assert caller.code("rewards_participants/list", {}) == "OK"
    clock.turn(minutes=2)
    assert caller.code("rewards_participants/list", {}) == "INVALID_TOKEN"


def test_an_old_token_ends_after_an_hour_without_use(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.classic.switch(tokens="idle")
    assert len(caller.log_in()) == 32
    for _ in range(3):
        sandbox.classic.tokens.advance(3000)
        assert caller.code("rewards_participants/list", {}) == "OK"
    sandbox.classic.tokens.advance(3600)
    assert caller.code("rewards_participants/list", {}) == "INVALID_TOKEN"


def test_a_released_token_is_gone(sandbox: Sandbox, caller: Caller) -> None:
    before = len(sandbox.classic.tokens)
    caller.post("authentication/token/release", {"token": caller.token})
    assert len(sandbox.classic.tokens) == before - 1
    assert caller.code("rewards_participants/list", {}) == "INVALID_TOKEN"


@pytest.mark.parametrize(
    "token",
    [
        {"authentication_code": "+61400000001"},
        {"identifier": "card-1", "pass_code": "4711"},
        {"one_time_password": "9999"},
    ],
)
def test_each_means_identifies_the_participant(
    token: dict[str, str], sandbox: Sandbox, caller: Caller
) -> None:
    with_ada(sandbox)
    body = {"rewards_participant_identifier": {"access_token_identifier": token}}
    shown = caller.data("rewards_participants/show", body)
    assert shown["number"] == "RP0000000001"
    assert shown["wallet"]["balance"] == 5.00
    again = caller.code("rewards_participants/show", body)
    assert again == ("NOT_FOUND" if "one_time_password" in token else "OK")


@pytest.mark.parametrize(
    ("identifier", "code"),
    [
        ({"id": "x", "number": "y"}, "INVALID_PARAMETER"),
        ({}, "INVALID_PARAMETER"),
        ({"name": "x"}, "INVALID_PARAMETER"),
        ({"number": "RP0000000009"}, "NOT_FOUND"),
        ({"access_token_identifier": {"identifier": "card-1"}}, "NOT_FOUND"),
        (
            {"access_token_identifier": {"authentication_code": "a", "one_time_password": "b"}},
            "INVALID_PARAMETER",
        ),
    ],
)
def test_an_identifier_has_exactly_one_key(
    identifier: dict[str, Any], code: str, sandbox: Sandbox, caller: Caller
) -> None:
    with_ada(sandbox)
    body = {"rewards_participant_identifier": identifier}
    assert caller.code("rewards_participants/show", body) == code


def test_a_participant_who_is_terminated_is_not_identified(
    sandbox: Sandbox, caller: Caller
) -> None:
    sandbox.classic.add_participant(SMALL.slug, ["+61400000001"], life_cycle_state="TERMINATED")
    assert caller.code("rewards_participants/show", PERSON) == "NOT_FOUND"


@pytest.mark.parametrize("code", ["loke:A", "mina@example.com", "+61400000001"])
def test_a_contact_of_the_second_generation_is_a_participant(
    code: str, sandbox: Sandbox, caller: Caller
) -> None:
    body = {
        "code": "loke:A",
        "person_name": {"first_name": "Mina", "last_name": "Okafor"},
        "email_address": "mina@example.com",
        "phone": {"country_code": "AUS", "number": "400000001"},
    }
    sandbox.crm_com.add(SMALL.slug, [body])
    token = {"access_token_identifier": {"authentication_code": code}}
    shown = caller.data("rewards_participants/show", {"rewards_participant_identifier": token})
    assert shown["accounts_receivable"]["name"] == "Mina Okafor"


def test_a_field_set_leaves_the_rest_out(sandbox: Sandbox, caller: Caller) -> None:
    with_ada(sandbox)
    shown = caller.data("rewards_participants/show", {**PERSON, "fields_set": "id, number,nosuch"})
    assert set(shown) == {"id", "number"}
    rows = caller.data("rewards_participants/list", {"fields_set": "number"})
    assert rows == {"rewards_participants_set": [{"number": "RP0000000001"}]}


def test_lists_come_in_pages(sandbox: Sandbox, caller: Caller) -> None:
    with_ada(sandbox)
    for number in range(7):
        caller.data("customer_events/purchases/create", sale(f"loke:{number}"))
    sandbox.classic.switch(default_rows=5, most_rows=6)
    for asked, offset, length in ((None, 0, 5), (3, 0, 3), (3, 6, 1), (3, 7, 0), (99, 0, 6)):
        body = {**PERSON, "offset": offset, "number_of_results": asked or 5, "fields_set": "number"}
        if asked is None:
            del body["number_of_results"]
        rows = caller.data("customer_events/purchases/list", body)["purchases_set"]
        assert len(rows) == length
    first = caller.data("customer_events/purchases/list", {**PERSON, "number_of_results": 1})
    assert first["purchases_set"][0]["reference_number"] == "loke:6"
    assert caller.code("customer_events/purchases/list", {**PERSON, "offset": -1}) != "OK"


def test_a_preview_changes_nothing(sandbox: Sandbox, caller: Caller) -> None:
    with_ada(sandbox)
    preview = caller.data("customer_events/purchases/preview", sale())
    assert (preview["total_award_amount"], preview["wallet_balance"]) == (0.50, 5.00)
    assert preview["reduction_method"] == "FRONT_END_REDUCTION"
    assert sandbox.classic.purchases(SMALL.slug) == []


def test_a_purchase_awards_and_its_cancellation_takes_all_back(
    sandbox: Sandbox, caller: Caller
) -> None:
    with_ada(sandbox)
    made = caller.data("customer_events/purchases/create", sale())
    assert (made["type"], made["life_cycle_state"]) == ("PURCHASE", "POSTED")
    assert (made["total_amount"], made["net_amount"], made["vat_amount"]) == (10, 8.4, 1.6)
    assert len(made["id"]) == 32
    spend = {
        **PERSON,
        "performed_by_unit_identifier": {"code": "SHOP-01"},
        "performed_on": "2026-03-04T05:07:00",
        "purchase_customer_request_identifier": {"id": made["id"]},
        "spend_amount": 7.00,
    }
    spent = caller.data("customer_events/spend_requests/create", spend)
    assert (spent["type"], spent["spend_amount"]) == ("SPEND REQUEST", 5.50)
    assert caller.code("customer_events/spend_requests/create", spend) == (
        "WALLET_BALANCE_NOT_ENOUGH"
    )
    cancel = {"customer_event_identifier": {"number": made["number"]}}
    assert caller.data("customer_events/purchases/cancel", cancel)["life_cycle_state"] == (
        "CANCELLED"
    )
    shown = caller.data("rewards_participants/show", PERSON)
    assert shown["wallet"]["balance"] == 5.00
    assert caller.code("customer_events/purchases/cancel", cancel) == "INVALID_LIFE_CYCLE_STATE"
    query = {"token": caller.token, "customer_event_identifier": f"id={made['id']}"}
    answer = caller.http.get("/customer_events/purchases/show", params=query).json()
    assert answer["data"]["life_cycle_state"] == "CANCELLED"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"performed_on": "2026-03-04T05:06:07Z"}, "INVALID_PARAMETER"),
        ({"performed_on": 1772600767}, "INVALID_PARAMETER"),
        ({"reference_number": ""}, "MANDATORY_PARAMETER_MISSING"),
        ({"reference_number": 7}, "INVALID_PARAMETER"),
        ({"rewards_participant_identifier": "x"}, "INVALID_PARAMETER"),
        ({"products_set": {}}, "MANDATORY_PARAMETER_MISSING"),
        ({"products_set": ["x"]}, "INVALID_PARAMETER"),
        (
            {
                "products_set": [
                    {"net_amount": 1, "vat_amount": 0, "total_amount": 1, "quantity": 0}
                ]
            },
            "INVALID_PARAMETER",
        ),
        ({"performed_by_unit_identifier": {"name": "Shop 9"}}, "NOT_FOUND"),
        ({"performed_by_unit_identifier": None}, "MANDATORY_PARAMETER_MISSING"),
        ({"rewards_participant_identifier": None}, "MANDATORY_PARAMETER_MISSING"),
        ({"intended_currency_identifier": {"code": "EUR"}}, "CURRENCY_MISMATCH"),
        ({"products_set": [{"net_amount": 1, "vat_amount": 1}]}, "MANDATORY_PARAMETER_MISSING"),
        (
            {"products_set": [{"net_amount": 1, "vat_amount": 1, "total_amount": 3}]},
            "INVALID_PARAMETER",
        ),
        (
            {"products_set": [{"net_amount": "1.00", "vat_amount": 0, "total_amount": 1}]},
            "INVALID_PARAMETER",
        ),
    ],
)
def test_a_business_error_is_told_under_http_status_200(
    changes: dict[str, Any], code: str, sandbox: Sandbox, caller: Caller
) -> None:
    with_ada(sandbox)
    body = {"token": caller.token, **sale(**changes)}
    answer = caller.http.post("/customer_events/purchases/create", json=body)
    assert (answer.status_code, answer.json()["status"]["code"]) == (200, code)
    assert sandbox.classic.purchases(SMALL.slug) == []


def test_an_unknown_product_is_replaced_and_the_intended_one_is_told(
    sandbox: Sandbox, caller: Caller
) -> None:
    with_ada(sandbox)
    (line,) = caller.data("customer_events/purchases/create", sale())["products_set"]
    assert line["product"]["code"] == "DEFAULT-PRODUCT"
    assert line["intended_product_value"] == "SKU-1"


@pytest.mark.parametrize(("mode", "purchases"), [("refuse", 1), ("accept", 2)])
def test_a_second_purchase_with_the_same_external_number_is_refused_or_made(
    mode: str, purchases: int, sandbox: Sandbox, caller: Caller
) -> None:
    with_ada(sandbox)
    sandbox.classic.switch(duplicate_reference=mode)
    caller.code("customer_events/purchases/create", sale())
    code = caller.code("customer_events/purchases/create", sale())
    assert (code == "OK") == (mode == "accept")
    assert len(sandbox.classic.purchases(SMALL.slug)) == purchases


def test_many_purchases_at_once_may_partly_fail_under_an_ok_status(
    sandbox: Sandbox, caller: Caller
) -> None:
    with_ada(sandbox)
    entries = [
        {"request_unique_identifier": "r-1", **sale("loke:1")},
        {"request_unique_identifier": "r-2", **sale("loke:2", reference_number="")},
    ]
    body = {"purchase_customer_events_set": entries}
    done = caller.data("customer_events/bulk/purchases/create", body)
    assert [
        each["request_unique_identifier"] for each in done["processed_customer_events_set"]
    ] == ["r-1"]
    assert done["unprocessed_customer_events_set"][0]["error_code"] == (
        "MANDATORY_PARAMETER_MISSING"
    )
    many = {"purchase_customer_events_set": entries[:1] * 1001}
    assert caller.code("customer_events/bulk/purchases/create", many) == "TOO_MANY_ENTRIES"


def test_products_fail_row_by_row(sandbox: Sandbox, caller: Caller) -> None:
    body = {
        "synchronisation_definition_identifier": {"code": "SHOP_SYNC"},
        "products_set": [
            {"code": "SKU-1", "description": "Flat white", "family_identifier": {"name": "Coffee"}},
            {"code": "SKU-2", "brand_identifier": {"name": "a", "id": "b"}},
            {"description": "nameless"},
        ],
    }
    done = caller.data("products/synchronise", body)
    assert [row["request_code"] for row in done["processed_products_set"]] == ["SKU-1"]
    assert [row["error_code"] for row in done["unprocessed_products_set"]] == [
        "INVALID_PARAMETER",
        "MANDATORY_PARAMETER_MISSING",
    ]
    again = {**body, "products_set": [{"code": "SKU-1", "description": "Latte"}]}
    (refused,) = caller.data("products/synchronise", again)["unprocessed_products_set"]
    assert refused["error_code"] == "PRODUCT_ALREADY_EXISTS"
    sandbox.classic.switch(enforce_update=True)
    assert caller.data("products/synchronise", again)["unprocessed_products_set"] == []
    product = sandbox.classic.book(SMALL.slug).products.get("SKU-1")
    assert product is not None
    assert (product["description"], product["family_identifier"]) == ("Latte", "Coffee")
    assert sandbox.classic.book(SMALL.slug).products.get("SKU-2") is None


def test_a_synchronisation_needs_a_definition_that_exists_and_a_thousand_at_most(
    caller: Caller,
) -> None:
    rows = {"products_set": [{"code": "SKU-1"}]}
    assert caller.code("products/synchronise", rows) == "MANDATORY_PARAMETER_MISSING"
    unknown = {"synchronisation_definition_identifier": {"code": "X"}, **rows}
    assert caller.code("products/synchronise", unknown) == "NOT_FOUND"
    many = {
        "synchronisation_definition_identifier": {"code": "SHOP_SYNC"},
        "products_set": [{"code": str(number)} for number in range(1001)],
    }
    assert caller.code("products/synchronise", many) == "TOO_MANY_ENTRIES"


def test_a_key_that_may_only_read_is_refused_when_it_writes(
    sandbox: Sandbox, caller: Caller
) -> None:
    with_ada(sandbox)
    caller.log_in(SMALL.crm_read_only_key)
    assert caller.code("rewards_participants/show", PERSON) == "OK"
    assert caller.code("customer_events/purchases/create", sale()) == "ACCESS_DENIED"


def test_test_and_live_keys_open_different_data(sandbox: Sandbox, caller: Caller) -> None:
    with_ada(sandbox)
    caller.log_in(SMALL.crm_live_key)
    assert caller.code("rewards_participants/show", PERSON) == "NOT_FOUND"


def test_faults_of_the_sandbox_act_on_classic_calls(sandbox: Sandbox, caller: Caller) -> None:
    sandbox.classic.faults.add(FaultRule(kind="status", status=503, path="list"))
    assert caller.http.post("/rewards_participants/list", json={}).status_code == 503
    assert sandbox.crm_com.requests.count() == 0
    sandbox.classic.faults.add(FaultRule(kind="stale_token"))
    assert caller.code("rewards_participants/list", {}) == "INVALID_TOKEN"


def test_it_is_steered_over_http_too(
    sandbox: Sandbox, caller: Caller, clock: Callable[[], object]
) -> None:
    def admin(command: str, body: dict[str, Any]) -> Any:
        answer = caller.http.post(f"/_sandbox/{command}", json=body)
        return answer.raise_for_status().json()

    assert admin("seed", {"organisation": SMALL.slug, "customers": 3}) == {"participants": 3}
    made = admin(
        "participants/add",
        {"organisation": SMALL.slug, "codes": ["+61400000001"], "wallet": "2.50"},
    )
    assert made["number"] == "RP0000000004"
    assert admin("switches", {"award_share": "0.1"})["award_share"] == "0.1"
    assert caller.data("customer_events/purchases/create", sale())["total_awarded_amount"] == 1
    state = caller.http.get(f"/_sandbox/state?organisation={SMALL.slug}").json()
    assert (len(state["participants"]), len(state["purchases"])) == (4, 1)
    admin("tokens/advance", {"seconds": 7200})
    assert caller.code("rewards_participants/list", {}) == "INVALID_TOKEN"
    caller.log_in()
    admin("tokens/expire", {})
    assert caller.code("rewards_participants/list", {}) == "INVALID_TOKEN"
    admin("reset", {})
    assert sandbox.classic.purchases(SMALL.slug) == []
    wrong = caller.http.post("/_sandbox/switches", json={"tokens": "none"})
    assert wrong.status_code == 400


def test_an_unknown_method_and_a_body_that_is_no_json_are_told_in_the_envelope(
    caller: Caller,
) -> None:
    assert caller.code("contacts/erase", {}) == "METHOD_NOT_FOUND"
    answer = caller.http.post("/authentication/token", content=b"<xml>")
    assert answer.json()["status"]["code"] == "INVALID_PARAMETER"


def test_a_purchase_of_a_product_that_is_known_names_it(sandbox: Sandbox, caller: Caller) -> None:
    with_ada(sandbox)
    body = {
        "synchronisation_definition_identifier": {"code": "SHOP_SYNC"},
        "products_set": [{"code": "SKU-1"}, {"code": 5}, {"code": "SKU-3", "description": 5}],
    }
    done = caller.data("products/synchronise", body)
    assert len(done["unprocessed_products_set"]) == 2
    (line,) = caller.data("customer_events/purchases/create", sale())["products_set"]
    assert line["product"]["code"] == "SKU-1"
    assert "intended_product_value" not in line


def test_purchases_without_an_external_number_may_repeat(sandbox: Sandbox, caller: Caller) -> None:
    with_ada(sandbox)
    body = sale(external_system_reference_number=None)
    assert [caller.code("customer_events/purchases/create", body) for _ in range(2)] == ["OK", "OK"]


def test_nothing_is_spent_on_a_purchase_that_was_cancelled(
    sandbox: Sandbox, caller: Caller
) -> None:
    with_ada(sandbox)
    made = caller.data("customer_events/purchases/create", sale())
    caller.data(
        "customer_events/purchases/cancel", {"customer_event_identifier": {"id": made["id"]}}
    )
    spend = {
        **PERSON,
        "performed_by_unit_identifier": {"name": "Shop 1"},
        "performed_on": "2026-03-04T05:07:00",
        "purchase_customer_request_identifier": {"id": made["id"]},
    }
    code = caller.code("customer_events/spend_requests/create", spend)
    assert code == "INVALID_LIFE_CYCLE_STATE"


def test_other_units_can_be_configured_and_a_participant_is_an_account_by_name(
    sandbox: Sandbox, caller: Caller
) -> None:
    with_ada(sandbox)
    sandbox.classic.configure_units({"Kiosk": "K-1"})
    body = sale(
        rewards_participant_identifier=None,
        accounts_receivable_identifier={"name": "Ada Sandbox"},
        performed_by_unit_identifier={"code": "K-1"},
    )
    made = caller.data("customer_events/purchases/create", body)
    assert made["performed_by_unit"] == "Kiosk"


def test_a_field_set_is_a_text(sandbox: Sandbox, caller: Caller) -> None:
    with_ada(sandbox)
    body = {**PERSON, "fields_set": ["id"]}
    assert caller.code("rewards_participants/show", body) == "MANDATORY_PARAMETER_MISSING"


def test_a_fault_may_be_meant_for_one_page(sandbox: Sandbox, caller: Caller) -> None:
    with_ada(sandbox)
    sandbox.classic.faults.add(FaultRule(kind="status", status=503, page=2))
    statuses = []
    for offset in (0, 5):
        body = {"token": caller.token, **PERSON, "number_of_results": 5, "offset": offset}
        answer = caller.http.post("/customer_events/purchases/list", json=body)
        statuses.append(answer.status_code)
    assert statuses == [200, 503]
    sandbox.classic.faults.add(FaultRule(kind="status", status=401))
    assert caller.http.post("/rewards_participants/list", content=b"<xml>").json()["status"][
        "code"
    ] == ("INVALID_TOKEN")
