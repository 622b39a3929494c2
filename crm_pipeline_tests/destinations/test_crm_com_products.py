"""Products in CRM.COM: one call for many, one outcome for each."""

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import msgspec
import pytest

from crm_pipeline.core.records import Change, ChangeKind, Fields, WriteResult
from crm_pipeline.destinations.crm_com import DESTINATION
from crm_pipeline.destinations.crm_com.api import CrmComApi
from crm_pipeline.destinations.crm_com.comparing import is_same
from crm_pipeline.destinations.crm_com.products.fields import key_of
from crm_pipeline.destinations.crm_com.products.wire import product_body, read_product
from crm_pipeline.errors import CredentialsRefusedError
from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline.sandbox.crm_com.shop import Shop
from crm_pipeline_tests.destinations.conftest import KEY
from crm_pipeline_tests.destinations.crm_com_support import StillTime, change_of, connected
from crm_pipeline_tests.http.scripted_server import ScriptedServer, answer

LATTE: Fields = {
    "sku": "SKU-1",
    "name": "Latte",
    "description": "With oat milk",
    "family": "Coffee",
    "brand": "House",
    "price": "5.50",
    "currency": "AUD",
    "tax_rate": "10",
}


@pytest.fixture
def time() -> StillTime:
    return StillTime()


@pytest.fixture
def api(sandbox: Sandbox, time: StillTime) -> Iterator[CrmComApi]:
    with connected(sandbox.crm_com_url, time=time) as api:
        yield api


@pytest.fixture
def shop(sandbox: Sandbox) -> Shop:
    return Shop(sandbox.crm_com, KEY)


def change(
    sku: str, *, kind: ChangeKind = "create", changed: tuple[str, ...] = (), **fields: str | None
) -> Change:
    after = {**LATTE, "sku": sku, **fields}
    held: Fields = {name: value for name, value in after.items() if value is not None}
    return change_of("product", key_of(sku), held, kind=kind, changed=changed)


def some(count: int) -> list[Change]:
    return [change(f"SKU-{number}") for number in range(count)]


def statuses(results: Sequence[WriteResult]) -> list[str]:
    return [result.status for result in results]


# -- what is sent ----------------------------------------------------------------------------------


def test_a_product_goes_out_whole_with_exact_numbers() -> None:
    sent = msgspec.json.encode(product_body("SKU-1", LATTE, ["name"]))
    assert b'"price":5.50' in sent
    assert msgspec.json.decode(sent) == {
        "sku": "SKU-1",
        "name": "Latte",
        "description": "With oat milk",
        "currency_code": "AUD",
        "family": {"name": "Coffee"},
        "brand": {"name": "House"},
        "price": 5.5,
        "tax_rate": 10,
    }


def test_what_a_product_lost_is_emptied_and_what_it_never_had_is_left_out() -> None:
    body = product_body("S", {"name": "Tea"}, ["description", "family", "price"])
    assert body == {"sku": "S", "name": "Tea", "description": "", "family": None, "price": None}


@pytest.mark.parametrize(
    "content",
    [
        {
            **{
                "id": "7",
                "sku": "S",
                "name": "Tea",
                "family": {"name": "Drinks"},
                "brand": "House",
            },
            "pricing": [{"price": 5.5, "currency_code": "AUD", "tax_rate": 10}],
        },
        {
            **{"id": "7", "sku": "S", "name": "Tea", "product_family": {"name": "Drinks"}},
            **{"brand": {"name": "House"}, "price": 5.5, "currency_code": "AUD", "tax_rate": 10},
        },
    ],
)
def test_products_are_read_in_every_known_form(content: dict[str, object]) -> None:
    product = read_product(content)
    assert product is not None
    assert (product.crm_id, product.key) == ("S", "sku:S")
    assert product.fields == {
        "sku": "S",
        "name": "Tea",
        "family": "Drinks",
        "brand": "House",
        "price": "5.5",
        "currency": "AUD",
        "tax_rate": "10",
    }


def test_what_has_no_sku_is_a_product_of_others_and_what_has_no_id_is_none() -> None:
    foreign = read_product({"id": "7", "name": "Tea"})
    assert foreign is not None
    assert (foreign.crm_id, foreign.key) == ("7", None)
    assert read_product({"name": "Tea"}) is None
    assert read_product("x") is None


