"""kill -9 at any point of an apply: the next run completes the rest, with no contact twice."""

import os
import random
import signal
import subprocess

import pytest

from crm_pipeline.sandbox.control.log import LoggedRequest
from crm_pipeline_tests.acceptance.conftest import MakeProduct
from crm_pipeline_tests.acceptance.product import Product
from crm_pipeline_tests.acceptance.test_convergence import wrong

CUSTOMERS = 150
#: Calls that may be on their way when the signal arrives: so many before the end nothing is left.
IN_FLIGHT = 20


def kill_after(product: Product, writes: int) -> None:
    """Run a sync and kill it when the CRM has done that many writes, before the answer is out."""
    log = product.sandbox.crm_com.requests
    add = log.add
    started: list[subprocess.Popen[bytes]] = []
    seen = 0

    def counted(entry: LoggedRequest) -> None:
        nonlocal seen
        add(entry)
        seen += entry.method in ("POST", "PUT")
        if seen == writes and started:
            os.kill(started[0].pid, signal.SIGKILL)

    log.add = counted  # type: ignore[method-assign]
    try:
        started.append(product.start("sync", "--org", "acme"))
        started[0].wait(timeout=60)
    finally:
        log.add = add  # type: ignore[method-assign]


@pytest.mark.parametrize("seed", range(10))
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
