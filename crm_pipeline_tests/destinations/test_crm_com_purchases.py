"""Purchases and refunds in CRM.COM: money moves once, whatever the network and the vendor do."""

from collections.abc import Iterator

import msgspec
import pytest

from crm_pipeline.core.purchases import purchase_id, refund_key
from crm_pipeline.core.records import Fields, WriteResult
from crm_pipeline.destinations.crm_com import DESTINATION
from crm_pipeline.destinations.crm_com.api import CrmComApi
from crm_pipeline.destinations.crm_com.comparing import is_same
from crm_pipeline.destinations.crm_com.purchases.bodies import purchase_body, return_body
from crm_pipeline.destinations.crm_com.purchases.reading import read_purchase
from crm_pipeline.errors import SourceUnstableError
from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline_tests.destinations.conftest import KEY, ORGANISATION
from crm_pipeline_tests.destinations.crm_com_support import StillTime, change_of, connected
from crm_pipeline_tests.http.scripted_server import ScriptedServer, answer, free_url

PAID = "loke:P1"
OUR_ID = purchase_id(ORGANISATION.slug, PAID)
LINES = [
    {
        "sku": "SKU-1",
        "name": "Flat white",
        "family": "Coffee",
        "quantity": "2",
        "net_amount": "8.18",
        "tax_amount": "0.82",
        "total_amount": "9.00",
    },
    {"sku": "TIP", "name": "Tip", "quantity": 1, "net_amount": "1.00", "total_amount": "1.00"},
]
BOUGHT: Fields = {
    "reference_number": PAID,
    "purchase_id": OUR_ID,
    "contact_key": "loke:A",
    "date": 1_763_715_600,
    "currency": "AUD",
    "total": "10.00",
    "net": "9.18",
    "tax": "0.82",
    "discount": "0.00",
    "classification": "LOKE",
    "notes": "Table 4",
    "lines": msgspec.json.encode(LINES).decode(),
}
CANCELLED: Fields = {
    "purchase_key": PAID,
    "kind": "cancel",
    "currency": "AUD",
    "date": 1_763_719_200,
    "reference_number": refund_key(PAID),
    "contact_key": "loke:A",
}
RETURNED: Fields = {**CANCELLED, "kind": "return", "amount": "4.00"}


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[CrmComApi]:
    with connected(sandbox.crm_com_url) as api:
        yield api


@pytest.fixture
def desk(sandbox: Sandbox) -> Desk:
    return Desk(sandbox.crm_com, KEY)


@pytest.fixture
def contact_id(sandbox: Sandbox) -> str:
    body = {"person_name": {"first_name": "Mina", "last_name": "Okafor"}, "code": "loke:A"}
    (crm_id,) = sandbox.crm_com.add(KEY, [body])
    return crm_id


def buy(api: CrmComApi, contact_id: str | None, **fields: object) -> WriteResult:
    after = {**BOUGHT, **fields} if contact_id else {**BOUGHT, **fields, "contact_key": None}
    held: Fields = {name: value for name, value in after.items() if value is not None}  # type: ignore[misc]
    references = {"contact_key": contact_id} if contact_id else {}
    (result,) = api.write([change_of("purchase", PAID, held, references=references)])
    return result


def refund(api: CrmComApi, purchase: str | None, after: Fields = CANCELLED) -> WriteResult:
    references = {"purchase_key": purchase} if purchase else {}
    (result,) = api.write([change_of("refund", refund_key(PAID), after, references=references)])
    return result


def awards(desk: Desk) -> list[int]:
    """Return what went into the wallets, in cents; below zero what was taken out."""
    signs = {"CREDIT": 1, "DEBIT": -1}
    return [int(entry["amount"] * 100) * signs[entry["type"]] for entry in desk.journals()]


# -- what is sent ----------------------------------------------------------------------------------


def test_a_purchase_goes_out_with_exact_numbers_and_without_a_wish_to_spend() -> None:
    sent = msgspec.json.encode(purchase_body({**BOUGHT, "organisation_id": "shop-1"}, "7"))
    assert b'"total":10.00' in sent
    assert msgspec.json.decode(sent) == {
        "id": OUR_ID,
        "reference_number": PAID,
        "contact": {"id": "7"},
        "organisation": {"id": "shop-1"},
        "classification": {"name": "LOKE"},
        "date": 1_763_715_600,
        "currency_code": "AUD",
        "transaction_amounts": {"net": 9.18, "tax": 0.82, "discount": 0.0, "total": 10.0},
        "notes": "Table 4",
        "products": [
            {
                "sku": "SKU-1",
                "name": "Flat white",
                "family": {"name": "Coffee"},
                "quantity": 2,
                "net_amount": 8.18,
                "tax_amount": 0.82,
                "total_amount": 9.0,
            },
            {
                "sku": "TIP",
                "name": "Tip",
                "quantity": 1,
                "net_amount": 1.0,
                "total_amount": 1.0,
            },
        ],
    }


