"""The applied state: keyed reads, media, and the whole of it as Arrow."""

import pytest

from crm_pipeline.core.records import AppliedObject
from crm_pipeline.store.ledger import AppliedMedia, streaming
from crm_pipeline.store.ledger.applied import STREAM_COLUMNS
from crm_pipeline.store.ledger.engine import KEYS_A_QUERY
from crm_pipeline_tests.store.ledger.samples import (
    ACME,
    CRM,
    KIND,
    NOW,
    OF_CONTACTS,
    OF_CRM,
    change,
    receipt,
)

BATCH_ROWS = 10


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(streaming, "BATCH_ROWS", BATCH_ROWS)


def settle(ledger, lease, *receipts, organisation=ACME):
    ledger.outbox.settle(organisation, CRM, receipts, lease)


def test_an_acknowledged_object_is_read_back_whole(ledger, lease):
    settle(ledger, lease, receipt(email="e1"))
    assert ledger.applied.get_many(*OF_CONTACTS, ["loke:1", "loke:2"]) == {
        "loke:1": AppliedObject(
            key="loke:1",
            crm_id="crm-loke:1",
            fingerprint="f1",
            fields={"first_name": "Mina", "last_name": "Okafor"},
            withheld=("phone_country", "phone_number"),
            plan_digest="p1",
            version_at=change().version_at,
            applied_at=NOW,
        )
    }


def test_a_later_acknowledgement_replaces_the_object(ledger, lease, clock):
    settle(ledger, lease, receipt())
    clock.forward(1)
    settle(ledger, lease, receipt(plan="p2", name="Mira", fingerprint="f2"))
    applied = ledger.applied.get_many(*OF_CONTACTS, ["loke:1"])["loke:1"]
    assert (applied.fields["first_name"], applied.fingerprint) == ("Mira", "f2")
    assert applied.applied_at == clock.now
    assert ledger.applied.count(*OF_CONTACTS) == 1


def test_what_the_crm_holds_and_what_waits_for_a_medium_is_applied(ledger, lease):
    endings = ("applied", "unchanged", "rejected", "withheld", "superseded", None)
    settle(ledger, lease, *(receipt(f"loke:{ending}", ending) for ending in endings))
    keys = [f"loke:{ending}" for ending in endings]
    kept = {"loke:applied", "loke:unchanged", "loke:withheld"}
    assert ledger.applied.get_many(*OF_CONTACTS, keys).keys() == kept


def test_more_keys_than_fit_into_one_query_are_found(ledger, lease):
    keys = [f"loke:{number}" for number in range(KEYS_A_QUERY + 5)]
    settle(ledger, lease, *(receipt(key) for key in keys))
    assert ledger.applied.get_many(*OF_CONTACTS, keys).keys() == set(keys)
    assert ledger.outbox.done_keys(*OF_CRM, "p1", [*keys, "loke:x"]) == set(keys)


def test_organisations_do_not_see_each_other(ledger, lease):
    settle(ledger, lease, receipt(email="e1"), organisation="blue")
    assert ledger.applied.get_many(*OF_CONTACTS, ["loke:1"]) == {}
    assert ledger.applied.by_media(*OF_CONTACTS, ["e1"]) == []
    assert ledger.applied.count(*OF_CONTACTS) == 0
    assert ledger.applied.base(*OF_CRM) == 0
    assert list(ledger.applied.stream(*OF_CONTACTS)) == []


def test_objects_are_found_by_either_medium(ledger, lease):
    settle(
        ledger,
        lease,
        receipt("loke:1", email="e1", phone="m"),
        receipt("loke:2", email="m"),
        receipt("loke:3", email="e3", phone="p3"),
    )
    found = sorted(ledger.applied.by_media(*OF_CONTACTS, {"m", "e1", "none"}), key=str)
    assert found == [
        AppliedMedia(key="loke:1", email_digest="e1", phone_digest="m"),
        AppliedMedia(key="loke:2", email_digest="m", phone_digest=None),
    ]


def test_the_base_is_the_newest_receipt_of_other_plans(ledger, lease):
    settle(ledger, lease, receipt())
    first = ledger.applied.base(*OF_CRM)
    assert first > 0
    settle(ledger, lease, receipt("loke:2", plan="p2"))
    second = ledger.applied.base(*OF_CRM)
    assert second > first
    assert ledger.applied.base(*OF_CRM, except_plan="p2") == first
    assert ledger.applied.base(*OF_CRM, except_plan="p1") == second
    settle(ledger, lease, receipt("loke:3"))
    settle(ledger, lease, receipt("loke:4", plan="p3"))
    third = ledger.applied.base(*OF_CRM)
    assert second < ledger.applied.base(*OF_CRM, except_plan="p3") < third


def test_every_receipt_moves_the_base_whatever_else_has_moved_it(ledger, lease):
    """The same change, planned again after it was refused, has to be another plan."""
    settle(ledger, lease, receipt())
    for _ in range(3):
        before = ledger.applied.base(*OF_CRM)
        ledger.accounts.forget(*OF_CRM)
        assert ledger.applied.base(*OF_CRM) > before
    before = ledger.applied.base(*OF_CRM)
    settle(ledger, lease, receipt("loke:2", "rejected", plan="p2"))
    assert ledger.applied.base(*OF_CRM) > before


@pytest.mark.usefixtures("small_batches")
@pytest.mark.parametrize("count", [1, BATCH_ROWS, 2 * BATCH_ROWS + 3])
def test_the_stream_gives_every_object_once(ledger, lease, count):
    keys = [f"loke:{number:06}" for number in range(count)]
    settle(ledger, lease, *(receipt(key, email="e", phone=None) for key in reversed(keys)))
    table = ledger.applied.stream(*OF_CONTACTS).read_all().sort_by("key")
    assert table.column_names == list(STREAM_COLUMNS)
    assert table["key"].to_pylist() == keys
    assert table.slice(count - 1).to_pylist()[0] == {
        "key": keys[-1],
        "crm_id": f"crm-{keys[-1]}",
        "fingerprint": "f1",
        "withheld": '["phone_country","phone_number"]',
        "email_digest": "e",
        "phone_digest": None,
    }


@pytest.mark.usefixtures("small_batches")
def test_a_stream_that_is_left_early_gives_its_connection_back(ledger, lease):
    settle(ledger, lease, *(receipt(f"loke:{number}") for number in range(15)))
    for _ in range(17):  # more than a pool has connections
        reader = ledger.applied.stream(ACME, CRM, KIND)
        assert reader.read_next_batch().num_rows == BATCH_ROWS
        del reader
    assert ledger.applied.count(*OF_CONTACTS) == 15


@pytest.mark.usefixtures("small_batches")
def test_a_stream_shows_one_moment_while_others_write(ledger, lease):
    count = 3 * BATCH_ROWS
    settle(ledger, lease, *(receipt(f"loke:{number:06}") for number in range(count)))
    reader = ledger.applied.stream(*OF_CONTACTS)
    first = reader.read_next_batch()
    settle(ledger, lease, receipt("loke:999999"))
    assert first.num_rows + sum(batch.num_rows for batch in reader) == count
