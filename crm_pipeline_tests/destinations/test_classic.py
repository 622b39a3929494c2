"""The classic generation as a destination: products, purchases and refunds, as the engine sends."""

import datetime as dt
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import msgspec
import pytest

from crm_pipeline.core.ports import DestinationApi, DestinationConnection
from crm_pipeline.core.records import Change, ChangeKind, Fields, Limits, WriteResult
from crm_pipeline.destinations import load_destinations
from crm_pipeline.destinations.crm_com_classic.comparing import is_same
from crm_pipeline.errors import ConfigurationError, CredentialsRefusedError, DataError
from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline_tests.destinations.conftest import KEY, ORGANISATION, WAITS
from crm_pipeline_tests.http.scripted_server import ScriptedServer, answer, free_url

SPEC = load_destinations()["crm_com_classic"]
ADA = "+61400000001"

LINES = (
    '[{"sku":"SKU-1","name":"Flat white","quantity":2,'
    '"net_amount":"8.40","tax_amount":"1.60","total_amount":"10.00"}]'
)
PURCHASE: Fields = {
    "reference_number": "loke:1",
    "purchase_id": "f2f35a5e-0f0d-5dfc-a6a2-3d5c6f0b2d5a",
    "contact_key": "loke:A",
    "participant": ADA,
    "date": 1_777_803_300,
    "currency": "AUD",
    "total": "10.00",
    "net": "8.40",
    "tax": "1.60",
    "classification": "LOKE",
    "lines": LINES,
}
REFUND: Fields = {
    "purchase_key": "loke:1",
    "kind": "cancel",
    "currency": "AUD",
    "date": 1_777_803_400,
    "reference_number": "loke:1:refund",
}
PRODUCT: Fields = {"sku": "SKU-1", "name": "Flat white", "family": "Coffee", "price": "5.00"}


def change(
    object_kind: str,
    key: str,
    after: Fields,
    *,
    kind: ChangeKind = "create",
    changed: tuple[str, ...] = (),
    crm_id: str | None = None,
    references: dict[str, str] | None = None,
) -> Change:
    return Change(
        seq=1,
        lane=1,
        kind=kind,
        object_kind=object_kind,
        key=key,
        crm_id=crm_id,
        before=None,
        after=after,
        changed=changed or tuple(after),
        reason="new",
        fingerprint=msgspec.json.encode(after).decode(),
        version_at=dt.datetime(2026, 5, 3, tzinfo=dt.UTC),
        references=references or {},
    )


def purchase(key: str = "loke:1", **fields: Any) -> Change:
    after = {**PURCHASE, "reference_number": key, **fields}
    return change("purchase", key, {name: each for name, each in after.items() if each is not None})


def refund(crm_id: str | None, **fields: Any) -> Change:
    references = {"purchase_key": crm_id} if crm_id else {}
    return change("refund", "loke:1:refund", {**REFUND, **fields}, references=references)


def product(sku: str = "SKU-1", *, kind: ChangeKind = "create", **fields: Any) -> Change:
    return change("product", f"sku:{sku}", {**PRODUCT, "sku": sku, **fields}, kind=kind)


def one(api: DestinationApi, wanted: Change) -> WriteResult:
    (result,) = api.write([wanted])
    return result


@pytest.fixture
def twin(running: Sandbox) -> Sandbox:
    running.crm_com.reset()
    running.classic.reset()
    running.classic.add_participant(ORGANISATION.slug, [ADA], wallet="5.00")
    return running


Connect = Callable[..., DestinationApi]


@pytest.fixture
def connect(twin: Sandbox) -> Iterator[Connect]:
    opened: list[DestinationApi] = []

    def connect(*, key: str = KEY, url: str = "", **options: str) -> DestinationApi:
        api = SPEC.connect(
            DestinationConnection(
                organisation=ORGANISATION.slug,
                base_url=url or twin.classic_url,
                api_key=lambda: key,
                limits=Limits(),
                waits=WAITS,
                conflict="withhold",
                options={"unit": "Shop 1", "product_definition": "SHOP_SYNC", **options},
            )
        )
        opened.append(api)
        return api

    yield connect
    for api in opened:
        api.close()


@pytest.fixture
def api(connect: Connect) -> DestinationApi:
    return connect()


def purchases(twin: Sandbox) -> Sequence[dict[str, Any]]:
    return twin.classic.purchases(ORGANISATION.slug)


