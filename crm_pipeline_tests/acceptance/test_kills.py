"""kill -9 at any point of an apply: the next run completes the rest, and does nothing twice.

The sandbox answers in its worst way: it takes a second purchase with the same number, and awards
it. What wallets should hold is worked out from LOKE's payments by the oracle.
"""

import os
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.sandbox.control.log import LoggedRequest
from crm_pipeline_tests.acceptance.conftest import MakeProduct
from crm_pipeline_tests.acceptance.product import Product
from crm_pipeline_tests.acceptance.test_convergence import wrong
from crm_pipeline_tests.acceptance.trading import LISTS, Trading, trading
from crm_pipeline_tests.nights import night

CUSTOMERS = 150
#: Calls that may be on their way when the signal arrives: so many before the end nothing is left.
IN_FLIGHT = 20


def kill_after(product: Product, writes: int, slug: str = "acme", path: str = "") -> None:
    """Run a sync and kill it when the CRM has done that many writes, before the answer is out.

    ``path`` counts only the writes whose path ends with it.
    """
    log = product.sandbox.crm_com.requests
    add = log.add
    started: list[subprocess.Popen[bytes]] = []
    seen = 0

    def counted(entry: LoggedRequest) -> None:
        nonlocal seen
        add(entry)
        seen += entry.method in ("POST", "PUT") and entry.path.endswith(path)
        if seen == writes and started:
            os.kill(started[0].pid, signal.SIGKILL)

    log.add = counted  # type: ignore[method-assign]
    try:
        started.append(product.start("sync", "--org", slug))
        assert started[0].wait(timeout=100) == -signal.SIGKILL
    finally:
        log.add = add  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", [0, 1, *night(*range(2, 10))])
def test_a_killed_apply_is_completed_by_the_next_run(make_product: MakeProduct, seed: int):
    product = make_product(acme=CUSTOMERS)
    kill_after(product, random.Random(seed).randint(1, CUSTOMERS - IN_FLIGHT))
    assert wrong(product) != []
    answer = product.run("sync", "--org", "acme")
    assert answer.code == 0, answer.err
    assert wrong(product) == []
    assert product.sandbox.crm_com.requests.count("POST", None) <= CUSTOMERS + 8


def test_a_sync_killed_three_times_still_converges(make_product: MakeProduct):
    product = make_product(acme=CUSTOMERS)
    for writes in (20, 30, 40):
        kill_after(product, writes)
    assert product.run("sync", "--org", "acme").code == 0
    assert wrong(product) == []


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Trading]:
    """Customers, lists with members, payments, some of them brought back whole or in part."""
    with trading(tmp_path, customers=24, payments=40) as opened:
        organisation = opened.organisation.id
        people = [each["id"] for each in opened.loke.customers(organisation)]
        for number, list_id in enumerate(LISTS):
            opened.loke.add_members(organisation, list_id, people[number::2])
        for number in range(8):
            sold = opened.loke.complete_payment(
                organisation, customer=people[number], total=1_000 + number
            )
            opened.clock.later(5)
            if number % 2:
                opened.loke.refund(
                    organisation, sold["id"], amount=None if number % 4 == 1 else 500
                )
        assert opened.crm.switches.duplicate_reference == "accept"
        yield opened


#: What is counted, and before how many of it the process dies: some of each are in flight then.
WRITES = (
    pytest.param("", 60, id="anything"),
    pytest.param("/synchronise_products", 1, id="products"),
    pytest.param("/contacts", 18, id="contacts"),
    pytest.param("/tags", 18, id="memberships"),
    pytest.param("/purchases", 25, id="purchases"),
    pytest.param("/cancel", 2, id="refunds"),
    pytest.param("/ad_hoc_return", 2, id="returns"),
)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *night(1, 2)])
@pytest.mark.parametrize(("path", "most"), WRITES)
def test_a_killed_sync_of_everything_is_completed_and_does_nothing_twice(
    shop: Trading, path: str, most: int, seed: int
):
    kill_after(shop.product, random.Random(f"{path}{seed}").randint(1, most), shop.slug, path)
    prove_that_the_next_run_completes(shop)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, *night(1, 2)])
def test_a_sync_of_everything_that_dies_again_and_again_still_converges(shop: Trading, seed: int):
    chance = random.Random(seed)
    for path in ("/contacts", "/purchases", "", "/purchases"):
        kill_after(shop.product, chance.randint(1, 10), shop.slug, path)
    prove_that_the_next_run_completes(shop)


def prove_that_the_next_run_completes(shop: Trading) -> None:
    """Nothing is missing, nothing is there twice, and then there is nothing to send."""
    shop.sync(is_process=True)
    assert shop.wrong() == []
    shop.crm.requests.clear()
    shop.sync("--full")
    assert (shop.writes(), shop.wrong()) == (0, [])
