"""Intents and receipts: each call writes all of it, or nothing."""

from collections.abc import Callable

import pytest

from crm_pipeline.errors import BugError, LeaseHeldError, TryLaterError
from crm_pipeline.store.ledger import Ledger
from crm_pipeline.store.ledger.leases import require
from crm_pipeline_tests.store.ledger.conformance.workbench import (
    ANOTHER_CONTAINER,
    CRM,
    KIND,
    ORG,
    SimulatedClock,
    consent,
    intent,
    receipt,
)

HOLD = ("apply:acme", ANOTHER_CONTAINER, 60)


def test_no_receipts_are_no_work_and_a_lost_lease_releases_nothing(
    ledger: Ledger, clock: SimulatedClock
) -> None:
    with ledger.leases.hold(*HOLD) as lease:
        ledger.outbox.settle(ORG, CRM, [], lease)
        ledger.outbox.release(ORG, CRM, "plan-a", [], lease=lease)
        clock.pass_seconds(61)
        with ledger.leases.hold(*HOLD), pytest.raises(LeaseHeldError):
            ledger.outbox.release(ORG, CRM, "plan-a", [], lease=lease)


def test_one_bad_receipt_takes_the_whole_group_back(ledger: Ledger) -> None:
    with ledger.leases.hold(*HOLD) as lease:
        ledger.outbox.begin(ORG, CRM, [intent("a"), intent("b")], lease)
        with pytest.raises(BugError, match="refused a statement"):
            ledger.outbox.settle(ORG, CRM, [receipt("a"), receipt("b", reason=None)], lease)
    assert ledger.outbox.outcomes(ORG, CRM, "plan-a") == {}
    assert ledger.applied.count(ORG, CRM, KIND) == 0
    assert len(ledger.outbox.unfinished(ORG, CRM)) == 2


def test_a_take_over_waits_for_a_receipt_that_is_being_written(
    ledger: Ledger, open_ledger: Callable[..., Ledger], clock: SimulatedClock
) -> None:
    other = open_ledger(busy_seconds=0.1)
    lease = ledger.leases._take(*HOLD)
    clock.pass_seconds(61)
    with ledger._database.write() as connection:
        require(connection, lease)
        with pytest.raises(TryLaterError):
            other.leases._take(*HOLD)
    assert other.leases._take(*HOLD).generation == lease.generation + 1


def test_a_bulk_of_answers_is_whole_or_absent(ledger: Ledger) -> None:
    many = [consent(f"k{number}") for number in range(3_000)]
    with pytest.raises(BugError, match="refused a statement"):
        ledger.consents.append(ORG, [*many, consent("bad", origin=None)])
    assert ledger.consents.count(ORG) == 0
    ledger.consents.append(ORG, many)
    assert ledger.consents.count(ORG) == 3_000
