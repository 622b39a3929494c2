"""The fake LOKE shows rows as older, newer or stranger versions of itself would."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from crm_pipeline.sandbox import Sandbox
from crm_pipeline_tests.sandbox.conftest import BIG, SMALL
from crm_pipeline_tests.sandbox.receiver import Receiver
from crm_pipeline_tests.sandbox.test_admin import admin

SHOP = dataclasses.replace(SMALL, payments=200, lists=("VIP",))
ROOT = f"/organizations/{SHOP.id}"


@pytest.fixture
def sandbox(run: Callable[..., Sandbox]) -> Sandbox:
    return run(organisations=(SHOP, BIG))


def all_rows(loke: httpx.Client) -> list[dict[str, Any]]:
    list_id = loke.get(f"{ROOT}/customer-lists").json()[0]["id"]
    place = loke.get(f"{ROOT}/locations").json()[0]["id"]
    paths = (
        "customers?sort=updated",
        "payments",
        f"locations/{place}/orders",
        f"customer-lists/{list_id}/members",
    )
    return [row for path in paths for row in loke.get(f"{ROOT}/{path}").json()]


def times(rows: Any) -> Iterator[str]:
    if isinstance(rows, dict | list):
        for each in rows.values() if isinstance(rows, dict) else rows:
            yield from times(each)
    elif isinstance(rows, str) and re.match(r"\d{4}-\d\d-\d\dT", rows):
        yield rows


def test_old_names_are_shown_on_request(sandbox: Sandbox, loke: httpx.Client) -> None:
    sandbox.loke.switch(field_names="old")
    organisation = loke.get(ROOT).json()
    assert "created" in organisation
    assert "createdAt" not in organisation
    customers = loke.get(f"{ROOT}/customers").json()
    known = set().union(*(row.get("statistics", {}) for row in customers))
    assert {"lastSpend", "lastPointsEarned", "lastPointsRedeemed"} <= known
    assert not {"lastSpentAt", "lastPointsEarnedAt", "lastPointsRedeemedAt"} & known
    assert all("createdAt" in row for row in customers)
    found = loke.get(f"{ROOT}/customers", params={"email": customers[0].get("email", "x")}).json()
    assert found == customers[:1]
    assert loke.get(f"{ROOT}/customers/{customers[0]['id']}").json() == customers[0]
    items = [item for row in loke.get(f"{ROOT}/payments").json() for item in row["items"]]
    assert all("label" in item and "name" not in item for item in items)


@pytest.mark.parametrize(
    ("precision", "lengths"), [("seconds", {20}), ("milliseconds", {24}), ("mixed", {20, 24})]
)
def test_times_have_one_precision_or_both(
    sandbox: Sandbox, loke: httpx.Client, precision: str, lengths: set[int]
) -> None:
    loke.get(f"{ROOT}/customers?sort=updated")  # kept pages follow the switch
    sandbox.loke.switch(time_precision=precision)
    assert {len(each) for each in times(all_rows(loke))} == lengths


def test_rows_may_have_no_time_of_change(sandbox: Sandbox, loke: httpx.Client) -> None:
    assert any("updatedAt" in row for row in all_rows(loke))
    sandbox.loke.switch(updated_at="never")
    assert not any("updatedAt" in row for row in all_rows(loke))


@pytest.mark.parametrize("wrong", [{"page_size": 0}, {"field_names": "new"}, {"pagesize": 3}])
def test_a_switch_that_does_not_exist_is_refused(sandbox: Sandbox, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        sandbox.loke.switch(**wrong)


def test_everything_that_happens_can_be_ordered_over_http(sandbox: Sandbox) -> None:
    url, name = sandbox.loke_url, SHOP.slug

    def do(path: str, **body: Any) -> Any:
        return admin(url, "POST", path, {"organisation": name, **body})

    customer = do("customers/add", customers=[{"firstName": "Ada"}])["ids"][0]
    assert do("customers/statistics", ids=[customer], fields={"totalSpend": 9}) == {
        "ids": [customer]
    }
    assert len(do("customers/statistics", count=3, bump=False)["ids"]) == 3
    paid = do("payments", customer=customer, total=1000, count=2)["ids"]
    assert do("payments/refund", payment=paid[0], amount=300)["refundedAmount"] == 300
    order = do("orders", customer=customer, paid=True, total=500)
    assert do("orders/move", order=order["id"], to="accepted")["acceptedAt"]
    assert do("orders/move", order=order["id"], to="rejected")["status"] == "REJECTED"
    made = do("lists", name="Winter", ours=True)["id"]
    assert do("members/add", list=made, ids=[customer]) == {"ids": [customer]}
    assert len(do("members/add", list="VIP", count=50)["ids"]) > 10
    assert do("members/remove", list="VIP", count=2)["ids"]
    assert do("members/remove", list="Winter") == {"ids": [customer]}
    do("lists/rename", list=made, name="Summer")
    state = admin(url, "GET", f"state?organisation={name}")
    assert [each["name"] for each in state["lists"]] == ["VIP", "Summer"]
    assert state["payments"] == 203
    assert len(state["locations"]) == 5
    assert state["webhooks"] == []
    do("lists/delete", list="Summer")
    assert len(sandbox.loke.tenant(name).lists.lists) == 1


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("payments", {"customer": "nobody"}),
        ("payments/refund", {"payment": "none"}),
        ("orders/move", {"order": "none", "to": "accepted"}),
        ("orders/move", {"order": "none", "to": "eaten"}),
        ("lists/rename", {"list": "VIP", "name": ""}),
        ("members/add", {"list": "none", "ids": []}),
        ("customers/statistics", {"ids": ["nobody"]}),
    ],
)
def test_what_cannot_happen_is_refused_with_the_reason(
    sandbox: Sandbox, path: str, body: dict[str, Any]
) -> None:
    asked = {"organisation": SHOP.slug, **body}
    assert admin(sandbox.loke_url, "POST", path, asked, 400)["error"]


def test_deliveries_are_seen_and_steered_over_http(sandbox: Sandbox, loke: httpx.Client) -> None:
    receiver = Receiver()
    body = {"url": receiver.url, "secret": "s", "events": ["customer.created"]}
    loke.put(f"{ROOT}/webhooks/crm", json=body)
    url = sandbox.loke_url
    assert admin(url, "POST", "hooks/switches", {"delay_seconds": 30})["delay_seconds"] == 30
    assert admin(url, "GET", "hooks/switches")["delay_seconds"] == 30
    admin(url, "POST", "customers/add", {"organisation": SHOP.slug, "count": 2})
    assert admin(url, "GET", "hooks") == {"waiting": 2, "deliveries": []}
    admin(url, "POST", "hooks/advance", {"seconds": 30})
    sandbox.loke.hooks.flush()
    seen = admin(url, "GET", "hooks?event=customer.created")["deliveries"]
    assert [(each["attempt"], each["status"]) for each in seen] == [(1, 200)] * 2
    assert admin(url, "GET", "hooks?event=order.created")["deliveries"] == []
    assert admin(url, "POST", "hooks/switches", {"delay": 1}, 400)["error"]
    assert admin(url, "POST", "hooks/advance", {"seconds": -1}, 400)["error"]
    receiver.stop()


def test_a_row_that_moves_while_somebody_reads_is_announced_too(
    sandbox: Sandbox, loke: httpx.Client
) -> None:
    receiver = Receiver()
    body = {"url": receiver.url, "secret": "s", "events": ["customer.updated"]}
    loke.put(f"{ROOT}/webhooks/crm", json=body)
    rule = {"kind": "move_rows", "path": "/customers", "mutate": 2}
    admin(sandbox.loke_url, "POST", "faults", rule)
    loke.get(f"{ROOT}/customers")
    sandbox.loke.hooks.flush()
    assert len(receiver.bodies) == 2
    receiver.stop()


def test_every_command_and_every_switch_of_webhooks_is_explained(sandbox: Sandbox) -> None:
    page = (Path(__file__).parents[2] / "docs/sandbox.md").read_text()
    offered = admin(sandbox.loke_url, "GET", "nothing", status=404)["offered"]
    named = set(re.findall(r"`((?:GET|POST|DELETE) [\w/]+)", page))
    assert set(offered) - named == set()
    rows = page.partition("<!-- table: hook switches -->")[2].partition("```")[0]
    switches = list(msgspec.structs.asdict(sandbox.loke.hooks.switches))
    assert re.findall(r"^\| `(\w+)`", rows, re.MULTILINE) == switches
