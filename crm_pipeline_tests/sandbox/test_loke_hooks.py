"""The fake LOKE tells its subscribers what happens, signed as its guide says."""

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from crm_pipeline.sandbox import Sandbox
from crm_pipeline.sandbox.loke.subscriptions import EVENTS, signature
from crm_pipeline_tests.sandbox.conftest import BIG, SMALL
from crm_pipeline_tests.sandbox.receiver import Receiver

HOOKS = f"/organizations/{SMALL.id}/webhooks"
SECRET = "a-long-random-secret"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


def subscribe(
    loke: httpx.Client, url: str, *events: str, ref: str = "crm", secret: str = SECRET
) -> httpx.Response:
    body = {"url": url, "secret": secret, "events": list(events or EVENTS)}
    return loke.put(f"{HOOKS}/{ref}", json=body)


@pytest.fixture
def heard(sandbox: Sandbox, loke: httpx.Client, receiver: Receiver) -> Receiver:
    """A receiver that is subscribed to everything, one message at a time in order."""
    assert subscribe(loke, receiver.url).status_code == 200
    return receiver


def told(sandbox: Sandbox, receiver: Receiver) -> list[dict[str, Any]]:
    sandbox.loke.hooks.flush()
    payloads = sorted(receiver.payloads, key=lambda each: EVENTS.index(each["event"]))
    receiver.received.clear()
    return payloads


def events(payloads: list[dict[str, Any]]) -> list[str]:
    return [each["event"] for each in payloads]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            '{"event":"customer.updated","customer":{"id":"01HP000000000000000000TEST"}}',
            "2aff5113fb8a2192257e078cfc7e7cc7a1920e965978b3bff4b650fc4bf8adfa",
        ),
        (
            '{"event":"customer.updated","customer":{"firstName":"Zoë"}}',
            "d9fd3cabd8429aa220954763bdd0b42679317fdf4e510e9a5b245ca64d65f988",
        ),
    ],
)
def test_the_signature_is_that_of_the_test_vectors(body: str, expected: str) -> None:
    assert signature("sandbox-loke-secret", body.encode()) == f"sha256={expected}"


def test_a_subscription_is_made_replaced_listed_and_removed(
    loke: httpx.Client, receiver: Receiver
) -> None:
    assert loke.get(HOOKS).json() == []
    answer = subscribe(loke, receiver.url, "customer.created", "order.created")
    assert (answer.status_code, answer.json()) == (200, loke.get(HOOKS).json())
    subscribe(loke, receiver.url, "customer.updated")
    subscribe(loke, "https://hooks.example.com/x", "payment.completed", ref="other")
    assert loke.get(HOOKS).json() == [
        {"ref": "crm", "url": receiver.url, "events": ["customer.updated"]},
        {"ref": "other", "url": "https://hooks.example.com/x", "events": ["payment.completed"]},
    ]
    assert loke.delete(f"{HOOKS}/crm").status_code == 204
    assert loke.delete(f"{HOOKS}/crm").status_code == 404
    assert [row["ref"] for row in loke.get(HOOKS).json()] == ["other"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"events": ["customer.deleted"]},
        {"events": []},
        {"url": "ftp://127.0.0.1"},
        {"secret": ""},
        {"secret": None},
    ],
)
def test_a_subscription_that_makes_no_sense_is_refused(
    loke: httpx.Client, wrong: dict[str, Any]
) -> None:
    body = {"url": "http://127.0.0.1:1/", "secret": "s", "events": ["customer.created"], **wrong}
    assert loke.put(f"{HOOKS}/crm", json=body).status_code == 400
    assert loke.get(HOOKS).json() == []


@pytest.mark.parametrize(("form", "body"), [("object", dict), ("array", list)])
def test_the_answer_to_a_subscription_has_several_forms(
    sandbox: Sandbox, loke: httpx.Client, form: str, body: type
) -> None:
    sandbox.loke.switch(webhook_answer=form)
    assert isinstance(subscribe(loke, "http://127.0.0.1:1/").json(), body)
    sandbox.loke.switch(webhook_answer="empty")
    assert subscribe(loke, "http://127.0.0.1:1/").content == b""


def test_every_delivery_is_signed_over_its_raw_bytes(sandbox: Sandbox, heard: Receiver) -> None:
    sandbox.loke.create_customer(SMALL.slug, firstName="Zoë", lastName="花子")
    sandbox.loke.hooks.flush()
    ((_, headers, body),) = heard.received
    digest = hmac.new(SECRET.encode(), body, hashlib.sha256).hexdigest()
    assert headers["X-Event-Signature"] == f"sha256={digest}"
    assert headers["Content-Type"] == "application/json"
    assert "Zoë".encode() in body


def test_a_new_customer_is_announced_whole(sandbox: Sandbox, heard: Receiver) -> None:
    customer = sandbox.loke.create_customer(SMALL.slug, firstName="Ada")
    assert told(sandbox, heard) == [
        {
            "event": "customer.created",
            "organization": {"id": SMALL.id, "name": SMALL.name},
            "customer": customer,
        }
    ]
    sandbox.loke.add(SMALL.slug, [{}, {}])
    assert events(told(sandbox, heard)) == ["customer.created"] * 2