# -- against the sandbox ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["id", "process_id"])
def test_many_products_go_in_one_call_and_the_process_is_followed(
    name: str, api: CrmComApi, shop: Shop, sandbox: Sandbox, time: StillTime
) -> None:
    sandbox.crm_com.switch(process_id_name=name, process_polls=3)
    results = api.write(some(120))
    assert {(each.status, each.reason) for each in results} == {("acked", "")}
    assert [each.crm_id for each in results[:2]] == ["SKU-0", "SKU-1"]
    assert [each.calls for each in results[:2]] == [5, 0]
    assert sum(each.calls for each in results) == 5
    assert sandbox.crm_com.requests.count("POST") == 1
    assert time.slept == [1.0, 2.0, 4.0]
    assert len(shop.products()) == 120


def test_what_was_sent_is_what_is_read_back(api: CrmComApi) -> None:
    api.write([change("SKU-1")])
    found = api.find("product", "sku:SKU-1", "SKU-1")
    assert found is not None
    assert (found.crm_id, found.key) == ("SKU-1", "sku:SKU-1")
    assert not [
        name for name, value in LATTE.items() if not is_same(name, value, found.fields.get(name))
    ]
    assert api.find("product", "sku:SKU-2") is None


def test_an_update_is_sent_like_a_new_product(api: CrmComApi, shop: Shop) -> None:
    api.write([change("SKU-1")])
    (result,) = api.write(
        [
            change(
                "SKU-1",
                kind="update",
                changed=("price", "description"),
                price="6.00",
                description=None,
            )
        ]
    )
    assert result.status == "acked"
    (product,) = shop.products()
    assert (str(product["pricing"][0]["price"]), product["description"]) == ("6.00", "")


@pytest.mark.parametrize("is_process_shown", [True, False])
def test_a_product_that_is_refused_alone_never_stops_the_others(
    is_process_shown: bool, api: CrmComApi, shop: Shop, sandbox: Sandbox
) -> None:
    sandbox.crm_com.switch(failing_skus=("SKU-3",), is_process_shown=is_process_shown)
    results = api.write(some(5))
    assert statuses(results) == ["acked", "acked", "acked", "rejected", "acked"]
    reason = "invalid_value" if is_process_shown else "not_taken_over"
    assert results[3].reason == reason
    assert len(shop.products()) == 4
    if is_process_shown:
        assert results[3].detail == "CRM.COM refused the product: INVALIDVALUEEXCEPTION."


@pytest.mark.parametrize("status", [400, 404])
def test_without_a_status_of_processes_the_products_are_read_back(
    status: int, api: CrmComApi, sandbox: Sandbox
) -> None:
    sandbox.crm_com.switch(is_process_shown=False, not_found_status=status, process_polls=3)
    results = api.write(some(120))
    assert set(statuses(results)) == {"acked"}
    # Three looks of three calls with 50 SKUs each, one that finds the rest.
    assert sandbox.crm_com.requests.count("POST") == 1
    assert sandbox.crm_com.requests.count("GET", "/products") >= 3


def test_a_lone_product_that_never_shows_is_set_aside(
    api: CrmComApi, sandbox: Sandbox, time: StillTime
) -> None:
    sandbox.crm_com.switch(is_process_shown=False, failing_skus=("SKU-1",))
    (result,) = api.write([change("SKU-1")])
    assert (result.status, result.reason) == ("rejected", "not_taken_over")
    assert sum(time.slept) == 20.0


@pytest.mark.parametrize("is_process_shown", [True, False])
def test_a_process_that_does_not_end_in_time_stays_unknown(
    is_process_shown: bool, api: CrmComApi, sandbox: Sandbox, time: StillTime
) -> None:
    sandbox.crm_com.switch(process_end="never", is_process_shown=is_process_shown)
    results = api.write(some(3))
    assert {(each.status, each.reason) for each in results} == {("unknown", "process_running")}
    assert sum(time.slept) == 20.0


def test_a_process_that_failed_sets_aside_what_it_did_not_take_over(
    api: CrmComApi, sandbox: Sandbox
) -> None:
    api.write([change("SKU-1")])
    sandbox.crm_com.switch(process_end="failed")
    results = api.write([change("SKU-1"), change("SKU-2"), change("SKU-3")])
    assert statuses(results) == ["acked", "rejected", "rejected"]
    assert results[1].reason == "not_taken_over"


