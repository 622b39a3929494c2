"""The fake CRM.COM synchronises products later than it says so, row by row."""

from typing import Any

import httpx
import pytest

from crm_pipeline.sandbox import Sandbox
from crm_pipeline.sandbox.crm_com.shop import Shop
from crm_pipeline_tests.sandbox.conftest import SMALL
from crm_pipeline_tests.sandbox.test_crm_com_contacts import refused

WHITE: dict[str, Any] = {
    "sku": "SKU-1",
    "name": "Flat white",
    "description": "With milk",
    "family": {"name": "Coffee"},
    "brand": {"name": "House"},
    "price": 4.5,
    "currency_code": "AUD",
    "tax_rate": 10,
}
BLACK: dict[str, Any] = {"sku": "SKU-2", "name": "Long black"}


@pytest.fixture
def shop(sandbox: Sandbox) -> Shop:
    return Shop(sandbox.crm_com, SMALL.slug)


def begin(crm: httpx.Client, *rows: Any) -> str:
    answer = crm.post("/synchronise_products", json={"products": list(rows)})
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"id"}
    process_id = answer.json()["id"]
    assert isinstance(process_id, str)
    return process_id


def states(crm: httpx.Client, process_id: str, polls: int) -> list[str]:
    return [crm.get(f"/processes/{process_id}").json()["state"] for _ in range(polls)]


def skus(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["sku"] for row in answer.json()["content"]]


def test_products_show_when_their_process_has_ended(
    sandbox: Sandbox, crm: httpx.Client, shop: Shop
) -> None:
    sandbox.crm_com.switch(process_polls=2)
    process_id = begin(crm, WHITE, BLACK)
    assert states(crm, process_id, 2) == ["PENDING", "IN_PROGRESS"]
    assert shop.products() == []
    assert crm.get(f"/processes/{process_id}").json() == {
        "id": process_id,
        "state": "COMPLETED",
        "processed": 2,
        "failed": 0,
        "errors": [],
    }
    white = crm.get("/products/SKU-1").json()
    assert white == crm.get(f"/products/{white['id']}").json()
    assert (white["name"], white["family"]["name"]) == ("Flat white", "Coffee")
    assert white["pricing"] == [{"price": 4.5, "currency_code": "AUD", "tax_rate": 10}]
    assert crm.get("/products/SKU-2").json()["pricing"] == []


def test_a_row_that_fails_does_not_stop_the_others(
    sandbox: Sandbox, crm: httpx.Client, shop: Shop
) -> None:
    sandbox.crm_com.switch(failing_skus=["SKU-9"], process_polls=0)
    rows: list[Any] = [
        WHITE,
        {"sku": "SKU-9", "name": "Cursed"},
        {"sku": "SKU-3"},
        {"sku": " ", "name": "x"},
        {"sku": "SKU-4", "name": "x", "price": "4.50"},
        {"sku": "SKU-5", "name": "x", "price": -1},
        {"sku": "SKU-6", "name": "x", "price": 1.005},
        {"sku": "SKU-7", "name": "x", "tax_rate": -1},
        {"sku": "SKU-8", "name": "x", "currency_code": "dollar"},
        {"name": "no sku"},
        "no object",
        BLACK,
    ]
    done = crm.get(f"/processes/{begin(crm, *rows)}").json()
    assert (done["state"], done["processed"], done["failed"]) == ("COMPLETED", 2, 10)
    assert done["errors"][0] == {
        "sku": "SKU-9",
        "error": "CRM.EXCEPTIONS.INVALIDVALUEEXCEPTION",
        "message": "Invalid value. sku",
    }
    failed = [each["sku"] for each in done["errors"]]
    assert failed[1:3] == ["SKU-3", " "]
    assert failed[-2:] == ["", ""]
    assert [each["sku"] for each in shop.products()] == ["SKU-1", "SKU-2"]