def test_a_changed_customer_is_announced_whole(sandbox: Sandbox, heard: Receiver) -> None:
    someone = sandbox.loke.customers(SMALL.slug)[5]["id"]
    after = sandbox.loke.update_customer(SMALL.slug, someone, {"firstName": "Ada"})
    [update] = told(sandbox, heard)
    assert (update["event"], update["customer"]) == ("customer.updated", after)
    assert set(update) == {"event", "organization", "customer"}
    with pytest.raises(KeyError, match="no customer"):
        sandbox.loke.update_customer(SMALL.slug, "nobody", {})


def test_everybody_who_is_mutated_is_announced(sandbox: Sandbox, heard: Receiver) -> None:
    ids = sandbox.loke.mutate(SMALL.slug, count=12)
    payloads = told(sandbox, heard)
    updates = [each for each in payloads if each["event"] == "customer.updated"]
    assert {each["customer"]["id"] for each in updates} == set(ids)
    assert len(updates) == 12


def test_statistics_are_told_beside_the_short_customer(sandbox: Sandbox, heard: Receiver) -> None:
    someone = sandbox.loke.customers(SMALL.slug)[5]
    after = sandbox.loke.update_statistics(SMALL.slug, someone["id"])
    [update] = told(sandbox, heard)
    assert set(update) == {"event", "organization", "customer", "statistics"}
    assert update["event"] == "customer.updated-statistics"
    assert update["statistics"] == after["statistics"] != someone.get("statistics")
    allowed = {"id", "firstName", "lastName", "email", "phoneNumber"}
    assert set(update["customer"]) <= allowed
    with pytest.raises(KeyError, match="no customer"):
        sandbox.loke.update_statistics(SMALL.slug, "nobody")


@pytest.mark.parametrize("how", ["switch", "argument"])
def test_statistics_may_leave_the_time_of_change_alone(
    sandbox: Sandbox, heard: Receiver, how: str
) -> None:
    someone = sandbox.loke.customers(SMALL.slug)[20]
    if how == "switch":
        sandbox.loke.switch(statistics_bump=False)
        after = sandbox.loke.update_statistics(SMALL.slug, someone["id"])
    else:
        after = sandbox.loke.update_statistics(SMALL.slug, someone["id"], bump=False)
    assert after.get("updatedAt") == someone.get("updatedAt")
    assert sandbox.loke.customers(SMALL.slug)[20]["id"] == someone["id"]
    sandbox.loke.mutate(
        SMALL.slug, ids=[someone["id"]], fields={"statistics": {"totalSpend": 1}}, bump=False
    )
    assert events(told(sandbox, heard)) == ["customer.updated-statistics"] * 2


def test_a_payment_is_announced_with_its_location(sandbox: Sandbox, heard: Receiver) -> None:
    payment = sandbox.loke.complete_payment(SMALL.slug, total=1450)
    statistics, completed = told(sandbox, heard)
    place = sandbox.loke.tenant(SMALL.slug).location(payment["locationId"])
    assert place is not None
    assert completed == {
        "event": "payment.completed",
        "organization": {"id": SMALL.id, "name": SMALL.name},
        "location": {"id": place["id"], "name": place["name"]},
        "payment": payment,
    }
    assert statistics["customer"] == payment["customer"]
    after = sandbox.loke.refund(SMALL.slug, payment["id"])
    assert told(sandbox, heard)[1] == {**completed, "event": "payment.refunded", "payment": after}


def test_a_payment_of_nobody_nowhere_has_neither(sandbox: Sandbox, heard: Receiver) -> None:
    sandbox.loke.complete_payment(SMALL.slug, customer="", location="")
    [completed] = told(sandbox, heard)
    assert set(completed) == {"event", "organization", "payment"}
    assert "customer" not in completed["payment"]


def test_parts_of_payloads_may_be_missing(sandbox: Sandbox, heard: Receiver) -> None:
    sandbox.loke.switch(hook_location=False, hook_customer=False, hook_statistics=False)
    sandbox.loke.switch(payments_earn=False)
    sandbox.loke.complete_payment(SMALL.slug)
    sandbox.loke.create_customer(SMALL.slug, statistics={"totalSpend": 4})
    created, completed = told(sandbox, heard)
    assert "statistics" not in created["customer"]
    assert "location" not in completed
    assert "customer" not in completed["payment"]


def test_an_order_is_announced_at_every_step(sandbox: Sandbox, heard: Receiver) -> None:
    loke = sandbox.loke
    order = loke.place_order(SMALL.slug, total=700)
    [created] = told(sandbox, heard)
    assert set(created) == {"event", "organization", "location", "order"}
    assert (created["event"], created["order"]) == ("order.created", order)
    for step, move in (
        ("accepted", loke.accept_order),
        ("completed", loke.complete_order),
    ):
        after = move(SMALL.slug, order["id"])
        [moved] = told(sandbox, heard)
        assert (moved["event"], moved["order"]) == (f"order.{step}", after)
    paid = loke.place_order(SMALL.slug, customer="", paid=True)
    assert events(told(sandbox, heard)) == ["payment.completed", "order.created"]
    loke.reject_order(SMALL.slug, paid["id"])
    assert events(told(sandbox, heard)) == ["payment.refunded", "order.rejected"]