@pytest.mark.parametrize("total", ["0.30000000000000004", "9007199254740993.01", "1000", "0.001"])
def test_every_digit_of_an_amount_reaches_the_wire(total: str) -> None:
    sent = msgspec.json.encode(purchase_body({**BOUGHT, "total": total}, "7"))
    assert f'"total":{total}'.encode() in sent


def test_what_a_purchase_lacks_is_not_sent() -> None:
    fields: Fields = {
        "reference_number": PAID,
        "date": 1,
        "currency": "JPY",
        "total": "0",
        "tap_code": "T1",
    }
    assert msgspec.json.decode(msgspec.json.encode(purchase_body(fields, None))) == {
        "reference_number": PAID,
        "merchant_tap": {"code": "T1"},
        "date": 1,
        "currency_code": "JPY",
        "transaction_amounts": {"total": 0},
    }


def test_a_return_names_its_own_number_and_amount() -> None:
    sent = msgspec.json.encode(return_body(RETURNED, "our-id", {"id": "7"}))
    assert b'"amount":4.00' in sent
    assert msgspec.json.decode(sent) == {
        "id": "our-id",
        "reference_number": refund_key(PAID),
        "contact": {"id": "7"},
        "date": 1_763_719_200,
        "amount": 4.0,
        "currency_code": "AUD",
    }


# -- purchases -------------------------------------------------------------------------------------


def test_what_was_bought_is_what_is_read_back(api: CrmComApi, desk: Desk, contact_id: str) -> None:
    assert buy(api, contact_id) == WriteResult(status="acked", crm_id=OUR_ID, calls=1)
    found = api.find("purchase", PAID, OUR_ID)
    assert found is not None
    assert (found.crm_id, found.key) == (OUR_ID, PAID)
    different = [
        name for name, value in BOUGHT.items() if not is_same(name, value, found.fields.get(name))
    ]
    assert different == []
    assert awards(desk) == [50]


def test_a_purchase_of_nobody_awards_nobody(api: CrmComApi, desk: Desk) -> None:
    assert buy(api, None).status == "acked"
    assert desk.journals() == []


def test_a_purchase_is_never_sent_without_the_contact_that_it_names(
    api: CrmComApi, sandbox: Sandbox
) -> None:
    (result,) = api.write([change_of("purchase", PAID, BOUGHT)])
    assert (result.status, result.reason, result.calls) == ("rejected", "contact_not_in_crm", 0)
    assert sandbox.crm_com.requests.count("POST") == 0


@pytest.mark.parametrize("status", [400, 404])
def test_a_contact_that_is_gone_is_named_as_the_reason(
    status: int, api: CrmComApi, sandbox: Sandbox
) -> None:
    sandbox.crm_com.switch(not_found_status=status)
    result = buy(api, "gone")
    assert (result.status, result.reason) == ("rejected", "contact_not_in_crm")
    assert result.detail == (f"CRM.COM refused it: NOTFOUNDEXCEPTION (contact), status {status}.")


@pytest.mark.parametrize("honoured", ["honoured", "ignored"])
@pytest.mark.parametrize("search", ["contains", "exact", "ignored"])
@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "truncate"])
def test_a_lost_answer_is_unknown_and_a_look_up_tells(
    kind: str, search: str, honoured: str, api: CrmComApi, sandbox: Sandbox, contact_id: str
) -> None:
    sandbox.crm_com.switch(purchase_id=honoured, purchase_search=search)
    Desk(sandbox.crm_com, KEY).make_purchases(5)
    sandbox.crm_com.faults.add(FaultRule(kind=kind, method="POST"))  # type: ignore[arg-type]
    assert buy(api, contact_id).status == "unknown"
    found = api.find("purchase", PAID)
    assert (found is None) == (kind == "cut_before")
    if found is not None:
        assert found.fields["total"] == "10.0"
        assert (found.crm_id == OUR_ID) == (honoured == "honoured")
    assert sandbox.crm_com.requests.count("POST", "/purchases") == 1


