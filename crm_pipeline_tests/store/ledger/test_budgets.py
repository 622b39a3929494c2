"""Call budgets: all processes together stay under an account's rate."""

import datetime as dt
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.store.ledger import Ledger
from crm_pipeline_tests.store.ledger.conftest import sqlite_url
from crm_pipeline_tests.store.ledger.samples import Clock

accounts = (f"account {number}" for number in itertools.count())


def test_the_first_calls_go_at_once_and_the_next_wait_for_them(ledger, other):
    assert ledger.budgets.lease("a", 10, 20.0) == 0
    assert other.budgets.lease("a", 1, 20.0) == pytest.approx(0.5)
    assert ledger.budgets.lease("a", 1, 20.0) == pytest.approx(0.55)
    assert ledger.budgets.lease("b", 1, 20.0) == 0


def test_waiting_pays_and_an_idle_account_saves_nothing_up(ledger, clock):
    ledger.budgets.lease("a", 20, 20.0)
    clock.forward(0.25)
    assert ledger.budgets.lease("a", 1, 20.0) == pytest.approx(0.75)
    clock.forward(3_600)
    assert ledger.budgets.lease("a", 5, 20.0) == 0
    assert ledger.budgets.lease("a", 1, 20.0) == pytest.approx(0.25)


def test_what_one_account_owes_lets_no_other_wait(ledger):
    ledger.budgets.lease("loud", 1_000, 10)
    assert ledger.budgets.lease("loud", 1, 10) > 0
    assert ledger.budgets.lease("quiet", 1, 10) == 0


def test_no_calls_cost_nothing_and_tell_how_long_to_wait(ledger):
    ledger.budgets.lease("a", 5, 1.0)
    assert ledger.budgets.lease("a", 0, 1.0) == ledger.budgets.lease("a", 0, 1.0) == 5


@pytest.mark.parametrize(("calls", "rate"), [(-1, 1.0), (1, 0.0), (1, -1.0), (1, float("nan"))])
def test_a_budget_without_a_rate_is_refused(ledger, calls, rate):
    with pytest.raises(ValueError, match="rate above 0"):
        ledger.budgets.lease("a", calls, rate)


def test_a_clock_that_is_set_back_does_not_stop_the_calls(ledger, clock):
    ledger.budgets.lease("a", 2, 1.0)
    clock.forward(-86_400)
    assert ledger.budgets.lease("a", 1, 1.0) == pytest.approx(2)
    assert ledger.budgets.lease("a", 1, 1.0) == pytest.approx(3)


def test_hosts_whose_clocks_differ_a_little_do_not_forget_what_is_owed(ledger, opened, url, clock):
    behind = opened(url, lambda: clock() - dt.timedelta(seconds=2))
    ledger.budgets.lease("a", 10, 1.0)
    assert behind.budgets.lease("a", 1, 1.0) == pytest.approx(12)
    assert ledger.budgets.lease("a", 1, 1.0) == pytest.approx(11)


@pytest.fixture(scope="module")
def shared(migrated_file):
    clock = Clock()
    ledgers = [Ledger(sqlite_url(migrated_file), clock=clock) for _ in range(2)]
    yield clock, ledgers
    for ledger in ledgers:
        ledger.close()


steps = st.tuples(st.integers(0, 1), st.integers(1, 30), st.floats(0, 2))


@settings(max_examples=settings.default.max_examples // 4)  # each one writes to a disk
@given(taken=st.lists(steps, min_size=2, max_size=12), rate=st.floats(0.5, 100))
def test_processes_together_never_exceed_the_rate(shared, taken, rate):
    clock, ledgers = shared
    account, free = next(accounts), float("-inf")
    for which, calls, pause in taken:
        clock.forward(pause)
        starts = clock.now.timestamp() + ledgers[which].budgets.lease(account, calls, rate)
        assert starts >= free - 1e-4
        assert starts <= max(free, clock.now.timestamp()) + 1e-4  # and nothing is wasted
        free = starts + calls / rate
