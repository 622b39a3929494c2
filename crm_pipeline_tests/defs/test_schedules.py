"""Schedules: who is due by a line of their own file, once for each time it comes due."""

import datetime as dt

import pytest

from crm_pipeline.defs.due import due_for_reading, due_for_scan
from crm_pipeline.defs.readings import lists
from crm_pipeline_tests.defs.support import failures_of, scheduled, sweeps_of


@pytest.fixture
def runtime(world):
    with world.runtime() as opened:
        yield opened


def test_a_full_scan_is_due_once_after_each_time_of_the_organisations_own_line(world, runtime):
    now = dt.datetime.now(dt.UTC)
    assert set(due_for_scan(runtime, world.instance, now)) == set(world.slugs)
    world.run_job("sweep_job", "sweep", organisations=["alfa"], is_full=True)
    assert set(due_for_scan(runtime, world.instance, now)) == {"bravo", "charlie"}
    tomorrow = now + dt.timedelta(days=1, hours=1)
    assert "alfa" in due_for_scan(runtime, world.instance, tomorrow)


def test_after_a_pause_of_the_daemon_a_missed_full_scan_is_asked_for_once(world, runtime):
    world.run_job("sweep_job", "sweep", which="ALL", is_full=True)
    in_a_week = dt.datetime.now(dt.UTC) + dt.timedelta(days=7)
    due = due_for_scan(runtime, world.instance, in_a_week)
    assert set(due) == set(world.slugs)


def test_the_full_scan_schedule_asks_for_whole_scans(world):
    (config,) = sweeps_of(scheduled(world, "full_scan_schedule"))
    assert config == {"organisations": ["alfa", "bravo", "charlie"], "is_full": True}


def test_an_organisation_without_lists_or_catalogue_is_never_due_for_them(world):
    assert not scheduled(world, "lists_schedule").run_requests
    assert not scheduled(world, "products_schedule").run_requests


def test_the_lists_schedule_reads_lists_alone_and_each_time_of_the_line_once(shop):
    data = scheduled(shop, "lists_schedule")
    (config,) = sweeps_of(data)
    assert config["organisations"] == ["alfa"]
    assert config["datasets"] == ["loke/list_members", "loke/orders"]
    result = shop.run_job("lists_job", "sweep", **config)
    assert result.success, failures_of(result)
    assert shop.materialised("loke/list_members") == {"alfa"}
    assert shop.materialised("loke/customers") == set()
    assert not scheduled(shop, "lists_schedule").run_requests
    in_an_hour = dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)
    again = scheduled(shop, "lists_schedule", in_an_hour)
    assert again.run_requests
    assert again.run_requests[0].run_key != data.run_requests[0].run_key


def test_the_line_of_the_organisations_own_file_decides(shop):
    shop.write_whole("alfa", schedules={"lists": "0 0 1 1 *"})
    assert shop.run_job("lists_job", "sweep", organisations=["alfa"]).success
    with shop.runtime() as runtime:
        due = due_for_reading(
            runtime,
            shop.instance,
            dt.datetime.now(dt.UTC) + dt.timedelta(hours=2),
            datasets=lists(),
            cron_of=lambda schedules: schedules.lists,
        )
    assert due == {}


def test_the_products_schedule_reads_the_catalogue_and_sends_its_products(shop):
    (config,) = sweeps_of(scheduled(shop, "products_schedule"))
    assert config["datasets"] == ["catalogue/products"]
    result = shop.run_job("products_job", "sweep", **config)
    assert result.success, failures_of(result)
    assert shop.materialised("products") == {"alfa"}
    assert shop.materialised("crm_com/applied") == {"alfa"}
    assert not scheduled(shop, "products_schedule").run_requests