def test_a_purchase_whose_list_lags_is_found_by_its_id(
    api: CrmComApi, sandbox: Sandbox, contact_id: str
) -> None:
    sandbox.crm_com.switch(purchase_lag_seconds=3600)
    buy(api, contact_id)
    found = api.find("purchase", PAID)
    assert found is not None
    assert found.crm_id == OUR_ID


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_server_error_is_unknown_and_the_purchase_is_sent_once(
    status: int, api: CrmComApi, sandbox: Sandbox, contact_id: str
) -> None:
    rule = FaultRule(kind="status", status=status, content="html", method="POST", times=None)
    sandbox.crm_com.faults.add(rule)
    assert buy(api, contact_id).status == "unknown"
    assert sandbox.crm_com.requests.count("POST") == 1


def test_throttled_surely_did_nothing(
    api: CrmComApi, desk: Desk, sandbox: Sandbox, contact_id: str
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="status", status=429, retry_after=7, method="POST"))
    result = buy(api, contact_id)
    assert (result.status, result.reason, result.retry_after_seconds) == ("retry", "throttled", 7.0)
    assert desk.purchases() == []


def test_no_connection_surely_did_nothing() -> None:
    with connected(free_url()) as api:
        assert buy(api, "7").status == "retry"


@pytest.mark.parametrize("honoured", ["honoured", "ignored"])
@pytest.mark.parametrize("mode", ["refuse", "first"])
def test_a_reference_number_that_is_taken_is_our_own_earlier_purchase(
    mode: str, honoured: str, api: CrmComApi, desk: Desk, sandbox: Sandbox, contact_id: str
) -> None:
    sandbox.crm_com.switch(duplicate_reference=mode, purchase_id=honoured)
    first = buy(api, contact_id)
    again = buy(api, contact_id)
    assert (again.status, again.crm_id) == ("acked", first.crm_id)
    assert again.reason == ("found" if mode == "refuse" else "")
    assert awards(desk) == [50]


def test_a_taken_reference_number_is_looked_up_again_after_a_while() -> None:
    refusal = answer(400, b'{"error":"X.Y.DUPLICATEREFERENCEEXCEPTION","parameters":["x"]}')
    nothing, empty = answer(404, b""), answer(200, b'{"content":[]}')
    own = answer(200, f'{{"id":"9","reference_number":"{PAID}"}}'.encode())
    time = StillTime()
    with (
        ScriptedServer(refusal, nothing, empty, own) as server,
        connected(server.url, time=time) as api,
    ):
        result = buy(api, "7")
    assert (result.status, result.crm_id, result.reason) == ("acked", "9", "found")
    assert time.slept == [2.0]


@pytest.mark.parametrize(
    "refusal",
    [
        answer(400, b'{"error":"CRM.EXCEPTIONS.REFERENCENUMBERALREADYEXISTSEXCEPTION"}'),
        answer(400, b'{"message":"This reference number already exists for Mina"}'),
        answer(409, b"<html>"),
    ],
)
def test_a_taken_reference_number_that_nobody_shows_is_set_aside(refusal: bytes) -> None:
    nothing, empty = answer(404, b""), answer(200, b'{"content":[]}')
    with (
        ScriptedServer(refusal, nothing, empty, nothing, empty) as server,
        connected(server.url) as api,
    ):
        result = buy(api, "7")
    assert (result.status, result.reason) == ("rejected", "reference_taken")
    assert "Mina" not in result.detail


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"total": "9.99"}, "transaction_amounts"),
        ({"organisation_id": "canary"}, "organisation"),
        ({"currency": "canary"}, "currency_code"),
        ({"date": -1}, "date"),
    ],
)
def test_a_refused_purchase_is_rejected_by_the_error_s_own_name(
    change: dict[str, object],
    named: str,
    api: CrmComApi,
    desk: Desk,
    contact_id: str,
) -> None:
    result = buy(api, contact_id, **change)
    assert (result.status, result.reason) == ("rejected", "invalid_value")
    assert f"EXCEPTION ({named})" in result.detail
    assert "canary" not in result.detail
    assert desk.purchases() == []


def test_an_error_s_name_that_is_no_name_is_not_shown() -> None:
    with (
        ScriptedServer(answer(400, b'{"error":"Mina Okafor","parameters":["Mina"]}')) as server,
        connected(server.url) as api,
    ):
        assert buy(api, "7").detail == "CRM.COM refused it: no name, status 400."