# -- purchases -----------------------------------------------------------------------------------


def test_a_purchase_is_made_once_and_found_by_id_and_key(
    api: DestinationApi, twin: Sandbox
) -> None:
    result = one(api, purchase())
    assert (result.status, result.calls) == ("acked", 1)
    (made,) = purchases(twin)
    assert made["id"] == result.crm_id
    assert made["performed_on"] == "2026-05-03T10:15:00"
    assert made["external_system_reference_number"] == "loke:1"
    assert made["performed_by_unit"] == "Shop 1"
    assert str(made["total_amount"]) == "10.00"
    for crm_id in (None, result.crm_id):
        found = api.find("purchase", "loke:1", crm_id)
        assert found is not None
        assert (found.crm_id, found.key) == (result.crm_id, "loke:1")
        assert all(is_same(name, PURCHASE[name], found.fields[name]) for name in found.fields)
    assert api.find("purchase", "loke:2") is None
    assert api.find("purchase", "loke:2", "0" * 32) is None


@pytest.mark.parametrize("mode", ["refuse", "accept"])
@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "truncate"])
def test_a_lost_answer_is_unknown_and_a_look_up_tells(
    kind: str, mode: str, api: DestinationApi, connect: Connect, twin: Sandbox
) -> None:
    twin.classic.switch(duplicate_reference=mode)
    twin.classic.faults.add(FaultRule(kind=kind, path="purchases/create"))  # type: ignore[arg-type]
    result = one(api, purchase())
    assert (result.status, result.reason) == ("unknown", "answer_lost")
    # A process that comes after a crash does not know whose purchase it was; this one does.
    for each in (api, connect()):
        assert (each.find("purchase", "loke:1") is None) == (kind == "cut_before")
    assert len(purchases(twin)) == (0 if kind == "cut_before" else 1)


def test_a_second_create_of_what_is_there_is_acknowledged_and_made_once(
    api: DestinationApi, twin: Sandbox
) -> None:
    first = one(api, purchase())
    again = one(api, purchase())
    assert (again.status, again.crm_id, again.reason) == ("acked", first.crm_id, "found")
    assert len(purchases(twin)) == 1


def test_a_purchase_among_hundreds_is_found_over_all_pages(
    api: DestinationApi, connect: Connect, twin: Sandbox
) -> None:
    first = one(api, purchase())
    for number in range(2, 204):
        one(api, purchase(f"loke:{number}"))
    found = connect().find("purchase", "loke:1")
    assert found is not None
    assert found.crm_id == first.crm_id


def test_a_person_who_is_not_known_any_more_does_not_hide_the_purchase(
    api: DestinationApi, twin: Sandbox
) -> None:
    twin.classic.faults.add(FaultRule(kind="cut_after", path="purchases/create"))
    one(api, purchase())
    for each in twin.classic.book(ORGANISATION.slug).participants:
        each.life_cycle_state = "TERMINATED"
    assert api.find("purchase", "loke:1") is not None


def test_after_a_crash_a_purchase_is_found_by_the_classification_that_it_was_sent_with(
    api: DestinationApi, connect: Connect
) -> None:
    one(api, purchase(classification="SoPost sample"))
    assert connect().find("purchase", "loke:1") is None
    names = '["LOKE", "SoPost sample"]'
    assert connect(classifications=names).find("purchase", "loke:1") is not None


