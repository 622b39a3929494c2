"""The computed order with its overlay equals a sorted list, whatever was done before."""

import itertools
import random

import pytest

from crm_pipeline.sandbox.loke.customers import CustomerStore, Sort
from crm_pipeline.sandbox.people import People
from crm_pipeline_tests.sandbox.conftest import Clock


def shake(store: CustomerStore, chance: random.Random, clock: Clock) -> None:
    """Mutate, add and delete, with equal times among them."""
    for _ in range(6):
        clock.turn(seconds=chance.choice((0, 1, 60)))
        moved = store.pick(17, "any", chance.getrandbits(30))
        store.mutate(moved, at=clock(), fields=None, seed=1)
        store.delete(store.pick(9, "any", chance.getrandbits(30)))
        store.add([{} for _ in range(5)], at=clock())
        tie = store.row(next(store.orders["updated"].from_offset(10)))
        store.mutate(
            store.pick(4, "oldest", 1), at=tie.get("updatedAt", clock()), fields={}, seed=1
        )


@pytest.mark.parametrize("sort", ["updated", "created"])
@pytest.mark.parametrize("count", [0, 1, 60, 1024, 3000])
def test_every_offset_and_every_key_leads_to_the_right_rows(sort: Sort, count: int) -> None:
    store, clock = CustomerStore(People(7, "o"), count), Clock()
    if count >= 60:
        shake(store, random.Random(count), clock)
    order = store.orders[sort]
    whole = list(order.from_offset(0))
    keys = [order.key_of(index) for index in whole]
    assert keys == sorted(keys)
    assert len(whole) == len(set(whole)) == len(store)
    for offset in range(0, len(whole) + 2, max(1, count // 97)):
        assert list(itertools.islice(order.from_offset(offset), 5)) == whole[offset : offset + 5]
    for place in range(0, len(whole), max(1, count // 97)):
        assert list(itertools.islice(order.after(keys[place]), 5)) == whole[place + 1 : place + 6]
        assert order.offset_of(keys[place]) == place + 1


def test_a_deleted_row_is_gone_and_a_changed_one_stands_first() -> None:
    store, clock = CustomerStore(People(7, "o"), 3000), Clock()
    first, second, third = store.pick(3, "oldest", 1)
    store.mutate([third], at=clock(), fields={"firstName": "Nova"}, seed=1)
    store.delete([first])
    assert store.find(first) is None
    assert store.pick(1, "newest", 1) == [third]
    assert store.pick(1, "oldest", 1) == [second]
    assert len(store) == 2999


def test_the_order_shown_is_the_order_of_the_times_shown() -> None:
    store = CustomerStore(People(7, "o"), 5000)
    shown = [store.row(index).get("updatedAt") for index in store.orders["updated"].from_offset(0)]
    seconds = [each[:19] for each in shown if each]
    assert seconds == sorted(seconds, reverse=True)