@pytest.mark.parametrize("kind", ["cut_before", "cut_after"])
def test_a_lost_answer_is_tried_again_because_that_changes_nothing(
    kind: str, api: CrmComApi, shop: Shop, sandbox: Sandbox
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind=kind, method="POST"))  # type: ignore[arg-type]
    results = api.write(some(3))
    assert {(each.status, each.reason) for each in results} == {("retry", "answer_lost")}
    assert set(statuses(api.write(some(3)))) == {"acked"}
    assert len(shop.products()) == 3


def test_throttled_surely_did_nothing_and_says_how_long_to_wait(
    api: CrmComApi, sandbox: Sandbox
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="status", status=429, retry_after=7, method="POST"))
    results = api.write(some(3))
    assert {(each.status, each.retry_after_seconds) for each in results} == {("retry", 7.0)}
    assert sum(each.calls for each in results) == 1


def test_trouble_while_a_process_is_followed_leaves_the_products_unknown(
    api: CrmComApi, sandbox: Sandbox
) -> None:
    rule = FaultRule(kind="status", status=503, method="GET", times=None)
    sandbox.crm_com.faults.add(rule)
    assert set(statuses(api.write(some(3)))) == {"unknown"}


def test_a_refused_key_stops_everything(sandbox: Sandbox) -> None:
    with (
        connected(sandbox.crm_com_url, key="wrong") as api,
        pytest.raises(CredentialsRefusedError),
    ):
        api.write(some(3))


def test_an_unreadable_number_is_rejected_and_not_sent(api: CrmComApi, shop: Shop) -> None:
    results = api.write([change("SKU-1", price="canary"), change("SKU-2")])
    assert statuses(results) == ["rejected", "acked"]
    assert "canary" not in results[0].detail
    assert [each["sku"] for each in shop.products()] == ["SKU-2"]


def test_all_products_are_read_once(api: CrmComApi, sandbox: Sandbox) -> None:
    api.write(some(130))
    sandbox.crm_com.requests.clear()
    seen = [each for page in api.read_all("product") for each in page]
    assert len({each.key for each in seen}) == len(seen) == 130
    assert sandbox.crm_com.requests.count("GET", "/products") == 2


def test_a_full_batch_is_one_call(api: CrmComApi, shop: Shop, sandbox: Sandbox) -> None:
    size = DESTINATION.kind("product").batch_size
    assert set(statuses(api.write(some(size)))) == {"acked"}
    assert sandbox.crm_com.requests.count("POST") == 1
    assert len(shop.products()) == size == 1_000


# -- against a server that refuses whole calls -----------------------------------------------------


class Picky:
    """Refuses a whole call for one bad SKU in it, or for its size; the rest is done at once."""

    def __init__(self, bad: Sequence[str] = (), *, most: int = 10_000) -> None:
        self.taken: list[str] = []
        self.posts = 0
        self._bad = set(bad)
        self._most = most

    def answer(self, method: str, body: Mapping[str, Any]) -> tuple[int, object]:
        if method == "GET":
            return 200, {"id": "p", "state": "COMPLETED", **self._figures}
        self.posts += 1
        skus = [str(each["sku"]) for each in body["products"]]
        if self._bad.intersection(skus) or len(skus) > self._most:
            return 400, {"error": "CRM.EXCEPTIONS.INVALIDVALUEEXCEPTION", "parameters": ["sku"]}
        self.taken += skus
        self._figures = {"processed": len(skus), "failed": 0, "errors": []}
        return 200, {"id": "p"}


@contextmanager
def served(
    talk: Callable[[str, Mapping[str, Any]], tuple[int, object]], time: StillTime | None = None
) -> Iterator[CrmComApi]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def do_GET(self) -> None:
            self._send(*talk("GET", {}))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._send(*talk("POST", msgspec.json.decode(body)))

        def log_message(self, *_: object) -> None:
            pass

        def _send(self, status: int, content: object) -> None:
            body = msgspec.json.encode(content)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        try:
            with connected(f"http://127.0.0.1:{server.server_address[1]}", time=time) as api:
                yield api
        finally:
            server.shutdown()
            thread.join(5)