def test_a_look_up_that_cannot_be_answered_is_never_a_no(connect: Connect) -> None:
    token = answer(200, b'{"status":{"code":"OK"},"data":{"token":"T"}}')
    refused = answer(200, b'{"status":{"code":"NO_CLASSIFICATION"}}')
    with ScriptedServer(token, refused) as server, pytest.raises(DataError):
        connect(url=server.url).find("purchase", "loke:1")


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"participant": None}, "participant_missing"),
        ({"currency": "XXZ"}, "invalid_value"),
        ({"date": None}, "time_unreadable"),
        ({"date": 10**20}, "time_unreadable"),
        ({"total": "11.00"}, "unbalanced_amounts"),
        ({"lines": LINES.replace("1.60", "1.59")}, "unbalanced_amounts"),
        ({"lines": LINES.replace('"8.40"', '"canary"')}, "invalid_value"),
        ({"lines": "canary"}, "invalid_value"),
        ({"lines": LINES.replace('"8.40"', '"NaN"')}, "invalid_value"),
    ],
)
def test_what_cannot_be_said_is_rejected_without_a_call_and_without_its_values(
    fields: dict[str, Any], reason: str, api: DestinationApi, twin: Sandbox
) -> None:
    result = one(api, purchase(**fields))
    assert (result.status, result.reason, result.calls) == ("rejected", reason, 0)
    assert "canary" not in result.detail
    assert twin.classic.requests.count() == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"participant": "+61400009999"}, "NOT_FOUND"),
        ({"currency": "EUR"}, "CURRENCY_MISMATCH"),
        ({"organisation_id": "Shop 9"}, "NOT_FOUND"),
    ],
)
def test_a_refusal_is_a_rejection_that_tells_its_code_only(
    fields: dict[str, Any], code: str, api: DestinationApi, twin: Sandbox
) -> None:
    result = one(api, purchase(**fields))
    assert (result.status, result.reason) == ("rejected", "invalid_value")
    assert code in result.detail
    assert "+61" not in result.detail
    assert purchases(twin) == []


@pytest.mark.parametrize(
    "place",
    [{"organisation_id": "Shop 2"}, {"organisation_id": "code=SHOP-02"}, {"tap_code": "SHOP-02"}],
)
def test_a_place_of_sale_of_its_own_wins_over_the_unit(
    place: dict[str, str], api: DestinationApi, twin: Sandbox
) -> None:
    assert one(api, purchase(**place)).status == "acked"
    assert purchases(twin)[0]["performed_by_unit"] == "Shop 2"


def test_without_any_unit_a_purchase_is_rejected(connect: Connect) -> None:
    assert one(connect(unit=""), purchase()).reason == "unit_missing"


def test_a_purchase_without_lines_is_one_line_and_one_in_yen_has_no_cents(
    api: DestinationApi, twin: Sandbox
) -> None:
    assert one(api, purchase(lines=None)).status == "acked"
    (made,) = purchases(twin)
    assert [str(line["vat_amount"]) for line in made["products_set"]] == ["1.60"]
    yen = {"currency": "JPY", "total": "10.50", "lines": None, "net": "10.50", "tax": "0"}
    assert one(api, purchase("loke:2", **yen)).reason == "unbalanced_amounts"


def test_the_time_is_the_units_own(connect: Connect, twin: Sandbox) -> None:
    one(connect(time_zone="Australia/Melbourne"), purchase())
    assert purchases(twin)[0]["performed_on"] == "2026-05-03T20:15:00"
    with pytest.raises(ConfigurationError, match="time zone"):
        connect(time_zone="Mars/Base")


def test_throttled_surely_did_nothing_and_says_how_long_to_wait(
    api: DestinationApi, twin: Sandbox
) -> None:
    twin.classic.faults.add(
        FaultRule(kind="status", status=429, retry_after=7, path="purchases/create")
    )
    result = one(api, purchase())
    assert (result.status, result.retry_after_seconds) == ("retry", 7.0)
    assert purchases(twin) == []


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("content", ["json", "html", "empty"])
def test_a_server_error_is_unknown_and_the_write_is_sent_once(
    status: int, content: str, api: DestinationApi, twin: Sandbox
) -> None:
    twin.classic.faults.add(
        FaultRule(kind="status", status=status, content=content, path="create", times=None)  # type: ignore[arg-type]
    )
    assert one(api, purchase()).status == "unknown"
    assert twin.classic.requests.count("POST", "/customer_events/purchases/create") == 1


def test_trouble_in_a_look_after_a_refusal_is_no_doubt(api: DestinationApi, twin: Sandbox) -> None:
    twin.classic.faults.add(FaultRule(kind="status", status=503, path="list", times=None))
    result = one(api, purchase(participant="+61400009999"))
    assert (result.status, result.reason) == ("retry", "answer_lost")


def test_trouble_with_a_token_surely_did_nothing(api: DestinationApi, twin: Sandbox) -> None:
    one(api, purchase())
    twin.classic.tokens.expire_all()
    twin.classic.faults.add(FaultRule(kind="status", status=503, path="authentication", times=None))
    assert one(api, purchase("loke:2")).status == "retry"
    assert len(purchases(twin)) == 1