def test_a_row_that_cannot_be_read_fails_alone(sandbox: Sandbox, crm: httpx.Client) -> None:
    sandbox.crm_com.switch(process_polls=0)
    rows = b'{"sku": "A", "name": "\xff"}, {"sku": "B", "name": "b"}'
    answer = crm.post("/synchronise_products", content=b'{"products": [' + rows + b"]}")
    done = crm.get(f"/processes/{answer.json()['id']}").json()
    assert (done["processed"], done["failed"], done["errors"][0]["sku"]) == (1, 1, "")


def test_a_known_product_is_changed_where_the_row_says_so(
    sandbox: Sandbox, crm: httpx.Client
) -> None:
    sandbox.crm_com.switch(process_polls=0)
    begin(crm, WHITE)
    before = crm.get("/products/SKU-1").json()
    begin(crm, {"sku": "SKU-1", "price": 5, "description": "", "family": {"name": "Hot"}})
    after = crm.get("/products/SKU-1").json()
    assert (after["id"], after["name"], after["brand"]) == (
        before["id"],
        "Flat white",
        before["brand"],
    )
    assert (after["description"], after["family"]["name"]) == ("", "Hot")
    assert after["pricing"] == [{"price": 5, "currency_code": "AUD", "tax_rate": 10}]


def test_null_clears_what_a_product_has_unless_it_is_switched_to_keep(
    sandbox: Sandbox, crm: httpx.Client
) -> None:
    empty = {name: None for name in WHITE if name not in ("sku", "currency_code")}
    sandbox.crm_com.switch(process_polls=0, product_null="kept")
    begin(crm, WHITE)
    before = crm.get("/products/SKU-1").json()
    begin(crm, {**empty, "sku": "SKU-1"})
    assert crm.get("/products/SKU-1").json() == before
    sandbox.crm_com.switch(product_null="clears")
    begin(crm, {**empty, "sku": "SKU-1"})
    after = crm.get("/products/SKU-1").json()
    assert (after["name"], after["description"]) == ("Flat white", "")
    assert (after["family"], after["brand"], after["pricing"]) == (None, None, [])


@pytest.mark.parametrize("count", [0, 1001])
def test_a_call_takes_a_thousand_products_at_most(crm: httpx.Client, count: int) -> None:
    rows = [{"sku": f"S{number}", "name": "x"} for number in range(count)]
    answer = crm.post("/synchronise_products", json={"products": rows})
    assert refused(answer) == (400, "INVALIDVALUEEXCEPTION", ["products"])


@pytest.mark.parametrize("body", [{}, {"products": "x"}, {"products": None}])
def test_a_body_without_products_is_refused(crm: httpx.Client, body: Any) -> None:
    assert refused(crm.post("/synchronise_products", json=body))[2] == ["products"]


def test_a_thousand_products_are_taken(sandbox: Sandbox, crm: httpx.Client) -> None:
    sandbox.crm_com.switch(process_polls=0)
    begin(crm, *({"sku": f"S{number}", "name": "x"} for number in range(1000)))
    page = crm.get("/products?include_total=true&size=100").json()["paging"]
    assert (page["total"], page["size"], page["has_more"]) == (1000, 100, True)


def test_without_a_status_endpoint_products_show_after_a_while(
    sandbox: Sandbox, crm: httpx.Client
) -> None:
    sandbox.crm_com.switch(is_process_shown=False)
    process_id = begin(crm, WHITE)
    assert refused(crm.get(f"/processes/{process_id}"))[0] == 404
    assert skus(crm.get("/products?product_skus=SKU-1")) == []
    assert skus(crm.get("/products?product_skus=SKU-1")) == ["SKU-1"]


def test_a_process_may_fail_as_a_whole_or_never_end(
    sandbox: Sandbox, crm: httpx.Client, shop: Shop
) -> None:
    sandbox.crm_com.switch(process_end="failed")
    assert states(crm, begin(crm, WHITE), 2) == ["PENDING", "FAILED"]
    sandbox.crm_com.switch(process_end="never")
    process_id = begin(crm, WHITE)
    assert states(crm, process_id, 4)[1:] == ["IN_PROGRESS"] * 3
    assert shop.products() == []
    sandbox.crm_com.switch(process_end="completed")
    shop.finish_processes()
    assert states(crm, process_id, 1) == ["COMPLETED"]
    assert [each["state"] for each in shop.processes()] == ["FAILED", "COMPLETED"]
    assert refused(crm.get("/processes/none"))[2] == ["process", "none"]


