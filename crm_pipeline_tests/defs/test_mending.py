"""Rejects tried again and a plan taken back, from Dagster."""

from crm_pipeline.sandbox import FaultRule
from crm_pipeline_tests.defs.support import failures_of


def test_rejects_are_tried_again_from_dagster_and_stay_red_while_some_stay(world):
    refusal = FaultRule(kind="status", status=400, method="POST", path="/contacts", times=None)
    world.sandbox.crm_com.faults.add(refusal)
    world.run_job("sweep_job", "sweep", organisations=["alfa"])
    chosen = {"organisation": "alfa", "is_all": True, "started_by": "staff 7"}
    (message,) = failures_of(world.run_job("retry_rejects_job", "retry", **chosen)).values()
    assert "12 of 12 rejects of alfa stay" in message
    world.sandbox.crm_com.faults.clear()
    assert world.run_job("retry_rejects_job", "retry", **chosen).success
    assert world.contacts("alfa") == 12


def test_a_plan_is_looked_at_and_then_taken_back_from_dagster(world):
    world.run_job("sweep_job", "sweep", organisations=["alfa"])
    changed = world.sandbox.loke.mutate("alfa", count=1, fields={"firstName": "Wrong"})
    world.run_job("sweep_job", "sweep", organisations=["alfa"])
    with world.runtime() as runtime:
        digest = runtime.ledger.plans.latest("alfa", "crm_com", "contact").header.digest
    chosen = {"organisation": "alfa", "digest": digest, "started_by": "staff 7"}
    assert world.run_job("undo_plan_job", "undo", **chosen).success
    assert _name(world, changed[0]) == "Wrong"
    assert world.run_job("undo_plan_job", "undo", is_dry_run=False, **chosen).success
    assert _name(world, changed[0]) != "Wrong"


def _name(world, source_id):
    contact = world.sandbox.crm_com.contact("crm_test_alfa", f"loke:{source_id}")
    return contact["first_name"]