@pytest.mark.parametrize("bad", [0, 1, 49, 50, 63, 98, 99])
def test_one_bad_product_in_a_refused_call_is_found_in_few_calls(bad: int) -> None:
    picky = Picky([f"SKU-{bad}"])
    with served(picky.answer) as api:
        results = api.write(some(100))
    assert [place for place, each in enumerate(results) if each.status == "rejected"] == [bad]
    assert results[bad].detail == "CRM.COM refused it: INVALIDVALUEEXCEPTION (sku), status 400."
    assert sorted(picky.taken) == sorted(f"SKU-{n}" for n in range(100) if n != bad)
    # The call itself, halves down to one (100 < 2 ** 7), that one alone, and all the others.
    assert picky.posts <= 1 + 7 + 1 + 1


@pytest.mark.parametrize("bad", [range(0, 100, 10), range(100), range(97, 100), [3, 4]])
def test_many_bad_products_are_all_found_and_the_others_land(bad: Sequence[int]) -> None:
    picky = Picky([f"SKU-{number}" for number in bad])
    with served(picky.answer) as api:
        results = api.write(some(100))
    assert [place for place, each in enumerate(results) if each.status == "rejected"] == list(bad)
    assert sorted(picky.taken) == sorted(f"SKU-{n}" for n in range(100) if n not in set(bad))
    assert picky.posts < 300


@pytest.mark.parametrize("most", [1, 7, 50, 99])
def test_a_call_that_is_refused_for_its_size_loses_nothing(most: int) -> None:
    picky = Picky(most=most)
    with served(picky.answer) as api:
        results = api.write(some(100))
    assert set(statuses(results)) == {"acked"}
    assert sorted(picky.taken) == sorted(f"SKU-{n}" for n in range(100))


def test_trouble_in_the_middle_leaves_the_rest_to_be_tried_again() -> None:
    refused, taken = answer(400, b"{}"), answer(200, b'{"id":"p"}')
    done = answer(200, b'{"state":"COMPLETED","processed":2,"failed":0,"errors":[]}')
    with (
        ScriptedServer(refused, taken, done, answer(429)) as server,
        connected(server.url) as api,
    ):
        results = api.write(some(4))
    assert statuses(results) == ["acked", "acked", "retry", "retry"]


def test_halving_ends_with_the_time_for_it_and_the_rest_is_tried_again(time: StillTime) -> None:
    def slowly(_method: str, _body: Mapping[str, Any]) -> tuple[int, object]:
        time.slept.append(4.0)
        return 400, {}

    with served(slowly, time) as api:
        results = api.write(some(32))
    assert {(each.status, each.reason) for each in results} == {("retry", "out_of_time")}
    assert sum(each.calls for each in results) == 5


@pytest.mark.parametrize(
    "process",
    [
        {"state": "COMPLETED"},
        {"state": "COMPLETED", "processed": 1, "failed": 0},
        {"state": "COMPLETED", "processed": 1, "failed": 1, "errors": []},
        {"status": "completed", "processed": 2, "failed": 0, "errors": "none"},
    ],
)
def test_what_a_process_does_not_account_for_is_read_back(process: dict[str, object]) -> None:
    is_exact = process.get("processed") == 2
    told = answer(200, msgspec.json.encode(process))
    rows = answer(200, b'[{"id":"1","sku":"SKU-0","name":"Latte"}]')
    with (
        ScriptedServer(answer(200, b'{"id":"p"}'), told, rows) as server,
        connected(server.url) as api,
    ):
        results = api.write(some(2))
    assert statuses(results) == (["acked", "acked"] if is_exact else ["acked", "rejected"])


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"id":null}'])
def test_a_call_that_names_no_process_is_read_back(body: bytes) -> None:
    rows = answer(200, b'[{"id":"1","sku":"SKU-0","name":"Latte"}]')
    with ScriptedServer(answer(200, body), rows) as server, connected(server.url) as api:
        assert statuses(api.write(some(1))) == ["acked"]
        assert server.seen[1].target == "/products?product_skus=SKU-0&size=100&page=1"


def test_a_sku_with_a_comma_is_looked_up_alone() -> None:
    rows = answer(200, b'[{"id":"1","sku":"A,B","name":"Latte"},{"id":"2","sku":"C"}]')
    with ScriptedServer(answer(200, b""), rows) as server, connected(server.url) as api:
        assert statuses(api.write([change("A,B"), change("C")])) == ["acked", "acked"]
        assert len(server.seen) == 3