@pytest.mark.parametrize(
    "change", [{"total": "canary"}, {"total": "NaN"}, {"lines": "canary"}, {"lines": '["x"]'}]
)
def test_an_unreadable_purchase_is_rejected_and_not_sent(
    change: dict[str, object], api: CrmComApi, sandbox: Sandbox, contact_id: str
) -> None:
    result = buy(api, contact_id, **change)
    assert (result.status, result.calls) == ("rejected", 0)
    assert "canary" not in result.detail
    assert sandbox.crm_com.requests.count("POST") == 0


def test_a_purchase_never_changes(api: CrmComApi) -> None:
    (result,) = api.write([change_of("purchase", PAID, BOUGHT, kind="update")])
    assert (result.status, result.reason, result.calls) == ("rejected", "immutable", 0)


@pytest.mark.parametrize("listed", [b'{"content":[]}', b'{"content":[{"id":"5"}]}'])
def test_an_answer_without_an_id_is_completed_by_a_look_up_or_by_our_own_id(listed: bytes) -> None:
    with (
        ScriptedServer(
            answer(204, b""), answer(404, b""), answer(200, listed), answer(200, b"[]")
        ) as server,
        connected(server.url) as api,
    ):
        assert buy(api, "7").crm_id == OUR_ID


def test_doubt_after_a_purchase_that_was_taken_stays_doubt() -> None:
    with ScriptedServer(answer(201, b""), answer(503)) as server, connected(server.url) as api:
        assert buy(api, "7").status == "unknown"
    with ScriptedServer(answer(200, b"<html>")) as server, connected(server.url) as api:
        assert buy(api, "7").status == "unknown"


def test_a_list_that_cannot_be_searched_never_says_that_a_purchase_is_missing() -> None:
    page = answer(
        200, b'{"content":[{"id":"1","reference_number":"x"}],"paging":{"has_more":true}}'
    )
    with (
        ScriptedServer(answer(404, b""), page) as server,
        connected(server.url) as api,
        pytest.raises(SourceUnstableError, match="searched"),
    ):
        api.find("purchase", PAID)


@pytest.mark.parametrize("step", [answer(503), answer(400, b"{}"), answer(200, b"5"), None])
def test_trouble_in_a_look_up_never_says_that_a_purchase_is_missing(step: bytes | None) -> None:
    with (
        ScriptedServer(answer(404, b""), step) as server,
        connected(server.url) as api,
        pytest.raises(Exception, match=r"GET .* /purchases:"),
    ):
        api.find("purchase", PAID)


def test_all_purchases_are_read_once_ours_and_foreign_and_no_returns(
    api: CrmComApi, desk: Desk, sandbox: Sandbox, contact_id: str
) -> None:
    desk.make_purchases(120)
    crm_id = buy(api, contact_id).crm_id
    refund(api, crm_id, RETURNED)
    seen = [each for page in api.read_all("purchase") for each in page]
    assert len({each.crm_id for each in seen}) == len(seen) == 121
    assert [each.key for each in seen if each.key] == [PAID]
    assert sandbox.crm_com.requests.count("GET", "/purchases") == 2


def test_a_purchase_is_ours_by_its_id_or_by_its_prefix() -> None:
    def key(number: str, crm_id: str) -> str | None:
        content = {"id": crm_id, "reference_number": number}
        read = read_purchase(content, key_prefix="loke:", own_id=lambda key: f"id of {key}")
        return read.key if read else "none"

    assert key("loke:1", "7") == "loke:1"
    assert key("sopost:1", "id of sopost:1") == "sopost:1"
    assert key("sopost:1", "7") is None
    assert key("loke:1:refund", "7") == "none"


# -- refunds ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("honoured", ["honoured", "ignored"])
@pytest.mark.parametrize("by", ["both", "id", "reference_number"])
def test_a_cancel_takes_the_award_back_once_however_often_it_is_sent(
    by: str, honoured: str, api: CrmComApi, desk: Desk, sandbox: Sandbox, contact_id: str
) -> None:
    sandbox.crm_com.switch(cancel_by=by, purchase_id=honoured)
    crm_id = buy(api, contact_id).crm_id
    assert api.find("refund", refund_key(PAID)) is None
    first = refund(api, crm_id)
    assert (first.status, first.crm_id) == ("acked", crm_id)
    again = refund(api, crm_id)
    assert (again.status, again.crm_id, again.reason) == ("acked", crm_id, "already_cancelled")
    assert awards(desk) == [50, -50]
    found = api.find("refund", refund_key(PAID))
    assert found is not None
    assert (found.crm_id, found.fields["kind"]) == (crm_id, "cancel")
    assert api.find("purchase", PAID) is not None


