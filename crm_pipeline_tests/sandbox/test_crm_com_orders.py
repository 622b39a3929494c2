"""Orders of the fake CRM.COM: placed inside it, worked off by clients, told of once."""

import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from crm_pipeline.sandbox import Sandbox
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline.sandbox.crm_com.shop import Shop
from crm_pipeline_tests.sandbox.conftest import SMALL, Clock
from crm_pipeline_tests.sandbox.test_crm_com_contacts import MINA, create, refused


@pytest.fixture
def shop(sandbox: Sandbox) -> Shop:
    return Shop(sandbox.crm_com, SMALL.slug)


@pytest.fixture
def mina(crm: httpx.Client) -> str:
    return create(crm, MINA)


class Receiver:
    """A server that keeps what it is sent."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name is http.server's
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.bodies.append(json.loads(body))
                receiver.headers.append({k.lower(): v for k, v in self.headers.items()})
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/webhooks/crm-com/x"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    thread = threading.Thread(target=receiver.server.serve_forever, daemon=True)
    thread.start()
    yield receiver
    receiver.server.shutdown()
    thread.join()
    receiver.server.server_close()


def act(crm: httpx.Client, order: str, action: str, **more: Any) -> httpx.Response:
    return crm.put(f"/orders/{order}/actions", json={"action": action, **more})


def test_an_order_is_listed_and_read(
    sandbox: Sandbox, crm: httpx.Client, shop: Shop, mina: str, clock: Clock
) -> None:
    Desk(sandbox.crm_com, SMALL.slug).credit(mina, 198)
    order = shop.place_order(
        [("SKU-1", 2, 500), ("SKU-2", 1, 499)],
        contact=MINA["code"],
        tap_code="harbour-coffee-1",
        wallet_funds=500,
    )
    now = int(clock().timestamp())
    row = crm.get("/orders?state=NEW").json()["content"][0]
    expected = {
        "id": order,
        "number": "O000001",
        "state": "NEW",
        "supply_method": "PICK_UP",
        "submitted_date": now,
        "contact": {"id": mina, "code": MINA["code"], "name": "Mina Okafor"},
        "currency": "AUD",
        "total": 14.99,
        "wallet_funds": 1.98,
        "amount_due": 13.01,
        "net_amount": 13.63,
        "tax_amount": 1.36,
    }
    assert {name: row[name] for name in expected} == expected
    assert row["fulfilled_by"]["name"] == "Harbour Coffee 1"
    item = row["items"][0]
    assert (item["quantity"], item["price"], item["total"]) == (2, 5, 10)
    assert item["product"]["sku"] == "SKU-1"
    detail = crm.get(f"/orders/{order}").json()
    assert detail["key_dates"]["submitted_on"] == now
    assert detail["currency_code"] == "AUD"
    assert "currency" not in detail
    assert "submitted_date" not in detail
    assert shop.orders()[0]["number"] == "O000001"
    assert refused(crm.get("/orders/none"))[2] == ["order", "none"]


def test_orders_may_be_written_with_the_old_names(
    sandbox: Sandbox, crm: httpx.Client, shop: Shop, mina: str
) -> None:
    order = shop.place_order([("SKU-1", 1, 500)], contact=mina)
    sandbox.crm_com.switch(order_form="old", is_order_contact_shown=False)
    for shown in (crm.get("/orders").json()["content"][0], crm.get(f"/orders/{order}").json()):
        assert (shown["life_cycle_state"], shown["total_cost"]) == ("NEW", 5)
        assert shown["wallet_funds_amount"] == 0
        assert shown["order_items"][0]["unit_price"] == 5
        assert not {"state", "total", "wallet_funds", "items", "contact"} & set(shown)


def test_a_completed_order_awards(
    sandbox: Sandbox, crm: httpx.Client, shop: Shop, mina: str, clock: Clock
) -> None:
    order = shop.place_order([("SKU-1", 2, 500)], contact=mina)
    assert act(crm, order, "START_PROGRESS").json() == {"id": order}
    clock.turn(minutes=5)
    assert act(crm, order, "COMPLETE").status_code == 200
    detail = crm.get(f"/orders/{order}").json()
    assert (detail["state"], detail["stage"]["name"]) == ("COMPLETED", "Completed")
    dates = detail["key_dates"]
    assert dates["completed_on"] - dates["started_on"] == 300
    desk = Desk(sandbox.crm_com, SMALL.slug)
    assert desk.balance(mina) == 50
    again = act(crm, order, "COMPLETE")
    assert refused(again) == (400, "INVALIDSTATEEXCEPTION", ["order", order, "COMPLETED"])
    assert desk.balance(mina) == 50
    assert desk.purchases() == []


def test_a_cancellation_needs_a_known_reason_and_gives_the_wallet_its_money_back(
    sandbox: Sandbox, crm: httpx.Client, shop: Shop, mina: str
) -> None:
    desk = Desk(sandbox.crm_com, SMALL.slug)
    desk.credit(mina, 300)
    order = shop.place_order([("SKU-1", 1, 500)], contact=mina, wallet_funds=300)
    assert desk.balance(mina) == 0
    assert refused(act(crm, order, "CANCEL"))[2] == ["cancellation_reason_id"]
    wrong = act(crm, order, "CANCEL", cancellation_reason_id="none")
    assert refused(wrong)[1:] == ("NOTFOUNDEXCEPTION", ["cancellation_reason", "none"])
    reason = crm.get("/order_cancellation_reasons").json()["content"][0]
    assert act(crm, order, "CANCEL", cancellation_reason_id=reason["id"]).status_code == 200
    detail = crm.get(f"/orders/{order}").json()
    assert (detail["state"], detail["cancellation_reason"]) == ("CANCELLED", reason)
    assert desk.balance(mina) == 300


@pytest.mark.parametrize(
    ("state", "action", "status"),
    [
        ("NEW", "COMPLETE", 200),
        ("ON_HOLD", "START_PROGRESS", 200),
        ("ON_HOLD", "COMPLETE", 400),
        ("PREPARING", "COMPLETE", 400),
        ("COMPLETED", "CANCEL", 400),
        ("COMPLETED", "START_PROGRESS", 400),
        ("COMPLETED", "PRINT_ORDER", 200),
        ("NEW", "ORDER_PROVISION", 400),
        ("NEW", "DELETE", 400),
    ],
)
def test_an_action_must_fit_the_state(
    crm: httpx.Client, shop: Shop, state: str, action: str, status: int
) -> None:
    order = shop.place_order([("SKU-1", 1, 500)])
    shop.change_order(order, state=state)
    reason = {"cancellation_reason_id": "none"} if action == "CANCEL" else {}
    assert act(crm, order, action, **reason).status_code == status
    if status == 400:
        assert crm.get(f"/orders/{order}").json()["state"] == state


def test_orders_are_filtered_and_paged(crm: httpx.Client, shop: Shop, clock: Clock) -> None:
    start = int(clock().timestamp())
    ids = []
    for method in ("PICK_UP", "DELIVERY", "PICK_UP"):
        ids.append(shop.place_order([("SKU-1", 1, 500)], supply_method=method))
        clock.turn(minutes=1)
    act(crm, ids[0], "COMPLETE")
    shop.change_order(ids[1], state="ON_HOLD", scheduled_on=start + 3600)
    for query, found in (
        ("", [2, 1, 0]),
        ("order=ASC&size=2", [0, 1]),
        ("size=2&page=2", [0]),
        ("state=NEW", [2]),
        ("state=new,on_hold", [2, 1]),
        ("state=UNKNOWN", []),
        ("supply_method=DELIVERY", [1]),
        (f"created_on[gte]={start + 60}", [2, 1]),
        (f"created_on[gt]={start}&created_on[lt]={start + 120}", [1]),
        (f"completed_on[gte]={start}", [0]),
        (f"scheduled_on[eq]={start + 3600}", [1]),
    ):
        rows = crm.get(f"/orders?{query}").json()["content"]
        assert [row["id"] for row in rows] == [ids[number] for number in found], query
    assert refused(crm.get("/orders?created_on[gte]=x"))[2] == ["created_on[gte]"]


def test_every_change_of_an_order_is_told_once_in_detail_and_unsigned(
    sandbox: Sandbox, crm: httpx.Client, shop: Shop, receiver: Receiver, mina: str
) -> None:
    unheard = shop.place_order([("SKU-1", 1, 500)])
    shop.subscribe(receiver.url)
    order = shop.place_order([("SKU-1", 1, 500)], contact=mina)
    sandbox.crm_com.hooks.flush()
    assert receiver.bodies == [crm.get(f"/orders/{order}").json()]
    assert "authorization" not in receiver.headers[0]
    assert not [name for name in receiver.headers[0] if "signature" in name]
    act(crm, order, "COMPLETE")
    act(crm, order, "COMPLETE")
    act(crm, order, "PRINT_ORDER")
    sandbox.crm_com.hooks.flush()
    shop.change_order(unheard, state="ON_HOLD")
    sandbox.crm_com.hooks.flush()
    told = [(body["id"], body["state"]) for body in receiver.bodies]
    assert told == [(order, "NEW"), (order, "COMPLETED"), (unheard, "ON_HOLD")]
    assert [each.outcome for each in sandbox.crm_com.hooks.deliveries("order")] == ["delivered"] * 3
    shop.subscribe("")
    shop.place_order([("SKU-1", 1, 500)])
    sandbox.crm_com.hooks.flush()
    assert len(receiver.bodies) == 3


def test_a_webhook_may_be_lost_doubled_or_late(
    sandbox: Sandbox, shop: Shop, receiver: Receiver
) -> None:
    hooks = sandbox.crm_com.hooks
    shop.subscribe(receiver.url)
    for changes, before, after in (
        ({"drop": 1.0}, 0, 0),
        ({"drop": 0.0, "duplicate": 1}, 2, 2),
        ({"duplicate": 0, "delay_seconds": 60}, 2, 3),
    ):
        hooks.switch(**changes)
        shop.place_order([("SKU-1", 1, 500)])
        hooks.flush()
        assert len(receiver.bodies) == before
        hooks.advance(60)
        hooks.flush()
        assert len(receiver.bodies) == after


def test_a_webhook_that_fails_is_not_sent_again(sandbox: Sandbox, shop: Shop) -> None:
    shop.subscribe("http://127.0.0.1:9/nobody")
    shop.place_order([("SKU-1", 1, 500)])
    sandbox.crm_com.hooks.flush()
    sandbox.crm_com.hooks.advance(86_400)
    sandbox.crm_com.hooks.flush()
    assert [each.outcome for each in sandbox.crm_com.hooks.deliveries()] == ["gave_up"]


def test_orders_and_webhooks_are_steered_from_outside(
    sandbox: Sandbox, crm: httpx.Client, receiver: Receiver, mina: str
) -> None:
    base = sandbox.crm_com_url.replace("/backoffice/v2", "/_sandbox")
    mine = {"organisation": SMALL.slug}

    def call(method: str, name: str, body: Any = None, status: int = 200) -> Any:
        answer = httpx.request(method, f"{base}/{name}", json=body, verify=False)
        assert answer.status_code == status, answer.text
        return answer.json()

    call("POST", "hooks/subscribe", {**mine, "url": receiver.url})
    call("POST", "hooks/switches", {"delay_seconds": 5})
    items = [{"sku": "SKU-1", "quantity": 3, "price": 250}]
    order = call("POST", "orders/place", {**mine, "items": items, "contact": mina})["id"]
    call("POST", "orders/change", {**mine, "id": order, "state": "PENDING"})
    call("POST", "hooks/advance", {"seconds": 5})
    sandbox.crm_com.hooks.flush()
    assert sorted(body["state"] for body in receiver.bodies) == ["NEW", "PENDING"]
    assert len(call("GET", "hooks")["deliveries"]) == 2
    rows = call("GET", f"orders?key={SMALL.crm_test_key}")["rows"]
    assert (rows[0]["total"], rows[0]["state"]) == ("7.50", "PENDING")
    call("POST", "orders/place", {**mine, "contact": "nobody"}, 400)
    call("POST", "orders/place", {**mine, "tap_code": "nowhere"}, 400)
    call("POST", "orders/change", {**mine, "id": "none"}, 400)
    call("POST", "hooks/switches", {"drpo": 1}, 400)
    live = {"api_key": SMALL.crm_live_key}
    assert crm.get("/orders", headers=live).json()["content"] == []
    call("POST", "reset")
    assert crm.get("/orders").json()["content"] == []
    assert Shop(sandbox.crm_com, SMALL.slug).business.hook_url == ""


def test_a_reader_changes_no_order(crm: httpx.Client, shop: Shop) -> None:
    order = shop.place_order([("SKU-1", 1, 500)])
    reader = {"api_key": SMALL.crm_read_only_key}
    answer = crm.put(f"/orders/{order}/actions", json={"action": "COMPLETE"}, headers=reader)
    assert answer.status_code == 403
