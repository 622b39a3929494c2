"""Webhooks in any order, twice, late: the CRM ends in the one state that LOKE is in.

LOKE's own state is the true one and is complete before the first webhook comes. Where its lists
are down, nothing but webhooks can bring it to the CRM.
"""

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline_tests.acceptance.trading import (
    LISTS_ARE_DOWN,
    Trading,
    spelled_anew,
    trading,
)
from crm_pipeline_tests.nights import night
from crm_pipeline_tests.webhooks.running import RunningReceiver

STORY = ("customer.created", "customer.updated", "payment.completed", "payment.refunded")
#: Each customer has an order of arrival of their own.
ORDERS = tuple(itertools.permutations(range(len(STORY))))
#: In the wallets of those whom the CRM knew before we came.
IN_THE_WALLET = 777
#: What a sync comes to while LOKE's lists are down: try later; or, where a purchase waits for a
#: person nobody told of yet, look at what was set aside.
SYNC_AGAIN, SET_ASIDE = 75, 65

pytestmark = pytest.mark.slow


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Trading]:
    with trading(tmp_path) as opened:
        # What a payment changes of its customer is told by an event of its own.
        opened.loke.switch(payments_earn=False)
        yield opened


@pytest.fixture
def receiver(shop: Trading) -> Iterator[RunningReceiver]:
    with shop.product.receiver() as running:
        yield running


def tell_stories(shop: Trading) -> list[list[bytes]]:
    """Let the same happen to as many customers as there are orders; return their webhooks."""
    organisation = shop.organisation.id
    shop.keep_webhooks()
    customers = [
        shop.loke.create_customer(
            organisation,
            firstName=f"Before{number}",
            email=f"before{number}@example.com",
            hasAgreedToMarketing=True,
        )
        for number in range(len(ORDERS))
    ]
    shop.clock.later(60)
    for number, customer in enumerate(customers):
        changed = {
            "firstName": f"After{number}",
            "email": f"after{number}@example.com",
            "hasAgreedToMarketing": number % 3 == 0,
        }
        shop.loke.update_customer(organisation, customer["id"], changed)
    shop.clock.later(60)
    payments = [
        shop.loke.complete_payment(organisation, customer=each["id"], total=1_450 + 100 * number)
        for number, each in enumerate(customers)
    ]
    shop.clock.later(60)
    for payment in payments:
        shop.loke.refund(organisation, payment["id"])
    bodies = shop.kept_webhooks()
    assert len(bodies) == len(STORY) * len(customers)
    return [bodies[number :: len(customers)] for number in range(len(customers))]


def let_the_crm_know_some(shop: Trading) -> None:
    """Every second customer is in the CRM already, with money of their own in the wallet."""
    key = shop.organisation.crm_test_key
    for customer in shop.loke.customers(shop.organisation.id)[::2]:
        code = f"loke:{customer['id']}"
        name = {"first_name": "Known", "last_name": "Already"}
        shop.crm.add(key, [{"code": code, "person_name": name}])
        shop.before[code] = shop.desk.credit(code, IN_THE_WALLET)


def prove_the_end(shop: Trading) -> None:
    """Everybody is as LOKE says, bought once, got it back, and has the money of before."""
    assert shop.wrong() == []
    purchases = shop.desk.purchases()
    assert [each["state"] for each in purchases] == ["CANCELLED"] * len(ORDERS)
    names = {each["firstName"] for each in shop.loke.customers(shop.organisation.id)}
    contacts = shop.crm.contacts(shop.organisation.crm_test_key)
    assert {each["first_name"] for each in contacts} == names
    assert sum(each["email_opt_out"] is False for each in contacts) == len(ORDERS) / 3
    events = [each["event"] for each in shop.desk.journals()]
    assert events.count("AWARD") == events.count("CANCELLATION") == len(ORDERS)


