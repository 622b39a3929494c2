"""Landed payments, list members and catalogues become objects; full and incremental agree."""

import json

import pytest

from crm_pipeline.core.purchases import Place, PurchaseRules
from crm_pipeline.sync.resolve import (
    MembershipRules,
    ProductRules,
    PurchasingRules,
    resolve_memberships,
    resolve_products,
    resolve_purchases,
)
from crm_pipeline_tests.sync.landing import ORGANISATION, Ground

RULES = PurchasingRules(payments=PurchaseRules())


@pytest.fixture
def ground(tmp_path):
    ground = Ground(tmp_path)
    yield ground
    ground.close()


def payment(row_id, **changes):
    return {
        "id": row_id,
        "state": "COMPLETED",
        "completed_at": "2026-05-06T22:10:11Z",
        "currency": "AUD",
        "total": 1450,
        "customer_id": "01C",
        "items": json.dumps([{"id": "F1", "name": "Flat white", "amount": 1450}]),
        **changes,
    }


def purchases(ground, rules=RULES, *, is_full=False):
    return resolve_purchases(ground.ws, ORGANISATION, rules, is_full=is_full)


def test_payments_become_purchases_and_their_refunds(ground):
    ground.land("loke", "payments", payment("a"), payment("b", customer_id=None))
    report = purchases(ground)
    assert (report.rows, report.is_full, report.issues) == (1, True, {"anonymous": 1})
    refunded = payment("a", state="REFUNDED", refunded_at="2026-05-07T01:00:00Z")
    ground.land("loke", "payments", refunded)
    assert purchases(ground).rows == 1
    assert ground.desired("purchases").keys() == {"loke:a"}
    assert ground.desired("refunds")["loke:a:refund"]["purchase_key"] == "loke:a"
    assert purchases(ground).rows == 0


def test_a_full_pass_gives_what_the_incremental_ones_gave(ground):
    ground.land("loke", "payments", payment("a"), payment("b"))
    purchases(ground)
    ground.land("loke", "payments", payment("c", total=None), payment("d", total=900))
    purchases(ground)
    ground.land("loke", "payments", payment("b", state="REFUNDED"))
    purchases(ground)
    before = ground.desired("purchases"), ground.desired("refunds")
    report = purchases(ground, is_full=True)
    assert report.is_full
    assert (ground.desired("purchases"), ground.desired("refunds")) == before


def test_other_rules_make_everything_anew_and_so_do_the_old_ones_again(ground):
    ground.land("loke", "payments", payment("a", location_id="LOC1"))
    purchases(ground)
    placed = PurchaseRules(places={"LOC1": Place(organisation_id="o-1")})
    assert purchases(ground, PurchasingRules(payments=placed)).is_full
    assert ground.desired("purchases")["loke:a"]["organisation_id"] == "o-1"
    assert purchases(ground).is_full
    assert "organisation_id" not in ground.desired("purchases")["loke:a"]
    assert not purchases(ground).is_full


def test_a_payment_that_cannot_be_a_purchase_is_set_aside_until_it_can(ground):
    ground.land("loke", "payments", payment("a", total=None), payment("b"))
    assert purchases(ground).rejects == 1
    assert ground.ws.ledger.rejects.counts(ORGANISATION) == {"total_missing": 1}
    ground.land("loke", "payments", payment("a"))
    assert purchases(ground).rejects == 0
    assert ground.ws.ledger.rejects.counts(ORGANISATION) == {}


def test_a_refund_of_unknown_amount_is_shown_to_a_person_and_its_purchase_is_kept(ground):
    ground.land("loke", "payments", payment("a", refunded_at="2026-05-07T01:00:00Z"))
    report = purchases(ground)
    assert report.issues == {"refund_amount_unknown": 1}
    assert ground.ws.ledger.rejects.counts(ORGANISATION) == {"refund_amount_unknown": 1}
    assert ground.desired("purchases").keys() == {"loke:a"}
    assert ground.desired("refunds") == {}


def member(list_id, customer_id, *, is_member=True):
    return {
        "id": f"{list_id}/{customer_id}",
        "list_id": list_id,
        "customer_id": customer_id,
        "is_member": is_member,
    }


LISTS = MembershipRules(tags={"L1": "tag-vip", "L2": "tag-breakfast"})


def memberships(ground, rules=LISTS, *, is_full=False):
    return resolve_memberships(ground.ws, ORGANISATION, rules, is_full=is_full)


def tags(ground):
    return {
        key: json.loads(fields["tags"]) for key, fields in ground.desired("memberships").items()
    }


def test_everybody_carries_the_tags_of_their_opted_in_lists(ground):
    rows = [member("L1", "a"), member("L2", "a"), member("L1", "b"), member("L9", "c")]
    ground.land("loke", "list_members", *rows)
    assert memberships(ground).rows == 2
    assert tags(ground) == {"loke:a": ["tag-breakfast", "tag-vip"], "loke:b": ["tag-vip"]}
    assert json.loads(ground.desired("memberships")["loke:b"]["ours"]) == [
        "tag-breakfast",
        "tag-vip",
    ]


def test_who_leaves_a_list_keeps_the_tags_of_the_others(ground):
    ground.land("loke", "list_members", member("L1", "a"), member("L2", "a"), member("L1", "b"))
    memberships(ground)
    ground.land("loke", "list_members", member("L1", "a", is_member=False))
    assert memberships(ground).rows == 1
    assert tags(ground) == {"loke:a": ["tag-breakfast"], "loke:b": ["tag-vip"]}
    ground.land("loke", "list_members", member("L2", "a", is_member=False))
    memberships(ground)
    before = tags(ground)
    assert before["loke:a"] == []
    memberships(ground, is_full=True)
    assert tags(ground) == before


CATALOGUED = ProductRules(is_from_catalogue=True)


def products(ground, rules=CATALOGUED, *, is_full=False):
    return resolve_products(ground.ws, ORGANISATION, rules, is_full=is_full)


def test_what_was_sold_is_a_product_and_the_catalogue_knows_better(ground):
    ground.land("loke", "payments", payment("a"), payment("b", items=json.dumps([{"id": "F2"}])))
    listed = {"id": "F2", "sku": "F2", "name": "Toast", "price": 700, "currency": "AUD"}
    ground.land("catalogue", "products", listed)
    assert products(ground).rows == 2
    found = ground.desired("products")
    assert found["sku:F1"] == {"name": "Flat white", "sku": "F1"}
    assert found["sku:F2"]["price"] == "7.00"


def test_a_later_payment_renames_a_product_and_an_earlier_one_does_not(ground):
    items = json.dumps([{"id": "F1", "name": "Large flat white"}])
    ground.land("loke", "payments", payment("a"))
    products(ground)
    ground.land("loke", "payments", payment("b", items=items))
    products(ground)
    before = ground.desired("products")
    assert before["sku:F1"]["name"] == "Large flat white"
    products(ground, is_full=True)
    assert ground.desired("products") == before


def test_our_own_products_come_with_the_first_payment(ground):
    rules = ProductRules(extra={"LOKE-ADJUSTMENT": "Other charges"})
    assert products(ground, rules).rows == 0
    ground.land("loke", "payments", payment("a"))
    assert products(ground, rules).rows == 2
    assert "sku:LOKE-ADJUSTMENT" in ground.desired("products")
