"""kill -9 of Dagster's processes in the middle of a sync: nothing is lost, nothing is there twice.

Dagster runs as processes, with the instance file that is shipped, and the vendors beside it. What
the CRM should hold is worked out from LOKE's true state by the oracle.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from crm_pipeline_tests.acceptance.trading import Trading, trading
from crm_pipeline_tests.faults.dagster_host import DagsterHost, kill_in_the_middle, until

pytestmark = [pytest.mark.night, pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Trading]:
    """Customers with payments, none of them in the CRM yet."""
    with trading(tmp_path, customers=20, payments=20) as opened:
        opened.product.run_here("ledger", "migrate")
        yield opened


@pytest.fixture
def host(market: Trading) -> Iterator[DagsterHost]:
    made = DagsterHost(market.product)
    made.start()
    yield made
    made.stop()


def is_right(market: Trading) -> bool:
    return market.wrong() == []


def test_a_killed_code_server_comes_back_ends_its_run_and_the_next_one_does_the_rest(
    market: Trading, host: DagsterHost
):
    host.switch_sensors_on()
    kill_in_the_middle(market, lambda: [*host.code_servers(), *host.run_workers()])
    [run] = host.open_runs()
    assert not is_right(market)
    until(lambda: host.status(run) is dg.DagsterRunStatus.FAILURE)
    until(lambda: is_right(market))


def test_whatever_else_of_dagster_is_killed_the_crm_ends_up_right(
    market: Trading, host: DagsterHost
):
    run = host.sweep(market.slug)
    kill_in_the_middle(market, host.run_workers)
    until(lambda: host.status(run) is dg.DagsterRunStatus.FAILURE, 20)
    assert not is_right(market)
    host.switch_sensors_on()
    until(lambda: is_right(market))

    market.sell_to_newcomers()
    kill_in_the_middle(market, lambda: [host.pid("daemon"), host.pid("webserver")])
    [run] = host.open_runs()
    host.reap()
    until(lambda: host.status(run) is dg.DagsterRunStatus.SUCCESS)
    assert is_right(market)
    host.start()

    market.sell_to_newcomers()
    kill_in_the_middle(market, host.tree)
    host.reap()
    assert not is_right(market)
    prove_that_one_command_ends_what_the_host_left(market, host)
    host.start()
    until(lambda: is_right(market))


def prove_that_one_command_ends_what_the_host_left(market: Trading, host: DagsterHost) -> None:
    [run] = host.open_runs()
    looked = json.loads(market.product.run("runs", "close-dead", "--json").out)
    assert [each["run"] for each in looked["runs"]] == [run]
    assert host.status(run) is dg.DagsterRunStatus.STARTED
    assert run in market.product.run("runs", "close-dead", "--yes").out
    assert host.status(run) is dg.DagsterRunStatus.FAILURE
