"""Old runs go; what the UI shows of today stays."""

import datetime as dt
import os

from crm_pipeline.defs.retention import remove_old_runs
from crm_pipeline.settings import load_settings
from crm_pipeline.wiring import Runtime
from crm_pipeline_tests.defs.support import failures_of


def removed_after(world, days: int) -> int:
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    return remove_old_runs(world.instance, days=90, limit=100, now=now)


def test_a_run_that_holds_the_newest_materialisation_of_an_organisation_stays(world):
    world.materialise("loke/customers", "alfa")
    world.materialise("loke/customers", "bravo")
    world.materialise("loke/customers", "bravo")
    world.sandbox.loke.uninstall("charlie")
    world.materialise("loke/customers", "charlie")
    assert world.instance.get_runs_count() == 4
    assert removed_after(world, 91) == 2
    assert world.instance.get_runs_count() == 2
    assert world.materialised("loke/customers") == {"alfa", "bravo"}


def test_nothing_young_is_removed(world):
    world.materialise("loke/customers", "bravo")
    world.materialise("loke/customers", "bravo")
    assert removed_after(world, 89) == 0
    assert world.run_job("retention_job", "clean_runs", days=30).success
    assert world.instance.get_runs_count() == 3


def test_webhooks_that_were_done_long_ago_are_forgotten_and_those_that_wait_are_not(world):
    done, waiting = world.tell("bravo"), world.tell("bravo")
    stranger = world.tell("nobody")
    long_ago = dt.datetime.now(dt.UTC) - dt.timedelta(days=31)
    with Runtime(load_settings(os.environ), clock=lambda: long_ago) as runtime:
        runtime.ledger.inbox.settle([done, stranger], "done")
    assert world.run_job("retention_job", "clean_old", is_dry_run=True).success
    with world.runtime() as runtime:
        assert runtime.ledger.inbox.states([done]) == {done: "done"}
    assert world.run_job("retention_job", "clean_old").success
    with world.runtime() as runtime:
        assert runtime.ledger.inbox.waiting() == {"bravo": 1}
        assert [row.number for row in runtime.ledger.inbox.claim("bravo", 10)] == [waiting]
        assert runtime.ledger.inbox.purge(dt.datetime.now(dt.UTC)) == 0


def test_each_organisation_is_cleaned_by_itself_and_one_at_work_is_passed_over(world):
    with world.runtime() as runtime:
        with runtime.ledger.leases.hold("sync:alfa", "another", 60):
            assert world.run_job("retention_job", "clean_old").success
        runtime.ledger.organisations.set_paused("bravo", is_paused=True)
    result = world.run_job(
        "retention_job", "clean_old", which="LISTED", organisations=["alfa", "bravo"]
    )
    assert not result.success
    assert "bravo" in str(failures_of(result))