@pytest.mark.parametrize("kind", ["cut_before", "cut_after"])
def test_a_lost_cancel_is_unknown_and_a_look_up_tells(
    kind: str, api: CrmComApi, desk: Desk, sandbox: Sandbox, contact_id: str
) -> None:
    crm_id = buy(api, contact_id).crm_id
    sandbox.crm_com.faults.add(FaultRule(kind=kind, method="POST"))  # type: ignore[arg-type]
    assert refund(api, crm_id).status == "unknown"
    assert (api.find("refund", refund_key(PAID)) is None) == (kind == "cut_before")
    refund(api, crm_id)
    assert awards(desk) == [50, -50]


def test_a_cancel_under_an_id_that_the_crm_did_not_honour_finds_the_purchase(
    api: CrmComApi, desk: Desk, sandbox: Sandbox, contact_id: str
) -> None:
    sandbox.crm_com.switch(purchase_id="ignored", cancel_by="id")
    crm_id = buy(api, contact_id).crm_id
    result = refund(api, OUR_ID)
    assert (result.status, result.crm_id, result.calls) == ("acked", crm_id, 4)
    assert awards(desk) == [50, -50]


def test_a_purchase_that_is_gone_cannot_be_refunded(api: CrmComApi) -> None:
    for after in (CANCELLED, RETURNED):
        result = refund(api, OUR_ID, after)
        assert (result.status, result.reason) == ("rejected", "gone_from_crm")
    assert refund(api, None).reason == "purchase_not_in_crm"


def test_a_refused_cancel_of_a_purchase_that_stands_is_rejected(
    api: CrmComApi, sandbox: Sandbox, contact_id: str
) -> None:
    crm_id = buy(api, contact_id).crm_id
    body = '{"error":"CRM.EXCEPTIONS.TOOLATEEXCEPTION"}'
    sandbox.crm_com.faults.add(
        FaultRule(kind="status", status=400, body=body, method="POST", path="cancel")
    )
    result = refund(api, crm_id)
    assert (result.status, result.reason) == ("rejected", "not_cancelled")
    assert "TOOLATEEXCEPTION" in result.detail


def test_a_return_takes_its_share_of_the_award_and_is_found_again(
    api: CrmComApi, desk: Desk, contact_id: str
) -> None:
    crm_id = buy(api, contact_id).crm_id
    result = refund(api, crm_id, RETURNED)
    assert (result.status, result.calls) == ("acked", 2)
    assert awards(desk) == [50, -20]
    found = api.find("refund", refund_key(PAID))
    assert found is not None
    assert (found.crm_id, found.fields["kind"]) == (result.crm_id, "return")
    assert api.find("purchase", PAID, crm_id) is not None


@pytest.mark.parametrize("kind", ["cut_before", "cut_after"])
def test_a_lost_return_is_unknown_and_a_look_up_tells(
    kind: str, api: CrmComApi, desk: Desk, sandbox: Sandbox, contact_id: str
) -> None:
    crm_id = buy(api, contact_id).crm_id
    sandbox.crm_com.faults.add(
        FaultRule(kind=kind, method="POST", path="ad_hoc_return")  # type: ignore[arg-type]
    )
    assert refund(api, crm_id, RETURNED).status == "unknown"
    assert (api.find("refund", refund_key(PAID)) is None) == (kind == "cut_before")
    assert awards(desk) == ([50] if kind == "cut_before" else [50, -20])


@pytest.mark.parametrize("mode", ["refuse", "first"])
def test_a_return_whose_number_is_taken_is_our_own_earlier_return(
    mode: str, api: CrmComApi, desk: Desk, sandbox: Sandbox, contact_id: str
) -> None:
    sandbox.crm_com.switch(duplicate_reference=mode)
    crm_id = buy(api, contact_id).crm_id
    first = refund(api, crm_id, RETURNED)
    again = refund(api, crm_id, RETURNED)
    assert (again.status, again.crm_id) == ("acked", first.crm_id)
    assert awards(desk) == [50, -20]


def test_nothing_is_returned_of_a_purchase_that_somebody_cancelled(
    api: CrmComApi, desk: Desk, contact_id: str
) -> None:
    crm_id = buy(api, contact_id).crm_id
    refund(api, crm_id)
    result = refund(api, crm_id, RETURNED)
    assert (result.status, result.reason) == ("acked", "already_cancelled")
    assert awards(desk) == [50, -50]