def test_a_purchase_without_an_id_in_the_answer_is_looked_up(connect: Connect) -> None:
    token = answer(200, b'{"status":{"code":"OK"},"data":{"token":"T"}}')
    done = answer(200, b'{"status":{"code":"OK"},"data":{}}')
    with ScriptedServer(token, done) as server:
        result = one(connect(url=server.url), purchase())
    assert (result.status, result.reason) == ("unknown", "id_unknown")


# -- refunds -------------------------------------------------------------------------------------


def test_a_refund_cancels_its_purchase_once(api: DestinationApi, twin: Sandbox) -> None:
    crm_id = one(api, purchase()).crm_id
    assert api.find("refund", "loke:1:refund") is None
    result = one(api, refund(crm_id))
    assert (result.status, result.crm_id, result.reason) == ("acked", crm_id, "")
    assert purchases(twin)[0]["life_cycle_state"] == "CANCELLED"
    again = one(api, refund(crm_id))
    assert (again.status, again.crm_id, again.reason) == ("acked", crm_id, "already_cancelled")
    for known in (None, crm_id):
        found = api.find("refund", "loke:1:refund", known)
        assert found is not None
        assert (found.crm_id, found.key) == (crm_id, "loke:1:refund")


@pytest.mark.parametrize("kind", ["cut_before", "cut_after"])
def test_a_lost_answer_to_a_refund_is_unknown_and_trying_again_is_safe(
    kind: str, api: DestinationApi, twin: Sandbox
) -> None:
    crm_id = one(api, purchase()).crm_id
    twin.classic.faults.add(FaultRule(kind=kind, path="cancel"))  # type: ignore[arg-type]
    assert one(api, refund(crm_id)).status == "unknown"
    assert (api.find("refund", "loke:1:refund") is None) == (kind == "cut_before")
    assert one(api, refund(crm_id)).status == "acked"
    assert purchases(twin)[0]["life_cycle_state"] == "CANCELLED"


def test_what_cannot_be_undone_is_rejected_with_the_reason(
    api: DestinationApi, twin: Sandbox
) -> None:
    crm_id = one(api, purchase()).crm_id
    assert one(api, refund(crm_id, kind="return")).reason == "not_possible_classic"
    assert one(api, refund(None)).reason == "purchase_not_in_crm"
    gone = one(api, refund("0" * 32))
    assert (gone.status, gone.reason) == ("rejected", "invalid_value")
    update = change("purchase", "loke:1", PURCHASE, kind="update", changed=("total",))
    assert one(api, update).reason == "not_possible_classic"
    assert purchases(twin)[0]["life_cycle_state"] == "POSTED"


# -- products ------------------------------------------------------------------------------------


def test_products_are_synchronised_in_one_call_each_with_its_own_outcome(
    api: DestinationApi, twin: Sandbox
) -> None:
    wanted = [product(f"SKU-{number}") for number in range(1000)]
    wanted[3] = product("SKU-3", family=None, name=None)
    results = api.write(wanted)
    assert {result.status for result in results} == {"acked"}
    assert [result.crm_id for result in results[:2]] == ["SKU-0", "SKU-1"]
    assert (results[0].calls, sum(result.calls for result in results)) == (1, 1)
    held = twin.classic.book(ORGANISATION.slug).products.get("SKU-1")
    assert held is not None
    assert (held["description"], held["family_identifier"]) == ("Flat white", "Coffee")


def test_a_product_that_exists_is_updated_when_the_definition_enforces_it(
    api: DestinationApi, twin: Sandbox
) -> None:
    one(api, product())
    refused, made = api.write([product(kind="update", name="Latte"), product("SKU-2")])
    assert (refused.status, refused.reason, made.status) == ("rejected", "product_exists", "acked")
    assert "enforce update" in refused.detail
    twin.classic.switch(enforce_update=True)
    assert one(api, product(kind="update", name="Latte")).status == "acked"
    held = twin.classic.book(ORGANISATION.slug).products.get("SKU-1")
    assert held is not None
    assert held["description"] == "Latte"


def test_a_change_of_what_does_not_travel_costs_no_call(api: DestinationApi, twin: Sandbox) -> None:
    update = change("product", "sku:SKU-1", PRODUCT, kind="update", changed=("price",), crm_id="7")
    result = one(api, update)
    assert (result.status, result.crm_id, result.calls) == ("acked", "7", 0)
    assert result.reason == "nothing_to_send"
    assert twin.classic.requests.count() == 0


