"""Webhooks that wait and orders at CRM.COM: asked for in time, never without end."""

import datetime as dt
import os

import dagster as dg
import pytest

from crm_pipeline.sandbox import SandboxOrganisation
from crm_pipeline.sandbox.crm_com.shop import Shop
from crm_pipeline.settings import load_settings
from crm_pipeline.store.ledger import CompleteRead
from crm_pipeline.wiring import Runtime
from crm_pipeline_tests.defs.support import (
    asked_for,
    evaluated,
    events_of,
    failures_of,
    sweeps_of,
)


def inbox(world):
    return evaluated(world, "inbox_sensor")


def sweep(world, data):
    (config,) = sweeps_of(data)
    result = world.run_job("sweep_job", "sweep", **config)
    assert result.success, failures_of(result)
    return result


def swept(world, *slugs: str) -> None:
    result = world.run_job("sweep_job", "sweep", organisations=list(slugs))
    assert result.success, failures_of(result)


def test_an_empty_inbox_asks_for_nothing(world):
    assert inbox(world).skip_message == "No webhook waits."


def test_only_the_organisations_with_webhooks_are_asked_for_and_the_sweep_drains_them(world):
    swept(world, *world.slugs)
    world.tell("bravo")
    world.sandbox.loke.mutate("bravo", count=2)
    data = inbox(world)
    assert asked_for(data) == ["bravo"]
    result = sweep(world, data)
    assert ("crm_com/applied", "bravo") in events_of(result)
    assert not inbox(world).run_requests


def test_the_sensor_claims_nothing_and_asks_no_source(world):
    world.tell("bravo")
    world.sandbox.loke.requests.clear()
    inbox(world)
    assert world.pages() == 0
    with world.runtime() as runtime:
        assert len(runtime.ledger.inbox.claim("bravo", 10)) == 1


def test_more_webhooks_ask_again_and_the_same_ones_after_a_minute(world):
    world.tell("bravo")
    first = inbox(world)
    world.tell("bravo")
    assert inbox(world).run_requests[0].run_key != first.run_requests[0].run_key


def test_an_organisation_at_work_is_asked_for_when_it_is_free(world):
    world.tell("bravo")
    data = inbox(world)
    run = world.instance.create_run_for_job(
        job_def=world.definitions.resolve_job_def("sweep_job"),
        run_config=data.run_requests[0].run_config,
        status=dg.DagsterRunStatus.STARTED,
    )
    assert not inbox(world).run_requests
    world.instance.report_run_canceled(run)
    assert asked_for(inbox(world)) == ["bravo"]


def test_one_that_a_running_sweep_is_done_with_does_not_wait_for_the_others_of_it(world):
    for slug in ("alfa", "bravo"):
        world.tell(slug)
    (config,) = sweeps_of(inbox(world))
    begun(world, config)
    assert not inbox(world).run_requests
    with world.runtime() as runtime:
        runtime.ledger.organisations.record_success("bravo")
    assert asked_for(inbox(world)) == ["bravo"]
    begun(world, {"organisations": ["bravo"]})
    assert not inbox(world).run_requests


def begun(world, config):
    """Begin a run of the sweep that does nothing yet."""
    run = world.instance.create_run_for_job(
        job_def=world.definitions.resolve_job_def("sweep_job"),
        run_config={"ops": {"sweep": {"config": config}}},
    )
    start = dg.DagsterEvent("PIPELINE_START", "sweep_job", message="It begins.")
    world.instance.report_dagster_event(start, run.run_id)


def test_a_paused_organisations_webhooks_wait_until_it_is_resumed(world):
    world.tell("bravo")
    world.run_job("pause_job", "pause", organisations=["bravo"])
    assert not inbox(world).run_requests
    world.run_job("pause_job", "pause", organisations=["bravo"], is_paused=False)
    assert asked_for(inbox(world)) == ["bravo"]


@pytest.mark.parametrize(("minutes", "wanted"), [(1, []), (6, ["bravo"])])
def test_webhooks_of_an_organisation_that_failed_wait_minutes_not_an_hour(world, minutes, wanted):
    world.tell("bravo")
    ago = dt.timedelta(minutes=minutes)
    with Runtime(load_settings(os.environ), clock=lambda: dt.datetime.now(dt.UTC) - ago) as runtime:
        runtime.ledger.organisations.record_failure("bravo", "organisation_gone", "Gone.")
    assert asked_for(inbox(world)) == wanted


def test_a_webhook_of_an_organisation_without_a_file_asks_for_nothing(world):
    world.tell("nobody")
    assert not inbox(world).run_requests


def test_many_waiting_organisations_come_in_bounded_runs(make_world):
    many = tuple(
        SandboxOrganisation(id=f"01HMANY{number:019d}", name=f"org-{number:03d}")
        for number in range(120)
    )
    world = make_world(many)
    for each in many:
        world.tell(each.slug)
    data = inbox(world)
    assert [len(config["organisations"]) for config in sweeps_of(data)] == [50, 50, 20]


def test_a_sweep_for_webhooks_does_not_read_whole_lists_again(shop):
    swept(shop, "alfa")
    for log in (shop.sandbox.loke.requests, shop.sandbox.crm_com.requests):
        log.clear()
    shop.tell("alfa")
    sweep(shop, inbox(shop))
    routes = [each.route for each in shop.sandbox.loke.requests.entries() if each.method == "GET"]
    assert routes
    assert not [route for route in routes if "list" in route or "member" in route]
    assert not [each for each in shop.sandbox.crm_com.requests.entries() if "orders" in each.route]


def orders(world):
    return evaluated(world, "orders_sensor")


def test_nobody_is_asked_for_orders_whose_file_does_not_read_them(world):
    assert not orders(world).run_requests


def test_orders_are_read_again_when_the_last_reading_is_old_and_nothing_else_is(shop):
    swept(shop, "alfa")
    assert not orders(shop).run_requests
    age(shop, "crm_com", "orders", dt.timedelta(seconds=50))
    (config,) = sweeps_of(orders(shop))
    assert (config["organisations"], config["datasets"]) == (["alfa"], ["crm_com/orders"])
    Shop(shop.sandbox.crm_com, "alfa").place_order([("SKU-0", 1, 450)])
    shop.sandbox.loke.requests.clear()
    result = shop.run_job("sweep_job", "sweep", **config)
    assert result.success, failures_of(result)
    assert events_of(result) == {("crm_com/orders", "alfa")}
    assert shop.sandbox.loke.requests.entries() == []


def test_where_webhooks_tell_of_orders_the_list_is_read_more_seldom(shop):
    shop.write_whole("alfa", is_hooked=True)
    swept(shop, "alfa")
    age(shop, "crm_com", "orders", dt.timedelta(seconds=50))
    assert not orders(shop).run_requests
    age(shop, "crm_com", "orders", dt.timedelta(minutes=6))
    assert asked_for(orders(shop)) == ["alfa"]


def age(world, source: str, dataset: str, by: dt.timedelta) -> None:
    """Let the last reading of a dataset have been some time ago."""
    then = dt.datetime.now(dt.UTC) - by
    with Runtime(load_settings(os.environ), clock=lambda: then) as runtime:
        marks = runtime.ledger.watermarks
        known = marks.get("alfa", source, dataset)
        read = CompleteRead(at=then, batch=known.batch, rows=0, is_sweep=True, recent=())
        marks.commit("alfa", source, dataset, read, expected=known)
