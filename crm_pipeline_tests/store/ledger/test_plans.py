"""Plan headers, what became of them, and approvals."""

import datetime as dt

from crm_pipeline.core.records import GuardVerdict
from crm_pipeline.store.ledger import Approval, StoredPlan
from crm_pipeline_tests.store.ledger.samples import NOW, OF_CRM, header, receipt


def statuses(ledger):
    return {plan.header.digest: plan.status for plan in ledger.plans.list(*OF_CRM)}


def test_a_plan_is_read_back_whole(ledger):
    guards = (GuardVerdict(guard="max_creates", passed=False, message="2 of 1"),)
    plan = header()
    plan = type(plan)(**{name: getattr(plan, name) for name in plan.__slots__} | {"guards": guards})
    ledger.plans.save(plan, "guarded")
    assert ledger.plans.latest(*OF_CRM) == StoredPlan(header=plan, status="guarded")
    assert ledger.plans.get(*OF_CRM, "p1") == StoredPlan(header=plan, status="guarded")


def test_without_plans_there_is_none(ledger):
    assert ledger.plans.latest(*OF_CRM) is None
    assert ledger.plans.get(*OF_CRM, "p1") is None
    assert ledger.plans.list(*OF_CRM) == []


def test_a_newer_plan_supersedes_those_that_are_not_done(ledger):
    for digest, status in (("p1", "applied"), ("p2", "partly"), ("p3", "planned")):
        ledger.plans.save(header(digest), "planned")
        ledger.plans.set_status(*OF_CRM, digest, status)
    ledger.plans.save(header("p4"), "guarded")
    assert statuses(ledger) == {
        "p4": "guarded",
        "p3": "superseded",
        "p2": "superseded",
        "p1": "applied",
    }
    assert list(statuses(ledger)) == ["p4", "p3", "p2", "p1"]
    assert ledger.plans.latest(*OF_CRM).header.digest == "p4"


def test_plans_of_other_organisations_are_left_alone(ledger):
    ledger.plans.save(header("p1", organisation="blue"), "planned")
    ledger.plans.save(header("p2"), "planned")
    assert ledger.plans.latest("blue", "crm_com").status == "planned"
    assert ledger.plans.get(*OF_CRM, "p1") is None


def test_a_plan_that_comes_again_is_the_newest_from_its_new_start(ledger, lease):
    ledger.plans.save(header("p1"), "planned")
    ledger.outbox.settle(*OF_CRM, [receipt()], lease)
    ledger.plans.save(header("p2"), "planned")
    ledger.plans.save(header("p1", base=9), "planned")
    newest = ledger.plans.latest(*OF_CRM)
    assert (newest.header.digest, newest.header.base) == ("p1", 9)
    assert statuses(ledger) == {"p1": "planned", "p2": "superseded"}
    assert ledger.organisations.status("acme").outbox_pending == 1


def test_plans_are_found_by_the_beginning_of_their_digest(ledger):
    for digest in ("abc1", "abc2", "xabc"):
        ledger.plans.save(header(digest), "planned")
    found = ledger.plans.find(*OF_CRM, "abc")
    assert [plan.header.digest for plan in found] == ["abc2", "abc1"]
    assert ledger.plans.find(*OF_CRM, "%") == []


def test_the_list_is_as_long_as_asked_for(ledger):
    for number in range(4):
        ledger.plans.save(header(f"p{number}"), "planned")
    assert [plan.header.digest for plan in ledger.plans.list(*OF_CRM, 2)] == ["p3", "p2"]


def test_an_approval_is_of_one_plan_and_the_last_one_counts(ledger, clock):
    assert ledger.plans.approval(*OF_CRM, "p1") is None
    for by in ("ana", "bo"):
        expires_at = clock.now + dt.timedelta(hours=24)
        ledger.plans.approve(*OF_CRM, "p1", by=by, expires_at=expires_at)
        clock.forward(60)
    assert ledger.plans.approval(*OF_CRM, "p1") == Approval(
        approved_by="bo",
        approved_at=NOW + dt.timedelta(seconds=60),
        expires_at=NOW + dt.timedelta(hours=24, seconds=60),
    )
    assert ledger.plans.approval(*OF_CRM, "p2") is None
