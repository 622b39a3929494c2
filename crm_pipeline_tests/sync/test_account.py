"""Moving to another CRM account: only when no write is open, and only what belongs to it."""

from dataclasses import replace

import pytest

from crm_pipeline.errors import ConfigurationError, LeaseHeldError
from crm_pipeline.store.ledger import Intent
from crm_pipeline.sync.account import move_account, require_same_account
from crm_pipeline_tests.sync.workbench import ORGANISATION, Workbench, contact

OF_CONTACTS = (ORGANISATION, "crm_com", "contact")


def test_a_move_waits_until_every_write_has_an_outcome(bench: Workbench):
    bench.bring({"loke:1": contact()})
    intent = Intent(
        object_kind="contact",
        key="loke:2",
        plan_digest="d",
        seq=0,
        kind="create",
        fingerprint="f",
    )
    with bench.ws.ledger.leases.hold("apply:acme:crm_com", "somebody", 60) as lease:
        with pytest.raises(LeaseHeldError):
            move_account(bench.ws, ORGANISATION, bench.binding)
        bench.ws.ledger.outbox.begin(ORGANISATION, "crm_com", [intent], lease)
    with pytest.raises(ConfigurationError, match=r"1 writes .* no outcome.* Nothing was changed"):
        move_account(bench.ws, ORGANISATION, bench.binding)
    assert bench.ws.ledger.applied.count(*OF_CONTACTS) == 1


def test_a_move_forgets_one_destination_of_one_organisation_and_no_consent(bench: Workbench):
    bench.bring({"loke:1": contact(email_opt_out=False)})
    bench.sandbox.crm_com.mutate("crm_test_acme", count=1)
    bench.verify()
    said = bench.ws.ledger.consents.count(ORGANISATION)
    bench.ws.ledger.stages.advance(ORGANISATION, "plan:other", 7)
    bench.ws.ledger.accounts.claim("other", "crm_com", "theirs")
    assert move_account(bench.ws, ORGANISATION, bench.binding)["objects"] == 1
    ledger = bench.ws.ledger
    assert ledger.applied.count(*OF_CONTACTS) == 0
    assert ledger.stages.position(ORGANISATION, "plan:crm_com") == 0
    assert ledger.stages.position(ORGANISATION, "plan:other") == 7
    assert ledger.accounts.of("other", "crm_com") == "theirs"
    assert ledger.consents.count(ORGANISATION) == said
    assert bench.ws.lake.row_count(ORGANISATION, "drift/crm_com") == 0


def test_state_stays_with_its_account_whoever_asks_next(bench: Workbench):
    bench.bring({"loke:1": contact()})
    other = replace(bench.binding, account="another")
    with pytest.raises(ConfigurationError):
        require_same_account(bench.ws, ORGANISATION, other)
    require_same_account(bench.ws, ORGANISATION, bench.binding)