@pytest.mark.parametrize(
    ("is_known", "are_lists_down", "each_time"),
    [
        # Each side of each question once here, all eight at night.
        pytest.param(False, True, True, id="new people, webhooks only, sync after each"),
        pytest.param(True, False, False, id="some known, lists too, one sync"),
        *night(
            (False, True, False),
            (False, False, True),
            (False, False, False),
            (True, True, True),
            (True, True, False),
            (True, False, True),
        ),
    ],
)
def test_all_24_orders_of_arrival_end_in_the_same_state(
    shop: Trading,
    receiver: RunningReceiver,
    each_time: bool,
    are_lists_down: bool,
    is_known: bool,
):
    stories = tell_stories(shop)
    if is_known:
        let_the_crm_know_some(shop)
    if are_lists_down:
        shop.loke.faults.add(LISTS_ARE_DOWN)
    codes = (SYNC_AGAIN,) if are_lists_down else (0,)
    for turn in range(len(STORY)):
        for story, order in zip(stories, ORDERS, strict=True):
            shop.deliver(receiver, story[order[turn]])
        if each_time:
            shop.sync(codes=(*codes, SET_ASIDE) if are_lists_down else codes, is_process=is_known)
    shop.sync(codes=codes, is_process=is_known)
    prove_the_end(shop)
    prove_that_nothing_is_left_to_send(shop)


def prove_that_nothing_is_left_to_send(shop: Trading) -> None:
    """When LOKE can be read again, reading it tells nothing new."""
    shop.loke.faults.clear()
    shop.crm.requests.clear()
    shop.sync()
    shop.sync("--full")
    assert shop.writes() == 0
    prove_the_end(shop)


@pytest.mark.parametrize("seed", [0, *night(1, 2)])
def test_events_that_come_again_and_late_change_nothing(
    shop: Trading, receiver: RunningReceiver, seed: int
):
    stories = tell_stories(shop)
    chance = random.Random(seed)
    shop.loke.faults.add(LISTS_ARE_DOWN)
    # Three copies of each event, in any order over all customers; one of them in other bytes.
    arrivals = [
        copy for story in stories for body in story for copy in (body, body, spelled_anew(body))
    ]
    chance.shuffle(arrivals)
    cuts = set(chance.sample(range(1, len(arrivals)), 3))
    for place, body in enumerate(arrivals):
        if place in cuts:
            shop.sync(codes=(SYNC_AGAIN, SET_ASIDE))
        shop.deliver(receiver, body)
    shop.sync(codes=(SYNC_AGAIN,))
    prove_the_end(shop)
    shop.crm.requests.clear()
    for story in stories:
        for body in reversed(story):
            shop.deliver(receiver, body)
            shop.deliver(receiver, spelled_anew(body) + b"\n")
    shop.sync(codes=(SYNC_AGAIN,))
    assert shop.writes() == 0
    prove_that_nothing_is_left_to_send(shop)


@pytest.mark.parametrize("are_lists_down", [True, False], ids=["webhooks only", "lists too"])
def test_a_sender_that_repeats_and_reorders_is_no_trouble(tmp_path: Path, are_lists_down: bool):
    with trading(tmp_path, customers=12) as shop, shop.product.receiver() as receiver:
        shop.product.add_all(
            shop.organisation,
            url=f"http://127.0.0.1:{receiver.port}",
            lists={},
            datasets=("customers", "payments"),
        )
        shop.sync()
        assert shop.product.run_here("webhooks", "reset", "--org", shop.slug).code == 0
        shop.loke.hooks.switch(duplicate=2, reorder=10)
        if are_lists_down:
            shop.loke.faults.add(LISTS_ARE_DOWN)
        for round_of_sales in range(3):
            sell(shop, seed=round_of_sales)
            shop.loke.hooks.flush()
            shop.sync(codes=(SYNC_AGAIN if are_lists_down else 0,))
        told = {each.outcome for each in shop.loke.hooks.deliveries()}
        assert told == {"delivered"}
        assert shop.wrong() == []
        prove_quiet(shop)


def sell(shop: Trading, seed: int) -> None:
    """People join, change and buy, and bring some of it back: whole, and in part."""
    organisation, chance = shop.organisation.id, random.Random(seed)
    shop.loke.create_customer(organisation, firstName=f"Joined{seed}")
    shop.clock.later(60)
    shop.loke.mutate(organisation, count=4, seed=seed)
    sold = [shop.loke.complete_payment(organisation, total=900 + each) for each in range(6)]
    shop.clock.later(60)
    whole, part = chance.sample(sold, 2)
    shop.loke.refund(organisation, whole["id"])
    shop.loke.refund(organisation, part["id"], amount=300)
    shop.clock.later(60)


def prove_quiet(shop: Trading) -> None:
    shop.loke.faults.clear()
    shop.crm.requests.clear()
    shop.sync("--full")
    assert (shop.writes(), shop.wrong()) == (0, [])