def test_the_process_id_may_have_another_name(sandbox: Sandbox, crm: httpx.Client) -> None:
    sandbox.crm_com.switch(process_id_name="process_id")
    answer = crm.post("/synchronise_products", json={"products": [WHITE]})
    assert set(answer.json()) == {"process_id"}


def test_products_are_found(sandbox: Sandbox, crm: httpx.Client) -> None:
    sandbox.crm_com.switch(process_polls=0)
    begin(crm, WHITE, BLACK, {"sku": "TEA", "name": "Tea", "family": {"name": "Hot"}})
    tea = crm.get("/products/TEA").json()
    for query, found in (
        ("", ["TEA", "SKU-2", "SKU-1"]),
        ("order=ASC&size=2", ["SKU-1", "SKU-2"]),
        ("size=2&page=2", ["SKU-1"]),
        ("search_value=sku-", ["SKU-2", "SKU-1"]),
        ("search_value=black", ["SKU-2"]),
        ("product_skus=SKU-1,TEA", ["TEA", "SKU-1"]),
        ("product_skus=SKU-1&product_skus=TEA", ["TEA", "SKU-1"]),
        ("product_skus=sku-1", []),
        (f"product_ids={tea['id']}", ["TEA"]),
        (f"family_id={tea['family']['id']}", ["TEA"]),
        ("name=Long black", ["SKU-2"]),
    ):
        assert skus(crm.get(f"/products?{query}")) == found, query
    assert refused(crm.get("/products/none"))[2] == ["product", "none"]


def test_a_product_that_a_purchase_made_is_completed_by_a_synchronisation(
    sandbox: Sandbox, crm: httpx.Client
) -> None:
    sandbox.crm_com.switch(process_polls=0)
    line = {"sku": "SKU-1", "total_amount": 1}
    crm.post("/purchases", json={"products": [line]})
    made = crm.get("/products/SKU-1").json()
    assert (made["name"], made["family"]) == ("SKU-1", None)
    begin(crm, WHITE)
    assert crm.get("/products/SKU-1").json()["name"] == "Flat white"
    crm.post("/purchases", json={"products": [{**line, "name": "Mistyped"}]})
    after = crm.get("/products/SKU-1").json()
    assert (after["id"], after["name"]) == (made["id"], "Flat white")


def test_a_reader_synchronises_nothing_and_keys_have_their_own_products(
    sandbox: Sandbox, crm: httpx.Client
) -> None:
    sandbox.crm_com.switch(process_polls=0)
    reader, live = {"api_key": SMALL.crm_read_only_key}, {"api_key": SMALL.crm_live_key}
    body = {"products": [WHITE]}
    assert crm.post("/synchronise_products", json=body, headers=reader).status_code == 403
    process_id = begin(crm, WHITE)
    assert skus(crm.get("/products", headers=reader)) == ["SKU-1"]
    assert skus(crm.get("/products", headers=live)) == []
    assert crm.get(f"/processes/{process_id}", headers=live).status_code == 400


def test_admin_calls_show_and_end_processes(sandbox: Sandbox, crm: httpx.Client) -> None:
    base = sandbox.crm_com_url.replace("/backoffice/v2", "/_sandbox")
    begin(crm, WHITE)

    def rows(name: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{base}/{name}?key={SMALL.crm_test_key}", verify=False)
        found: list[dict[str, Any]] = answer.raise_for_status().json()["rows"]
        return found

    assert (rows("products"), rows("processes")[0]["state"]) == ([], "PENDING")
    body = {"organisation": SMALL.slug}
    httpx.post(f"{base}/processes/finish", json=body, verify=False).raise_for_status()
    assert rows("products")[0]["sku"] == "SKU-1"
    assert rows("processes")[0]["processed"] == 1
