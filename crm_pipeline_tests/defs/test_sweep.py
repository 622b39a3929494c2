"""The sweep: many organisations in one process, each by itself."""

import pytest

from crm_pipeline.sandbox import FaultRule
from crm_pipeline.store.ledger import this_process
from crm_pipeline_tests.defs.support import events_of, failures_of, metadata_of

STAGES = ("loke/customers", "contacts", "crm_com/plan", "crm_com/applied")


def everything(*slugs: str) -> set[tuple[str, str]]:
    return {(stage, slug) for stage in STAGES for slug in slugs}


def test_a_sweep_brings_every_listed_organisation_up_to_date_and_reports_each_stage(world):
    result = world.run_job("sweep_job", "sweep", organisations=["alfa", "charlie"])
    assert result.success, failures_of(result)
    assert events_of(result) == everything("alfa", "charlie")
    assert [world.contacts(slug) for slug in world.slugs] == [12, 0, 12]
    assert metadata_of(world.instance, "crm_com/applied", "alfa")["changes"] == 12


def test_a_second_sweep_reports_nothing_because_nothing_changed(world):
    world.run_job("sweep_job", "sweep", which="ALL")
    result = world.run_job("sweep_job", "sweep", which="ALL")
    assert result.success
    assert events_of(result) == set()


def test_only_the_organisation_that_changed_is_reported(world):
    world.run_job("sweep_job", "sweep", which="ALL")
    world.sandbox.loke.mutate("bravo", count=2)
    result = world.run_job("sweep_job", "sweep", which="ALL")
    assert events_of(result) == everything("bravo")
    assert metadata_of(world.instance, "loke/customers", "bravo")["rows_landed"] == 2


def test_an_organisation_that_fails_does_not_fail_the_others_and_the_run_is_red(world):
    world.sandbox.loke.uninstall("bravo")
    result = world.run_job("sweep_job", "sweep", which="ALL")
    assert not result.success
    (message,) = failures_of(result).values()
    assert "1 of 3 organisations failed: bravo (organisation_gone)" in message
    assert events_of(result) == everything("alfa", "charlie")


def test_the_failed_organisations_alone_can_be_run_again(world):
    world.sandbox.loke.uninstall("bravo")
    world.run_job("sweep_job", "sweep", which="ALL")
    world.sandbox.loke.install("bravo")
    world.sandbox.loke.requests.clear()
    result = world.run_job("sweep_job", "sweep", which="FAILED")
    assert result.success, failures_of(result)
    assert events_of(result) == everything("bravo")
    assert world.run_job("sweep_job", "sweep", which="FAILED").success


def test_a_backfill_that_failed_for_one_organisation_is_taken_up_by_the_sweep(world):
    world.sandbox.loke.uninstall("bravo")
    world.materialise("loke/customers", *world.slugs)
    world.sandbox.loke.install("bravo")
    result = world.run_job("sweep_job", "sweep", which="FAILED")
    assert events_of(result) == everything("bravo")


def test_an_organisation_that_another_run_works_on_is_passed_over(world):
    with (
        world.runtime() as runtime,
        runtime.ledger.leases.hold("sync:bravo", this_process(), 60),
    ):
        result = world.run_job("sweep_job", "sweep", which="ALL")
    assert result.success, failures_of(result)
    assert events_of(result) == everything("alfa", "charlie")


def test_a_paused_organisation_is_left_out(world):
    world.write("alfa", world.loke_id("alfa"), paused=True)
    assert world.run_job("pause_job", "pause", organisations=["bravo"]).success
    result = world.run_job("sweep_job", "sweep", which="ALL")
    assert result.success
    assert events_of(result) == everything("charlie")


def test_a_broken_file_fails_its_own_organisation_only(world):
    world.file_of("bravo").write_text("slug: bravo\nsources: 3\n")
    result = world.run_job("sweep_job", "sweep", organisations=list(world.slugs))
    assert "bravo (bad_configuration)" in "".join(failures_of(result).values())
    assert events_of(result) == everything("alfa", "charlie")


def test_an_unknown_organisation_fails_by_itself_and_gets_no_partition(world):
    result = world.run_job("sweep_job", "sweep", organisations=["alfa", "nobody"])
    assert "nobody (organisation_unknown)" in "".join(failures_of(result).values())
    assert events_of(result) == everything("alfa")
    assert "nobody" not in world.instance.get_dynamic_partitions("organisation")


def test_a_new_organisation_gets_its_partition_when_it_is_first_swept(world):
    world.instance.delete_dynamic_partition("organisation", "charlie")
    assert world.run_job("sweep_job", "sweep", organisations=["charlie"]).success
    assert "charlie" in world.instance.get_dynamic_partitions("organisation")


def test_a_sweep_without_organisations_says_what_to_do(world):
    result = world.run_job("sweep_job", "sweep", organisations=[])
    assert "set `which` to `ALL` or `FAILED`" in "".join(failures_of(result).values())


@pytest.mark.parametrize("is_full", [False, True])
def test_a_full_sweep_reads_every_page_again(world, is_full):
    world.run_job("sweep_job", "sweep", organisations=["alfa"])
    result = world.run_job("sweep_job", "sweep", organisations=["alfa"], is_full=is_full)
    assert result.success
    assert (("loke/customers", "alfa") in events_of(result)) is is_full


def test_drift_is_found_reported_and_leaves_the_crm_as_it_is(world):
    world.run_job("sweep_job", "sweep", which="ALL")
    world.sandbox.crm_com.mutate("crm_test_alfa", count=2)
    world.sandbox.crm_com.requests.clear()
    result = world.run_job("verify_job", "read_back", which="ALL")
    assert result.success, failures_of(result)
    assert events_of(result) == {("crm_com/drift", slug) for slug in world.slugs}
    assert metadata_of(world.instance, "crm_com/drift", "alfa")["changed"] == 2
    assert metadata_of(world.instance, "crm_com/drift", "bravo")["changed"] == 0
    assert world.writes() == 0


def test_a_read_back_that_fails_for_one_organisation_is_named(world):
    world.run_job("sweep_job", "sweep", which="ALL")
    world.sandbox.crm_com.faults.add(
        FaultRule(kind="status", status=401, organisation="bravo", times=None)
    )
    result = world.run_job("verify_job", "read_back", which="ALL")
    assert "bravo (credentials_refused)" in "".join(failures_of(result).values())
    assert events_of(result) == {("crm_com/drift", slug) for slug in ("alfa", "charlie")}