def test_lists_and_deletions_are_announced_to_nobody(sandbox: Sandbox, heard: Receiver) -> None:
    loke = sandbox.loke
    loke.create_list(SMALL.slug, "VIP")
    ids = [row["id"] for row in loke.customers(SMALL.slug, limit=3)]
    loke.add_members(SMALL.slug, "VIP", ids)
    loke.remove_members(SMALL.slug, "VIP")
    loke.delete(SMALL.slug, ids=ids)
    assert told(sandbox, heard) == []


def test_only_wanted_events_of_the_own_organisation_come(
    sandbox: Sandbox, loke: httpx.Client, receiver: Receiver
) -> None:
    subscribe(loke, receiver.url, "customer.created")
    sandbox.loke.mutate(SMALL.slug, count=3)
    sandbox.loke.create_customer(BIG.slug)
    sandbox.loke.create_customer(SMALL.slug)
    assert events(told(sandbox, receiver)) == ["customer.created"]
    subscribe(loke, receiver.url, "customer.created", ref="twice")
    sandbox.loke.create_customer(SMALL.slug)
    assert events(told(sandbox, receiver)) == ["customer.created"] * 2


def test_an_organisation_that_uninstalled_tells_nothing(sandbox: Sandbox, heard: Receiver) -> None:
    sandbox.loke.uninstall(SMALL.slug)
    sandbox.loke.create_customer(SMALL.slug)
    assert told(sandbox, heard) == []
    sandbox.loke.install(SMALL.slug)
    sandbox.loke.create_customer(SMALL.slug)
    assert events(told(sandbox, heard)) == ["customer.created"]


def signatures(receiver: Receiver) -> list[str]:
    """Say by which secret each delivery is signed."""
    known = {}
    for _, headers, body in receiver.received:
        for secret in (SECRET, "new-secret"):
            known[signature(secret, body)] = secret
        known.setdefault(headers.get("X-Event-Signature", ""), "?")
    return [known[headers.get("X-Event-Signature", "")] for _, headers, _ in receiver.received]


def test_signatures_may_be_wrong_missing_or_of_the_old_secret(
    sandbox: Sandbox, loke: httpx.Client, heard: Receiver
) -> None:
    for signing, expected in (("wrong", "?"), ("missing", "?"), ("old_secret", SECRET)):
        sandbox.loke.switch(signature=signing)
        sandbox.loke.create_customer(SMALL.slug)
        sandbox.loke.hooks.flush()
        assert signatures(heard) == [expected], signing
        assert ("X-Event-Signature" in heard.received[0][1]) is (signing != "missing")
        heard.received.clear()
    subscribe(loke, heard.url, secret="new-secret")
    subscribe(loke, heard.url, secret="new-secret")
    sandbox.loke.create_customer(SMALL.slug)
    sandbox.loke.hooks.flush()
    assert signatures(heard) == [SECRET]
    sandbox.loke.switch(signature="right")
    sandbox.loke.create_customer(SMALL.slug)
    sandbox.loke.hooks.flush()
    assert signatures(heard)[1] == "new-secret"


def test_a_retry_after_a_rotation_carries_the_old_signature(
    sandbox: Sandbox, loke: httpx.Client, heard: Receiver
) -> None:
    heard.statuses = [503]
    sandbox.loke.create_customer(SMALL.slug)
    sandbox.loke.hooks.flush()
    subscribe(loke, heard.url, secret="new-secret")
    sandbox.loke.hooks.advance(10)
    sandbox.loke.hooks.flush()
    assert signatures(heard) == [SECRET, SECRET]
    assert heard.bodies[0] == heard.bodies[1]


def test_an_event_is_lost_after_five_failures(sandbox: Sandbox, heard: Receiver) -> None:
    heard.status = 503
    sandbox.loke.create_customer(SMALL.slug)
    for wait in (0, 10, 20, 40, 80, 1000):
        sandbox.loke.hooks.advance(wait)
        sandbox.loke.hooks.flush()
    assert [each.outcome for each in sandbox.loke.hooks.deliveries()] == [
        *["failed"] * 4,
        "gave_up",
    ]
    assert len(heard.received) == 5


def test_a_receiver_may_read_from_loke_before_it_answers(
    sandbox: Sandbox, loke: httpx.Client, heard: Receiver
) -> None:
    heard.may_answer.clear()
    ids = sandbox.loke.mutate(SMALL.slug, count=1)
    assert loke.get(f"/organizations/{SMALL.id}/customers/{ids[0]}").status_code == 200
    heard.may_answer.set()
    assert "customer.updated" in events(told(sandbox, heard))


def test_a_reset_ends_every_subscription(sandbox: Sandbox, heard: Receiver) -> None:
    sandbox.loke.reset()
    sandbox.loke.create_customer(SMALL.slug)
    assert told(sandbox, heard) == []
