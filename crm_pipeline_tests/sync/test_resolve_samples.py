"""People who ordered samples become contacts, or parts of contacts, and stay who they are."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_pipeline.core.consent import decide
from crm_pipeline.core.purchases import PurchaseRules
from crm_pipeline.core.records import ConsentRecord
from crm_pipeline.core.samples import ConsentRule
from crm_pipeline.sync.resolve import (
    PurchasingRules,
    ResolveRules,
    SampleRules,
    resolve_contacts,
    resolve_purchases,
)
from crm_pipeline.sync.resolve.sample_purchases import SamplePurchases
from crm_pipeline_tests.sync.landing import ORGANISATION, Ground
from crm_pipeline_tests.sync.test_resolve_objects import payment

OURS = ConsentRule(consent_id="c-1", data_handler="Brand Ltd", channels=("email",))
RULES = ResolveRules(
    samples=SampleRules(consents=(OURS,), questions={"skin-type": "sopost_skin_type"})
)


@pytest.fixture
def ground(tmp_path):
    ground = Ground(tmp_path)
    yield ground
    ground.close()


def customer(row_id, email="asha@example.com", **changes):
    return {"id": row_id, "first_name": "Asha", "last_name": "L", "email": email, **changes}


def order(row_id, person="p-1", *, status="APPROVED", email="Asha@Example.com", **changes):
    return {
        "id": row_id,
        "status": status,
        "identity": person,
        "email": email,
        "full_name": "Asha Lindqvist",
        "activity_id": "act-1",
        **changes,
    }


def consents(status="APPROVED", handler="Brand Ltd"):
    return json.dumps([{"consent_id": "c-1", "data_handler": handler, "status": status}])


def resolve(ground, *, is_full=False, rules=RULES):
    return resolve_contacts(ground.ws, ORGANISATION, rules, is_full=is_full)


def test_somebody_who_is_no_customer_becomes_a_contact_of_their_own(ground):
    ground.land("sopost", "orders", order("o-1", telephone="+441130000000"))
    assert resolve(ground).rows == 1
    fields = ground.desired("contacts")["sopost:p-1"]
    assert (fields["first_name"], fields["last_name"]) == ("Asha", "Lindqvist")
    assert fields["email"].casefold() == "asha@example.com"
    assert fields["custom.sopost_last_order_id"] == "o-1"
    assert (fields["email_opt_out"], fields["sms_opt_out"]) == (True, True)


@pytest.mark.parametrize("status", ["PENDING", "REJECTED", "SOMETHING_NEW", None])
def test_an_order_that_is_not_approved_makes_nobody(ground, status):
    ground.land("sopost", "orders", order("o-1", status=status))
    assert resolve(ground).rows == 0
    assert ground.desired("contacts") == {}


def test_an_order_goes_to_the_customer_with_the_same_address(ground):
    ground.land("loke", "customers", customer("a"), customer("b", "other@example.com"))
    resolve(ground)
    ground.land("sopost", "orders", order("o-1", custom_questions=answers("Dry")))
    assert resolve(ground).rows == 1
    contacts = ground.desired("contacts")
    assert contacts.keys() == {"loke:a", "loke:b"}
    assert contacts["loke:a"]["custom.sopost_skin_type"] == "Dry"
    assert contacts["loke:a"]["custom.loke_customer_id"] == "a"
    assert "custom.sopost_last_order_id" not in contacts["loke:b"]


def answers(text):
    return json.dumps([{"question_id": "skin-type", "answer": [{"answer_text": text}]}])


def test_a_change_of_the_customer_keeps_what_the_samples_said(ground):
    ground.land("loke", "customers", customer("a"))
    resolve(ground)
    ground.land("sopost", "orders", order("o-1"))
    resolve(ground)
    ground.land("loke", "customers", customer("a", first_name="Asha Mary"))
    resolve(ground)
    fields = ground.desired("contacts")["loke:a"]
    assert (fields["first_name"], fields["custom.sopost_last_order_id"]) == ("Asha Mary", "o-1")


def test_two_customers_with_the_address_are_for_a_person_to_decide(ground):
    ground.land("loke", "customers", customer("a"), customer("b"))
    resolve(ground)
    ground.land("sopost", "orders", order("o-1"))
    assert resolve(ground).rows == 0
    assert ground.ws.ledger.rejects.counts(ORGANISATION) == {"identity_ambiguous": 1}
    assert ground.desired("contacts").keys() == {"loke:a", "loke:b"}


def test_a_contact_keeps_its_key_when_the_person_becomes_a_customer_later(ground):
    ground.land("sopost", "orders", order("o-1"))
    resolve(ground)
    ground.land("loke", "customers", customer("a"))
    resolve(ground)
    contacts = ground.desired("contacts")
    assert contacts.keys() == {"sopost:p-1"}
    assert contacts["sopost:p-1"]["custom.loke_customer_id"] == "a"
    assert contacts["sopost:p-1"]["custom.sopost_last_order_id"] == "o-1"


def test_the_purchases_of_a_joined_customer_are_of_the_contact_that_there_is(ground):
    ground.land("sopost", "orders", order("o-1"))
    resolve(ground)
    ground.land("loke", "customers", customer("a"))
    resolve(ground)
    refunded = {"state": "REFUNDED", "refunded_at": "2026-05-07T01:00:00Z"}
    ground.land("loke", "payments", payment("pay-1", customer_id="a", **refunded))
    rules = PurchasingRules(payments=PurchaseRules())
    resolve_purchases(ground.ws, ORGANISATION, rules, is_full=False)
    assert ground.desired("purchases")["loke:pay-1"]["contact_key"] == "sopost:p-1"
    assert ground.desired("refunds")["loke:pay-1:refund"]["contact_key"] == "sopost:p-1"


def test_an_address_that_moves_to_an_old_customer_joins_nobody(ground):
    ground.land("loke", "customers", customer("a", "before@example.com"))
    resolve(ground)
    ground.land("sopost", "orders", order("o-1"))
    resolve(ground)
    ground.land("loke", "customers", customer("a"))
    resolve(ground)
    contacts = ground.desired("contacts")
    assert contacts.keys() == {"loke:a", "sopost:p-1"}
    assert contacts["loke:a"]["email"] == "asha@example.com"
    assert "custom.loke_customer_id" not in contacts["sopost:p-1"]


def test_a_second_customer_with_the_address_is_a_contact_of_their_own(ground):
    ground.land("sopost", "orders", order("o-1"))
    resolve(ground)
    for row_id in ("a", "b"):
        ground.land("loke", "customers", customer(row_id))
        resolve(ground)
    contacts = ground.desired("contacts")
    assert contacts.keys() == {"sopost:p-1", "loke:b"}
    assert contacts["sopost:p-1"]["custom.loke_customer_id"] == "a"


def test_the_link_outlives_a_change_of_address(ground):
    ground.land("loke", "customers", customer("a"))
    resolve(ground)
    ground.land("sopost", "orders", order("o-1"))
    resolve(ground)
    ground.land("loke", "customers", customer("a", "new@example.com"))
    ground.land("sopost", "orders", order("o-2", email="elsewhere@example.com"))
    resolve(ground)
    contacts = ground.desired("contacts")
    assert contacts.keys() == {"loke:a"}
    assert contacts["loke:a"]["custom.sopost_last_order_id"] == "o-2"


def test_only_the_configured_consent_opens_a_channel(ground):
    for place, (answer, is_open) in enumerate(
        [
            (consents(), True),
            (consents(handler="Retailer"), False),
            (consents(status="PENDING"), False),
            (None, False),
        ]
    ):
        person = f"p-{place}"
        email = f"{person}@example.com"
        ground.land("sopost", "orders", order(f"o-{place}", person, email=email, consents=answer))
        resolve(ground)
        fields = ground.desired("contacts")[f"sopost:{person}"]
        assert fields["email_opt_out"] is not is_open
        assert fields["sms_opt_out"] is True


def test_a_later_order_without_a_consent_takes_none_away(ground):
    ground.land("sopost", "orders", order("o-1", consents=consents()))
    resolve(ground)
    ground.land("sopost", "orders", order("o-2"))
    resolve(ground)
    assert ground.desired("contacts")["sopost:p-1"]["email_opt_out"] is False


def test_the_consent_of_an_order_that_is_rejected_later_counts_no_more(ground):
    ground.land("sopost", "orders", order("o-1", consents=consents()))
    resolve(ground)
    assert ground.desired("contacts")["sopost:p-1"]["email_opt_out"] is False
    ground.land("sopost", "orders", order("o-1", consents=consents(), status="REJECTED"))
    resolve(ground)
    assert ground.desired("contacts")["sopost:p-1"]["email_opt_out"] is True


def test_an_opt_out_wins_over_every_sample_order(ground):
    ground.land("sopost", "orders", order("o-1", consents=consents()))
    resolve(ground)
    now = ground.clock()
    refusal = ConsentRecord(
        key="sopost:p-1", channel="email", is_granted=False, at=now, seen_at=now, origin="crm_com"
    )
    ground.ws.ledger.consents.append(ORGANISATION, [refusal])
    ground.land("sopost", "orders", order("o-2", consents=consents()))
    resolve(ground)
    assert ground.desired("contacts")["sopost:p-1"]["email_opt_out"] is True


def test_a_customer_who_said_no_is_not_opened_by_a_sample(ground):
    said_no = customer("a", has_agreed_to_marketing=False, updated_at="2026-05-01T00:00:00Z")
    ground.land("loke", "customers", said_no)
    resolve(ground)
    ground.land("sopost", "orders", order("o-1", consents=consents()))
    resolve(ground)
    assert ground.desired("contacts")["loke:a"]["email_opt_out"] is True


def test_a_customer_who_said_nothing_is_opened_by_an_approved_consent(ground):
    ground.land("loke", "customers", customer("a"))
    resolve(ground)
    ground.land("sopost", "orders", order("o-1", consents=consents()))
    resolve(ground)
    fields = ground.desired("contacts")["loke:a"]
    assert (fields["email_opt_out"], fields["sms_opt_out"]) == (False, True)
    said = ground.ws.ledger.consents.of(ORGANISATION, ["loke:a"])["loke:a"]
    assert decide(said)


def test_two_people_of_one_address_are_one_contact_with_the_orders_of_both(ground):
    ground.land("sopost", "orders", order("o-1", "p-1", custom_questions=answers("Dry")))
    resolve(ground)
    ground.land("sopost", "orders", order("o-2", "p-2"))
    resolve(ground)
    contacts = ground.desired("contacts")
    assert contacts.keys() == {"sopost:p-1"}
    assert contacts["sopost:p-1"]["custom.sopost_skin_type"] == "Dry"
    assert contacts["sopost:p-1"]["custom.sopost_last_order_id"] == "o-2"


STATES = st.sampled_from(["PENDING", "APPROVED", "DISPATCHED", "REJECTED", "NEWS"])
EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("customer"), st.sampled_from("ab"), st.sampled_from("xyz")),
        st.tuples(
            st.just("order"),
            st.sampled_from("12"),
            st.sampled_from("pq"),
            STATES,
            st.sampled_from("xyz"),
            st.booleans(),
        ),
    ),
    max_size=8,
)


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(EVENTS)
def test_a_full_pass_gives_what_the_incremental_ones_gave(tmp_path_factory, events):
    ground = Ground(tmp_path_factory.mktemp("ground"))
    try:
        for event in events:
            if event[0] == "customer":
                ground.land("loke", "customers", customer(event[1], f"{event[2]}@example.com"))
            else:
                _, row_id, person, status, mail, has_consent = event
                given_consents = consents() if has_consent else None
                email = f"{mail}@example.com"
                row = order(row_id, person, status=status, email=email, consents=given_consents)
                ground.land("sopost", "orders", row)
            resolve(ground)
        before = ground.desired("contacts")
        resolve(ground, is_full=True)
        assert ground.desired("contacts") == before
    finally:
        ground.close()


def test_approved_samples_are_purchases_of_nothing_when_asked_for(ground):
    items = json.dumps([{"stock_partition_id": "s-1"}])
    ground.land("sopost", "orders", order("o-1", line_items=items), order("o-2", status="PENDING"))
    resolve(ground)
    rules = PurchasingRules(samples=SamplePurchases())
    report = resolve_purchases(ground.ws, ORGANISATION, rules, is_full=False)
    assert report.rows == 1
    fields = ground.desired("purchases")["sopost:o-1"]
    assert (fields["total"], fields["contact_key"]) == ("0.00", "sopost:p-1")
    assert json.loads(fields["lines"])[0]["sku"] == "sopost:s-1"