@pytest.mark.parametrize("enforce_update", [True, False])
@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "truncate"])
def test_products_whose_answer_was_lost_are_simply_sent_again(
    kind: str, enforce_update: bool, api: DestinationApi, twin: Sandbox
) -> None:
    twin.classic.switch(enforce_update=enforce_update)
    twin.classic.faults.add(FaultRule(kind=kind, path="synchronise"))  # type: ignore[arg-type]
    wanted = [product("SKU-1"), product("SKU-2")]
    lost = api.write(wanted)
    assert [(result.status, result.calls) for result in lost] == [("retry", 1), ("retry", 0)]
    assert api.find("product", "sku:SKU-1") is None
    assert [result.status for result in api.write(wanted)] == ["acked", "acked"]
    other = one(api, product("SKU-1", name="Latte"))
    assert other.status == ("acked" if enforce_update else "rejected")


def test_a_row_that_the_answer_leaves_out_is_sent_again_and_a_partly_taken_one_is_told(
    connect: Connect,
) -> None:
    token = answer(200, b'{"status":{"code":"OK"},"data":{"token":"T"}}')
    told = answer(
        200,
        b'{"status":{"code":"OK"},"data":{"processed_products_set":'
        b'[{"request_code":"SKU-1","id":"1","code":"SKU-1","message":"brand not updated"}],'
        b'"unprocessed_products_set":[{"request_code":"SKU-2","error_code":"no +61400000001"}]}}',
    )
    with ScriptedServer(token, told) as server:
        results = connect(url=server.url).write([product(f"SKU-{n}") for n in (1, 2, 3)])
    assert [(result.status, result.reason) for result in results] == [
        ("acked", "partly_updated"),
        ("rejected", "invalid_value"),
        ("retry", "row_untold"),
    ]
    assert "614" not in results[1].detail


def test_what_cannot_be_done_with_products_is_rejected_with_the_reason(
    api: DestinationApi, connect: Connect
) -> None:
    assert one(api, product(kind="archive")).reason == "not_possible_classic"
    assert one(connect(product_definition=""), product()).reason == "definition_missing"
    unknown = one(connect(product_definition="name=Other"), product())
    assert (unknown.status, unknown.reason) == ("rejected", "invalid_value")


# -- all -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("wanted", [purchase(), refund("0" * 32), product()])
def test_no_connection_surely_did_nothing_and_a_refused_key_stops_everything(
    wanted: Change, connect: Connect
) -> None:
    assert one(connect(url=free_url()), wanted).status == "retry"
    for key in ("wrong", ORGANISATION.crm_read_only_key):
        with pytest.raises(CredentialsRefusedError):
            connect(key=key).write([wanted])


def test_many_threads_share_one_token(api: DestinationApi, twin: Sandbox) -> None:
    results: list[WriteResult] = []
    threads = [
        threading.Thread(target=lambda n=number: results.append(one(api, purchase(f"loke:{n}"))))
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {result.status for result in results} == {"acked"}
    assert len(purchases(twin)) == 20
    assert len(twin.classic.tokens) == 1


def test_nothing_can_be_listed(api: DestinationApi) -> None:
    assert list(api.read_all("purchase")) == []


def test_the_doctor_refuses_what_the_classic_generation_cannot_hold(connect: Connect) -> None:
    findings = connect(sends="contacts,memberships,products,purchases").check()
    assert [(each.check, each.is_ok) for each in findings] == [
        ("key", True),
        ("sends contact", False),
        ("sends membership", False),
    ]
    assert "no tags" in findings[2].message
    assert "`crm_com`" in findings[1].remedy
    missing = connect(sends="product,purchase,refund", unit="", product_definition="").check()
    assert [each.check for each in missing if not each.is_ok] == ["unit", "product_definition"]
    (refused,) = connect(key="canary").check()
    assert not refused.is_ok
    assert "canary" not in refused.message + refused.remedy
    (unknown_unit,) = connect(unit="Shop 9").check()
    assert "unit" in unknown_unit.remedy


@pytest.mark.parametrize(
    ("field", "wrote", "found", "expected"),
    [
        ("total", "10.50", "10.5", True),
        ("total", "10.50", "10.51", False),
        ("total", "x", "10", False),
        ("name", None, "", True),
    ],
)
def test_values_are_compared_by_meaning(
    field: str, wrote: object, found: object, expected: bool
) -> None:
    assert is_same(field, wrote, found) is expected
