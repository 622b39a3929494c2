"""The partitioned assets, end to end: from LOKE's pages to CRM.COM's contacts."""

import pytest

from crm_pipeline.sandbox import FaultRule
from crm_pipeline.store.ledger import this_process
from crm_pipeline_tests.defs.support import failures_of, metadata_of

STAGES = ("loke/customers", "contacts", "crm_com/plan", "crm_com/applied", "crm_com/drift")


def test_one_organisation_goes_from_the_first_page_to_the_crm_and_back(world):
    result = world.materialise("*", "alfa")
    assert result.success, failures_of(result)
    assert world.contacts("alfa") == 12
    assert all(world.materialised(key) == {"alfa"} for key in STAGES)


def digest_of(table):
    """The digest of the only plan in a table of plans or of outcomes."""
    (record,) = table.records
    return record.data["digest"]


def test_an_analyst_finds_counts_digests_times_and_sizes_on_each_materialisation(world):
    assert world.materialise("*", "alfa").success
    landed = metadata_of(world.instance, "loke/customers", "alfa")
    assert landed["dagster/partition_row_count"] == 12
    assert landed["rows_landed"] == 12
    assert landed["size_bytes"] > 0
    assert landed["watermark"] is not None
    contacts = metadata_of(world.instance, "contacts", "alfa")
    assert contacts["changed"] == 12
    plan = metadata_of(world.instance, "crm_com/plan", "alfa")
    assert (plan["create"], plan["update"], plan["changes"]) == (12, 0, 12)
    applied = metadata_of(world.instance, "crm_com/applied", "alfa")
    assert digest_of(applied["outcomes"]) == digest_of(plan["plans"])
    assert applied["applied"] + applied["withheld"] + applied["rejected"] == 12
    drift = metadata_of(world.instance, "crm_com/drift", "alfa")
    assert (drift["checked"], drift["changed"], drift["missing"]) == (12, 0, 0)
    assert all(metadata_of(world.instance, key, "alfa")["duration_seconds"] >= 0 for key in STAGES)


def test_a_second_run_changes_nothing_at_the_crm(world):
    assert world.materialise("*", "alfa").success
    world.sandbox.crm_com.requests.clear()
    assert world.materialise("*", "alfa").success
    assert world.writes() == 0


def test_an_organisation_that_fails_does_not_fail_the_others_and_is_named(world):
    world.sandbox.loke.uninstall("bravo")
    result = world.materialise("loke/customers", "alfa", "bravo", "charlie")
    assert not result.success
    (message,) = failures_of(result).values()
    assert "1 of 3 organisations failed: bravo (organisation_gone)" in message
    assert world.materialised("loke/customers") == {"alfa", "charlie"}


def test_only_the_failed_organisation_is_left_to_run_again(world):
    world.sandbox.loke.uninstall("bravo")
    world.materialise("loke/customers", "alfa", "bravo", "charlie")
    world.sandbox.loke.install("bravo")
    assert world.materialise("loke/customers", "bravo").success
    assert world.materialised("loke/customers") == {"alfa", "bravo", "charlie"}


def test_a_refused_key_of_one_organisation_leaves_the_others_applied(world):
    assert world.materialise("loke/customers contacts crm_com/plan", *world.slugs).success
    world.sandbox.crm_com.faults.add(
        FaultRule(kind="status", status=401, organisation="bravo", times=None)
    )
    result = world.materialise("crm_com/applied", *world.slugs)
    assert "bravo (credentials_refused)" in "".join(failures_of(result).values())
    assert world.materialised("crm_com/applied") == {"alfa", "charlie"}
    assert (world.contacts("alfa"), world.contacts("bravo"), world.contacts("charlie")) == (
        12,
        0,
        12,
    )


def test_the_step_that_failed_is_the_red_one(world):
    result = world.materialise("crm_com/applied", "alfa")
    assert list(failures_of(result)) == ["crm_com__applied.load_plans"]
    world.write("alfa", world.loke_id("alfa"), guards={"max_creates": 3})
    assert world.materialise("loke/customers contacts crm_com/plan", "alfa").success
    result = world.materialise("crm_com/applied", "alfa")
    assert list(failures_of(result)) == ["crm_com__applied.check_guards"]
    assert world.writes() == 0


def test_a_guarded_plan_passes_after_a_person_approved_its_digest(world):
    world.write("alfa", world.loke_id("alfa"), guards={"max_creates": 3})
    assert world.materialise("loke/customers contacts crm_com/plan", "alfa").success
    digest = digest_of(metadata_of(world.instance, "crm_com/plan", "alfa")["plans"])
    approval = {"organisation": "alfa", "destination": "crm_com", "digest": digest[:12]}
    assert world.run_job("approve_plan_job", "approve", approved_by="staff 7", **approval).success
    assert world.materialise("crm_com/applied", "alfa").success
    assert world.contacts("alfa") == 12


def test_a_paused_organisation_is_not_touched(world):
    assert world.run_job("pause_job", "pause", organisations=["bravo"]).success
    result = world.materialise("loke/customers", "alfa", "bravo", "charlie")
    assert "bravo is paused" in str(failures_of(result)) or "bravo (" in str(failures_of(result))
    assert world.materialised("loke/customers") == {"alfa", "charlie"}
    assert world.run_job("pause_job", "pause", organisations=["bravo"], is_paused=False).success
    assert world.materialise("loke/customers", "bravo").success


def test_an_organisation_at_work_elsewhere_is_left_alone(world):
    with (
        world.runtime() as runtime,
        runtime.ledger.leases.hold("sync:alfa", this_process(), 60),
    ):
        result = world.materialise("loke/customers", "alfa")
    assert not result.success
    assert world.materialised("loke/customers") == set()


@pytest.mark.parametrize("is_full", [False, True])
def test_a_full_run_and_an_incremental_one_land_the_same_people(world, is_full):
    assert world.materialise("loke/customers", "alfa").success
    result = world.materialise(
        "loke/customers", "alfa", config={"loke__customers": {"config": {"is_full": is_full}}}
    )
    assert result.success, failures_of(result)
    assert metadata_of(world.instance, "loke/customers", "alfa")["is_sweep"] is is_full
