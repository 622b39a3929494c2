"""Plans, receipts and rules of one kind of object say nothing about another."""

from dataclasses import replace

from crm_pipeline_tests.store.ledger.samples import OF_CRM, header, reject


def of_kind(kind, digest, **more):
    return replace(header(digest=digest, **more), object_kind=kind)


def test_a_plan_supersedes_older_ones_of_its_own_kind_only(ledger):
    ledger.plans.save(of_kind("contact", "c1"), "planned")
    ledger.plans.save(of_kind("purchase", "p1"), "planned")
    ledger.plans.save(of_kind("purchase", "p2"), "planned")
    status = {each.header.digest: each.status for each in ledger.plans.list(*OF_CRM)}
    assert status == {"c1": "planned", "p1": "superseded", "p2": "planned"}


def test_the_newest_plan_is_asked_for_by_kind_or_of_any(ledger):
    ledger.plans.save(of_kind("purchase", "p1"), "planned")
    ledger.plans.save(of_kind("contact", "c1"), "planned")
    assert ledger.plans.latest(*OF_CRM).header.digest == "c1"
    assert ledger.plans.latest(*OF_CRM, "purchase").header.digest == "p1"
    assert ledger.plans.latest(*OF_CRM, "product") is None
    newest = [each.header.digest for each in ledger.plans.newest(*OF_CRM)]
    assert newest == ["c1", "p1"]


def test_a_stage_knows_the_version_of_its_rules_even_after_a_step_back(ledger):
    stages = ledger.stages
    assert not stages.is_made_by("acme", "resolve:purchases", "v1")
    stages.set_made_by("acme", "resolve:purchases", "v1")
    stages.set_made_by("acme", "resolve:purchases", "v2")
    stages.set_made_by("acme", "resolve:purchases", "v1")
    assert stages.is_made_by("acme", "resolve:purchases", "v1")
    assert not stages.is_made_by("acme", "resolve:products", "v1")
    assert stages.position("acme", "resolve:purchases") == 0


def test_rejects_of_one_kind_are_cleared_without_those_of_another(ledger):
    both = [replace(reject(), dataset=kind, key="loke:1") for kind in ("contact", "membership")]
    ledger.rejects.add("acme", "crm_com", both)
    stage = both[0].stage
    assert ledger.rejects.clear("acme", "crm_com", stage, ["loke:1"], "contact") == 1
    (left,) = ledger.rejects.list("acme")
    assert left.reject.dataset == "membership"
