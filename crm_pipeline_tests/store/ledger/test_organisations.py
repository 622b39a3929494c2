"""Each organisation's switch, its last run, and what waits."""

import datetime as dt

import pytest
import sqlalchemy as sa

from crm_pipeline.store.ledger import OrganisationStatus
from crm_pipeline.store.ledger.engine import KEYS_A_QUERY
from crm_pipeline_tests.store.ledger.samples import (
    ACME,
    NOW,
    OF_CRM,
    header,
    intent,
    read,
    receipt,
    reject,
)


def test_an_organisation_that_was_never_seen_has_a_state(ledger):
    assert ledger.organisations.status(ACME) == OrganisationStatus(organisation=ACME)
    assert not ledger.organisations.is_paused(ACME)
    assert ledger.organisations.status_all([]) == {}


def test_pausing_is_remembered_until_it_is_taken_back(ledger, other):
    ledger.organisations.set_paused(ACME, is_paused=True)
    assert other.organisations.is_paused(ACME)
    assert other.organisations.paused() == {ACME}
    assert other.organisations.status(ACME).is_paused
    ledger.organisations.set_paused(ACME, is_paused=False)
    assert other.organisations.paused() == frozenset()


def test_a_success_ends_a_failure_and_a_failure_keeps_the_last_success(ledger, clock):
    ledger.organisations.record_success(ACME)
    clock.forward(60)
    ledger.organisations.record_failure(ACME, "unreachable", "No connection.")
    status = ledger.organisations.status(ACME)
    assert (status.last_success, status.failed_at) == (NOW, clock.now)
    assert (status.failure_code, status.failure_message) == ("unreachable", "No connection.")
    ledger.organisations.record_success(ACME)
    status = ledger.organisations.status(ACME)
    assert (status.last_success, status.failed_at) == (clock.now, None)
    assert (status.failure_code, status.failure_message) == (None, None)


def test_the_state_counts_what_waits_what_is_unknown_and_what_was_set_aside(ledger, lease, clock):
    ledger.plans.save(header(creates=5, created_at=NOW - dt.timedelta(seconds=90)), "applying")
    ledger.outbox.begin(*OF_CRM, [intent("loke:1"), intent("loke:2")], lease)
    ledger.outbox.settle(
        *OF_CRM, [receipt("loke:1"), receipt("loke:2", None), receipt("loke:3")], lease
    )
    ledger.rejects.add(ACME, "loke", [reject("a"), reject("b")])
    ledger.watermarks.commit(ACME, "loke", "customers", read(), expected=None)
    ledger.watermarks.commit(ACME, "loke", "orders", read(at=None), expected=None)
    clock.forward(10)
    assert ledger.organisations.status(ACME) == OrganisationStatus(
        organisation=ACME,
        outbox_pending=3,
        unknown=1,
        rejected=2,
        watermarks={"loke/customers": NOW, "loke/orders": None},
        oldest_pending_seconds=100.0,
    )


@pytest.mark.parametrize("status", ["applied", "superseded"])
def test_a_plan_that_is_over_leaves_nothing_waiting(ledger, status):
    ledger.plans.save(header(), "planned")
    ledger.plans.set_status(*OF_CRM, "p1", status)
    assert ledger.organisations.status(ACME).outbox_pending == 0


def test_an_empty_plan_waits_for_nothing(ledger):
    ledger.plans.save(header(creates=0), "planned")
    state = ledger.organisations.status(ACME)
    assert (state.outbox_pending, state.oldest_pending_seconds) == (0, None)


def statements(ledger, slugs):
    counted = []
    database = ledger._database

    def count(_connection, _cursor, statement, *_rest):
        counted.append(statement)

    engine = database._reader if database.is_sqlite else database._writer
    sa.event.listen(engine, "before_cursor_execute", count)
    states = ledger.organisations.status_all(slugs)
    sa.event.remove(engine, "before_cursor_execute", count)
    return states, sum(statement.startswith("SELECT") for statement in counted)


def test_ten_thousand_organisations_cost_as_many_queries_as_one(ledger):
    slugs = [f"org-{number}" for number in range(KEYS_A_QUERY + 1)]
    for slug in (slugs[0], slugs[-1], "unasked"):
        ledger.organisations.set_paused(slug, is_paused=True)
        ledger.plans.save(header(organisation=slug), "planned")
        ledger.rejects.add(slug, "loke", [reject()])
    one, queries_for_one = statements(ledger, slugs[:1])
    states, queries = statements(ledger, slugs)
    assert queries == queries_for_one == 7
    assert states.keys() == set(slugs)
    assert [slug for slug, state in states.items() if state.is_paused] == [slugs[0], slugs[-1]]
    assert states[slugs[0]] == one[slugs[0]]
    assert (states[slugs[-1]].outbox_pending, states[slugs[-1]].rejected) == (2, 1)
