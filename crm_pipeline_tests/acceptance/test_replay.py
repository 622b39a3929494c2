"""Everything is told and read again: no wallet moves, nobody is written, nothing is sent.

A user can repeat a delivery, a full sync and a full pull, and a receiver may have been away. None
of it is news to a CRM that holds everything.
"""

import datetime as dt
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline_tests.acceptance.trading import LISTS, Trading, spelled_anew, trading
from crm_pipeline_tests.webhooks.running import RunningReceiver

AWAY = dt.timedelta(minutes=5)


class Settled:
    """A shop whose customers, lists, sales and refunds are all in the CRM, and every webhook."""

    def __init__(self, shop: Trading, receiver: RunningReceiver) -> None:
        self.shop = shop
        self.receiver = receiver
        self.webhooks: list[bytes] = []

    def deliver_all(self, change: Callable[[bytes], bytes] = bytes) -> None:
        for body in reversed(self.webhooks):
            self.shop.deliver(self.receiver, change(body))

    def come_back_after_an_outage(self) -> None:
        """Stop the receiver, let the last sign of its life be old, start it again."""
        self.receiver.end()
        ledger = self.shop.product.folder / "home" / "ledger.sqlite3"
        with closing(sqlite3.connect(ledger)) as connection:
            older = AWAY // dt.timedelta(microseconds=1)
            command = "UPDATE positions SET position = position - ? WHERE stage = 'receiver:alive'"
            assert connection.execute(command, (older,)).rowcount == 1
            connection.commit()
        self.receiver = self.shop.product.receiver()
        self.receiver.line()
        assert "a catch-up is asked for" in self.receiver.line()


@pytest.fixture(scope="module")
def settled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settled]:
    folder: Path = tmp_path_factory.mktemp("replay")
    with trading(folder, customers=40, payments=60) as shop, shop.product.receiver() as receiver:
        shop.keep_webhooks()
        fill_the_lists(shop)
        shop.sync()
        made = Settled(shop, receiver)
        live(shop)
        made.webhooks = shop.kept_webhooks()
        made.deliver_all()
        shop.sync("--full")
        assert shop.wrong() == []
        yield made
        made.receiver.__exit__()


def fill_the_lists(shop: Trading) -> None:
    people = [each["id"] for each in shop.loke.customers(shop.organisation.id)]
    for number, list_id in enumerate(LISTS):
        shop.loke.add_members(shop.organisation.id, list_id, people[number::3])


def live(shop: Trading) -> None:
    """Let a day pass at LOKE: people join, change, buy, bring back, join and leave lists."""
    organisation = shop.organisation.id
    new = [shop.loke.create_customer(organisation)["id"] for _ in range(5)]
    shop.clock.later(60)
    shop.loke.mutate(organisation, count=10, seed=5)
    sold = [shop.loke.complete_payment(organisation, customer=each, total=999) for each in new]
    shop.clock.later(60)
    shop.loke.refund(organisation, sold[0]["id"])
    shop.loke.refund(organisation, sold[1]["id"], amount=400)
    for list_id in LISTS:
        shop.loke.add_members(organisation, list_id, new)
        shop.loke.remove_members(
            organisation, list_id, shop.loke.members(organisation, list_id)[:3]
        )


def sync(settled: Settled) -> None:
    settled.shop.sync()


def sync_in_full(settled: Settled) -> None:
    settled.shop.sync("--full")


def pull_in_full(settled: Settled) -> None:
    shop = settled.shop
    answer = shop.product.run_here("pull", "--org", shop.slug, "--full")
    assert answer.code == 0, answer.err
    shop.sync()


def all_webhooks_again(settled: Settled) -> None:
    settled.deliver_all()
    settled.shop.sync()


def all_webhooks_again_in_other_bytes(settled: Settled) -> None:
    settled.deliver_all(spelled_anew)
    settled.shop.sync()


def all_webhooks_and_a_full_sync(settled: Settled) -> None:
    settled.deliver_all(lambda body: spelled_anew(body) + b"\n")
    settled.shop.sync("--full")


def a_catch_up(settled: Settled) -> None:
    settled.come_back_after_an_outage()
    settled.shop.sync()


def a_plan_made_and_applied_by_hand(settled: Settled) -> None:
    shop = settled.shop
    for words in (["plan", "--full"], ["apply"]):
        answer = shop.product.run_here(*words, "--org", shop.slug)
        assert answer.code == 0, (answer.code, answer.out, answer.err)


REPLAYS = (
    sync,
    sync_in_full,
    pull_in_full,
    all_webhooks_again,
    all_webhooks_again_in_other_bytes,
    all_webhooks_and_a_full_sync,
    a_catch_up,
    a_plan_made_and_applied_by_hand,
)


@pytest.mark.parametrize("replay", REPLAYS, ids=lambda each: each.__name__)
def test_nothing_is_sent_and_no_wallet_moves(settled: Settled, replay: Callable[[Settled], None]):
    shop = settled.shop
    before = money(shop)
    shop.crm.requests.clear()
    replay(settled)
    assert shop.writes() == 0
    assert money(shop) == before
    assert shop.wrong() == []


def money(shop: Trading) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return every movement of every wallet, and every purchase."""
    return shop.desk.journals(), shop.desk.purchases()


def test_what_happened_while_the_receiver_was_away_is_found(settled: Settled):
    shop, organisation = settled.shop, settled.shop.organisation.id
    [somebody] = shop.loke.mutate(organisation, count=1, seed=9)
    sold = shop.loke.complete_payment(organisation, customer=somebody, total=2_000)
    back = shop.loke.complete_payment(organisation, customer=somebody, total=3_000)
    shop.clock.later(60)
    shop.loke.refund(organisation, back["id"])
    settled.come_back_after_an_outage()
    shop.sync()
    assert shop.wrong() == []
    states = {
        each["reference_number"]: each["state"]
        for each in shop.desk.purchases()
        if each["reference_number"] in (f"loke:{sold['id']}", f"loke:{back['id']}")
    }
    assert sorted(states.values()) == ["CANCELLED", "POSTED"]
    assert shop.product.run_here("status", "--org", shop.slug).code == 0
