"""Sensors and schedules: cheap, bounded, and asking for work only where something changed."""

import datetime as dt
import os
import traceback

import dagster as dg
import pytest
from dagster import DagsterError

from crm_pipeline.defs.changes import GRACE_SECONDS, LOOK_SECONDS, WINDOW
from crm_pipeline.defs.requests import ORGANISATIONS_PER_SWEEP
from crm_pipeline.sandbox import FaultRule, SandboxOrganisation
from crm_pipeline.settings import load_settings
from crm_pipeline.wiring import Runtime
from crm_pipeline_tests.defs.support import asked_for, evaluated, failures_of


def tick(world, cursor: str | None = None) -> dg.SensorResult:
    """Evaluate one tick of the sensor of changes."""
    return evaluated(world, "changes_sensor", cursor)


def sweep_what_was_asked_for(world, data) -> None:
    result = world.run_job("sweep_job", "sweep", organisations=asked_for(data))
    assert result.success, failures_of(result)


def test_organisations_that_were_never_pulled_are_asked_for_without_a_call(world):
    world.sandbox.loke.requests.clear()
    assert asked_for(tick(world)) == ["alfa", "bravo", "charlie"]
    assert world.pages() == 0


def test_only_the_organisation_that_changed_is_asked_for(world):
    sweep_what_was_asked_for(world, tick(world))
    quiet = tick(world)
    assert quiet.run_requests == []
    world.sandbox.loke.mutate("bravo", count=1)
    assert asked_for(tick(world)) == ["bravo"]


def test_the_same_sight_has_the_same_run_key_and_a_new_one_another(world):
    sweep_what_was_asked_for(world, tick(world))
    world.sandbox.loke.mutate("bravo", count=1)
    first, again = tick(world), tick(world)
    assert [each.run_key for each in first.run_requests] == [
        each.run_key for each in again.run_requests
    ]
    world.sandbox.loke.mutate("bravo", count=1, seed=8)
    assert first.run_requests[0].run_key != tick(world).run_requests[0].run_key


def test_a_quiet_organisation_costs_one_page_and_starts_no_run(world):
    sweep_what_was_asked_for(world, tick(world))
    world.sandbox.loke.requests.clear()
    data = tick(world)
    assert data.run_requests == []
    assert "Looked at 3 of 3 organisations, 0 changed." in (data.skip_message or "")
    assert world.pages() == 3


def test_a_payment_alone_asks_for_a_sweep_that_brings_it_to_the_crm(shop):
    sweep_what_was_asked_for(shop, tick(shop))
    assert tick(shop).run_requests == []
    shop.sandbox.loke.complete_payment("alfa", total=900)
    assert asked_for(tick(shop)) == ["alfa"]


@pytest.mark.parametrize("job", ["sweep_job", "lists_job", "products_job"])
def test_an_organisation_at_work_in_any_job_is_left_out(world, job):
    world.instance.create_run_for_job(
        job_def=world.definitions.resolve_job_def(job),
        run_config={"ops": {"sweep": {"config": {"organisations": ["alfa", "bravo"]}}}},
        status=dg.DagsterRunStatus.STARTED,
    )
    assert asked_for(tick(world)) == ["charlie"]


def test_an_organisation_whose_sweep_waits_is_not_asked_for_again(world):
    data = tick(world)
    world.instance.create_run_for_job(
        job_def=world.definitions.resolve_job_def("sweep_job"),
        run_config=data.run_requests[0].run_config,
        status=dg.DagsterRunStatus.STARTED,
    )
    assert tick(world).run_requests == []


def test_a_source_that_is_down_costs_one_try_and_names_the_organisation(world):
    sweep_what_was_asked_for(world, tick(world))
    world.sandbox.loke.faults.add(
        FaultRule(kind="status", status=503, organisation="bravo", path="customers", times=None)
    )
    world.sandbox.loke.mutate("alfa", count=1)
    world.sandbox.loke.requests.clear()
    assert asked_for(tick(world)) == ["alfa"]
    assert world.pages() == 3


def test_a_failed_organisation_rests_and_is_then_asked_for_once_more(world):
    sweep_what_was_asked_for(world, tick(world))
    world.sandbox.loke.mutate("bravo", count=1)
    fail(world, "bravo", dt.timedelta(minutes=50))
    assert tick(world).run_requests == []
    fail(world, "bravo", dt.timedelta(minutes=70))
    first = tick(world)
    assert asked_for(first) == ["bravo"]
    fail(world, "bravo", dt.timedelta(minutes=65))
    again = tick(world)
    assert asked_for(again) == ["bravo"]
    assert first.run_requests[0].run_key != again.run_requests[0].run_key


def fail(world, slug: str, ago: dt.timedelta) -> None:
    """Note a failure that only a person can end, some time ago."""
    settings = load_settings(os.environ)
    with Runtime(settings, clock=lambda: dt.datetime.now(dt.UTC) - ago) as runtime:
        runtime.ledger.organisations.record_failure(slug, "organisation_gone", "Gone.")


def test_a_paused_organisation_is_not_looked_at(world):
    world.run_job("pause_job", "pause", organisations=["bravo"])
    assert asked_for(tick(world)) == ["alfa", "charlie"]


def test_a_thousand_organisations_take_few_bounded_ticks_and_lists_of_250(make_world):
    many = tuple(
        SandboxOrganisation(id=f"01HMANY{number:019d}", name=f"org-{number:04d}")
        for number in range(1000)
    )
    world = make_world(many)
    assert LOOK_SECONDS + GRACE_SECONDS < 10
    asked: list[str] = []
    cursor = None
    for _ in range(1000 // WINDOW):
        data = tick(world, cursor)
        sizes = [
            len(each.run_config["ops"]["sweep"]["config"]["organisations"])
            for each in data.run_requests
        ]
        assert max(sizes) <= ORGANISATIONS_PER_SWEEP
        asked += asked_for(data)
        cursor = data.cursor
    assert sorted(asked) == [each.slug for each in many]
    assert cursor == "org-0999"


def test_the_partitions_follow_the_organisations_files(world):
    world.write("delta", "01HSANDB0XDEFS000000000009")
    world.file_of("alfa").unlink()
    world.file_of("bravo").write_text("slug: bravo\nsources: 3\n")
    requests = evaluated(world, "organisations_sensor").dynamic_partitions_requests
    changes = {type(each).__name__: list(each.partition_keys) for each in requests}
    assert changes == {
        "AddDynamicPartitionsRequest": ["delta"],
        "DeleteDynamicPartitionsRequest": ["alfa"],
    }


def test_partitions_in_step_ask_for_nothing(world):
    assert not evaluated(world, "organisations_sensor").dynamic_partitions_requests


def test_a_tick_that_fails_tells_our_message_only(world, monkeypatch):
    monkeypatch.setenv("CRM_PIPELINE_OVERLAP_S", "zoe.canary@example.invalid")
    with pytest.raises(DagsterError) as caught:
        tick(world)
    shown = "".join(traceback.format_exception(caught.value))
    assert "CRM_PIPELINE_OVERLAP_S must be a number" in shown
    assert "canary" not in shown