def test_a_return_of_nobody_s_purchase_names_nobody(api: CrmComApi, desk: Desk) -> None:
    crm_id = buy(api, None).crm_id
    anonymous = {name: value for name, value in RETURNED.items() if name != "contact_key"}
    assert refund(api, crm_id, anonymous).status == "acked"
    assert desk.journals() == []


@pytest.mark.parametrize("after", [{**RETURNED, "amount": "x"}, {**CANCELLED, "kind": "canary"}])
def test_an_unreadable_refund_is_rejected_and_not_sent(
    after: Fields, api: CrmComApi, sandbox: Sandbox, contact_id: str
) -> None:
    crm_id = buy(api, contact_id).crm_id
    result = refund(api, crm_id, after)
    assert (result.status, result.reason) == ("rejected", "invalid_value")
    assert "canary" not in result.detail
    assert sandbox.crm_com.requests.count("POST") == 1


def test_a_refund_never_changes_and_is_not_listed(api: CrmComApi) -> None:
    (result,) = api.write([change_of("refund", refund_key(PAID), CANCELLED, kind="update")])
    assert (result.status, result.reason) == ("rejected", "immutable")
    with pytest.raises(ValueError, match="refunds"):
        list(api.read_all("refund"))


# -- comparing, checking ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "wrote", "found", "expected"),
    [
        ("total", "10.00", "10.0", True),
        ("total", "10.00", "10.01", False),
        ("total", "10.00", None, False),
        ("currency", "AUD", "aud", True),
        ("date", 5, 5, True),
        ("date", 5, 6, False),
        ("purchase_id", "a", "b", True),
        ("contact_key", "loke:A", None, True),
        ("contact_key", "loke:A", "loke:B", False),
        ("notes", "Table 4", None, True),
        ("classification", "LOKE", "Other", False),
        ("lines", '[{"sku":"A","quantity":"1"}]', '[{"sku":"A","quantity":1.0}]', True),
        ("lines", '[{"sku":"A"},{"sku":"B"}]', '[{"sku":"B"},{"sku":"A"}]', True),
        ("lines", '[{"sku":"A","total_amount":"1"}]', '[{"sku":"A","total_amount":"2"}]', False),
        ("lines", "nonsense", "other nonsense", False),
    ],
)
def test_purchases_are_compared_by_what_the_crm_shows(
    field: str, wrote: object, found: object, expected: bool
) -> None:
    assert is_same(field, wrote, found) is expected


@pytest.mark.parametrize(
    ("search", "checks"),
    [
        ("contains", {"purchases": True}),
        ("ignored", {"purchases": True, "purchase search": False}),
    ],
)
def test_the_doctor_proves_that_purchases_can_be_read_and_searched(
    search: str, checks: dict[str, bool], sandbox: Sandbox
) -> None:
    sandbox.crm_com.switch(purchase_search=search)
    Desk(sandbox.crm_com, KEY).make_purchases(1)
    with connected(sandbox.crm_com_url, options={"sends": "contact,purchase"}) as api:
        findings = {each.check: each.is_ok for each in api.check()}
    assert {name: findings[name] for name in findings if "purchase" in name} == checks


def test_the_doctor_asks_about_purchases_only_when_they_are_sent(sandbox: Sandbox) -> None:
    with connected(sandbox.crm_com_url, options={"sends": "contact", "tags": "[]"}) as api:
        assert [each.check for each in api.check()] == ["key", "custom_fields"]
    assert sandbox.crm_com.requests.count("GET", "/purchases") == 0


def test_the_doctor_says_that_purchases_cannot_be_read(sandbox: Sandbox) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="status", status=403, path="/purchases"))
    with connected(sandbox.crm_com_url, options={"sends": "purchase"}) as api:
        finding = api.check()[-1]
    assert (finding.check, finding.is_ok) == ("purchases", False)
    assert finding.remedy


def test_kinds_come_in_the_order_in_which_they_must_be_sent() -> None:
    assert [kind.name for kind in DESTINATION.kinds] == [
        "product",
        "contact",
        "membership",
        "purchase",
        "refund",
    ]
    assert [kind.name for kind in DESTINATION.kinds if kind.is_immutable] == ["purchase", "refund"]
    assert [kind.name for kind in DESTINATION.kinds if kind.is_listed] == [
        "product",
        "contact",
        "purchase",
    ]


def test_a_call_without_changes_does_nothing(api: CrmComApi) -> None:
    assert api.write([]) == []
