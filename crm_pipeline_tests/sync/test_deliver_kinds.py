"""Every kind of object is sent in order; a kind that refers to a stopped one waits."""

from contextlib import closing
from dataclasses import replace

import pytest

from crm_pipeline.core.guards import GuardRules
from crm_pipeline.sandbox import FaultRule, Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline.settings import load_settings
from crm_pipeline.store.ledger import Received
from crm_pipeline.sync.run import sync_organisation
from crm_pipeline.sync.verify import verify
from crm_pipeline.wiring import Runtime

PLUM = SandboxOrganisation(
    id="01HPLUM", name="Plum", slug="plum", customers=20, payments=15, lists=("Loyal Customers",)
)
FILE = """
sources:
  loke:
    base_url: {loke}
    organisation_id: 01HPLUM
    datasets: [customers, payments, list_members]
destinations:
  crm_com:
    base_url: {crm}
    limits: {{calls_per_second: 1000, concurrency: 4}}
    sends: [contacts, memberships, products, purchases]
purchases: {{go_live: "2019-01-01T00:00:00Z"}}
lists:
  - {{id: "{list_id}", name: "Loyal Customers", tag: "LOKE: Loyal Customers"}}
"""


@pytest.fixture
def world(tmp_path):
    with Sandbox(SandboxSettings(organisations=(PLUM,))) as sandbox:
        (folder := tmp_path / "organisations").mkdir()
        list_id = sandbox.loke.tenant("plum").lists.get("Loyal Customers").id
        text = FILE.format(loke=sandbox.loke_url, crm=sandbox.crm_com_url, list_id=list_id)
        (folder / "plum.yaml").write_text(text)
        environ = {
            "CRM_PIPELINE_HOME": str(tmp_path / "home"),
            "CRM_PIPELINE_CONFIG": str(folder),
            "CRM_PIPELINE_TEST": "1",
            "CRM_PIPELINE_SETTLE_MS": "0",
            "LOKE_CLIENT_ID": "sandbox-client",
            "LOKE_CLIENT_SECRET": "sandbox-secret",
            "CRM_COM_KEY_PLUM": PLUM.crm_test_key,
        }
        with Runtime(load_settings(environ)) as runtime:
            yield sandbox, runtime


def guarded(organisation, **limits):
    binding = organisation.destinations["crm_com"]
    plan = replace(binding.plan, guards=GuardRules(**limits))
    return replace(organisation, destinations={"crm_com": replace(binding, plan=plan)})


def sync(runtime, **limits):
    return sync_organisation(runtime.workspace, guarded(runtime.organisation("plum"), **limits))


def test_all_kinds_arrive_and_a_second_sync_sends_nothing(world):
    sandbox, runtime = world
    report = sync(runtime)
    assert report.errors == []
    assert list(report.plans) == [
        "crm_com/product",
        "crm_com",
        "crm_com/membership",
        "crm_com/purchase",
        "crm_com/refund",
    ]
    desk = Desk(sandbox.crm_com, PLUM.crm_test_key)
    purchases = report.applied["crm_com/purchase"].counts["applied"]
    assert purchases == len(desk.purchases()) > 0
    states = [each["state"] for each in desk.purchases()]
    assert states.count("CANCELLED") == report.applied["crm_com/refund"].counts["applied"]
    sandbox.crm_com.requests.clear()
    again = sync(runtime)
    assert again.changes == 0
    assert sandbox.crm_com.requests.count() == 0


def test_every_kind_that_the_crm_lists_is_read_back(world):
    _, runtime = world
    sync(runtime)
    organisation = runtime.organisation("plum")
    binding = organisation.destinations["crm_com"]
    with closing(binding.connect()) as api:
        whole = verify(runtime.workspace, "plum", binding, api)
        some = verify(runtime.workspace, "plum", binding, api, sample=2)
    assert whole.is_clean, whole
    assert some.is_clean, some
    assert whole.checked > 20
    assert some.checked >= 2 * (len(binding.kinds) - 1)  # a source may have no refund


def test_a_catch_up_waits_for_a_pull_of_everything_that_webhooks_tell_of(world):
    _, runtime = world
    sync(runtime)
    ws, organisation = runtime.workspace, runtime.organisation("plum")
    missed = Received(
        organisation="plum",
        source="loke",
        event="catch-up",
        entity_id="",
        dedup="catch-up:1",
        body=b"",
        received_at=ws.clock(),
    )
    ws.ledger.inbox.append([missed])
    sync_organisation(ws, organisation, datasets=["loke/list_members"])
    assert ws.ledger.inbox.counts()["plum"].pending == 1
    sync_organisation(ws, organisation)
    assert "plum" not in ws.ledger.inbox.counts()


def test_kinds_that_refer_to_stopped_contacts_wait_and_products_go_on(world):
    sandbox, runtime = world
    report = sync(runtime, max_creates=15)
    assert [error.code for error in report.errors] == ["plan_guarded"]
    assert list(report.applied) == ["crm_com/product"]
    assert Desk(sandbox.crm_com, PLUM.crm_test_key).purchases() == []
    after = sync(runtime)
    assert after.errors == []
    assert after.applied["crm_com/purchase"].counts["applied"] > 0


def test_whole_lists_are_read_when_due_and_named_ones_alone(world):
    _, runtime = world
    first = sync(runtime)
    assert set(first.pulls) == {"loke/customers", "loke/payments", "loke/list_members"}
    assert set(sync(runtime).pulls) == {"loke/customers", "loke/payments"}
    ws, organisation = runtime.workspace, runtime.organisation("plum")
    narrow = sync_organisation(ws, organisation, datasets=["loke/list_members"])
    assert set(narrow.pulls) == {"loke/list_members"}
    whole = sync_organisation(ws, organisation, is_full=True)
    assert set(whole.pulls) == {"loke/customers", "loke/payments", "loke/list_members"}
    assert whole.changes == 0


def test_a_purchase_without_its_person_is_set_aside_and_sent_by_the_next_full_sync(world):
    sandbox, runtime = world
    refusal = FaultRule(kind="status", status=400, method="POST", path="/contacts", times=None)
    sandbox.crm_com.faults.add(refusal)
    sync(runtime)
    counts = runtime.ledger.rejects.counts("plum")
    assert counts["contact_not_in_crm"] > 0
    assert Desk(sandbox.crm_com, PLUM.crm_test_key).purchases() == []
    sandbox.crm_com.faults.clear()
    whole = sync_organisation(
        runtime.workspace, guarded(runtime.organisation("plum")), is_full=True
    )
    assert whole.errors == []
    assert runtime.ledger.rejects.counts("plum") == {}
    assert len(Desk(sandbox.crm_com, PLUM.crm_test_key).purchases()) > 0
