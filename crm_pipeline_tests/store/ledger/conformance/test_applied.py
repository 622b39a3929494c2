"""The applied state: keyed reads, media, and everything as Arrow."""

import pytest
import sqlalchemy as sa

from crm_pipeline.errors import LedgerDamagedError
from crm_pipeline.store.ledger import AppliedMedia, Ledger
from crm_pipeline.store.ledger.schema import applied
from crm_pipeline_tests.store.ledger.conformance.workbench import (
    ANOTHER_CONTAINER,
    CRM,
    KIND,
    ORG,
    START,
    change,
    receipt,
)


def settle(ledger: Ledger, *receipts: object) -> None:
    with ledger.leases.hold("apply", ANOTHER_CONTAINER, 60) as lease:
        ledger.outbox.settle(ORG, CRM, receipts, lease)


def fill(ledger: Ledger, count: int) -> None:
    rows = [
        {
            "organisation": ORG,
            "destination": CRM,
            "object_kind": KIND,
            "key": f"loke:{number:06d}",
            "crm_id": f"crm-{number}",
            "fingerprint": f"{number:064x}",
            "fields": '{"city":"Perth"}',
            "withheld": "[]",
            "email_digest": None if number % 2 else f"e{number}",
            "phone_digest": f"p{number}",
            "plan_digest": "plan-a",
            "version_at": None,
            "applied_at": 1,
        }
        for number in range(count)
    ]
    with ledger._database.write() as connection:
        connection.execute(sa.insert(applied), rows)


def test_an_object_comes_back_as_it_was_acknowledged(ledger: Ledger) -> None:
    odd = change(
        "löke:✓", after={"name": "Ünï \x00 ' \" ✓", "n": -(2**60), "ok": False, "no": None}
    )
    settle(ledger, receipt("x", change=odd, withheld=("name", "ok"), crm_id=None))
    found = ledger.applied.get_many(ORG, CRM, KIND, [odd.key, "unknown"])
    assert list(found) == [odd.key]
    one = found[odd.key]
    assert (one.fields, one.withheld, one.crm_id) == (odd.after, ("name", "ok"), "")
    assert (one.version_at, one.applied_at, one.plan_digest) == (START, START, "plan-a")


def test_an_object_is_found_by_either_medium_and_only_among_its_kind(ledger: Ledger) -> None:
    other = change("c", object_kind="company")
    settle(
        ledger,
        receipt("a", email_digest="m1", phone_digest=None),
        receipt("b", email_digest=None, phone_digest="m1"),
        receipt("c", change=other, email_digest="m1"),
    )
    found = ledger.applied.by_media(ORG, CRM, KIND, ["m1", "m2"])
    assert sorted(found, key=lambda one: one.key) == [
        AppliedMedia(key="a", email_digest="m1", phone_digest=None),
        AppliedMedia(key="b", email_digest=None, phone_digest="m1"),
    ]
    assert ledger.applied.by_media("other", CRM, KIND, ["m1"]) == []


def test_looking_media_up_goes_through_their_index(ledger: Ledger) -> None:
    if not ledger._database.is_sqlite:
        pytest.skip("Postgres chooses by statistics; this is about SQLite's plan")
    fill(ledger, 10)
    seen: list[str] = []
    engine = ledger._database._reader
    sa.event.listen(engine, "before_cursor_execute", lambda *call: seen.append((call[2], call[3])))
    ledger.applied.by_media(ORG, CRM, KIND, [f"p{number}" for number in range(1_000)])
    with ledger._database.read() as connection:
        plans = [
            connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            for statement, parameters in seen
            if statement.startswith("SELECT")
        ]
    for plan, name in zip(plans, ("email", "phone"), strict=True):
        assert f"INDEX applied_{name} (organisation=? AND destination=? AND {name}_dig" in str(plan)


def test_a_row_that_is_not_ours_is_damage_and_not_shown(ledger: Ledger) -> None:
    fill(ledger, 1)
    with ledger._database.write() as connection:
        connection.execute(sa.update(applied).values(fields='{"email":"ann@example.org"'))
    with pytest.raises(LedgerDamagedError) as caught:
        ledger.applied.get_many(ORG, CRM, KIND, ["loke:000000"])
    assert "ann@" not in str(caught.value)
