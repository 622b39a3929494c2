"""What tells one event from another."""

import json

import pytest

from crm_pipeline.webhooks.events import crm_com_event, loke_event, sopost_event
from crm_pipeline.webhooks.refusals import Refused
from crm_pipeline_tests.webhooks.running import ORDER_ID, sopost_body

OWNER = {"id": "01HACME", "name": "Acme"}


def loke(event, **members):
    return json.dumps({"event": event, "organization": OWNER, **members}).encode()


@pytest.mark.parametrize(
    ("body", "entity_id", "version"),
    [
        (loke("customer.created", customer={"id": "c1", "createdAt": "t0"}), "c1", ""),
        (loke("payment.refunded", payment={"id": "p1", "refundedAt": "t2"}), "p1", ""),
        (loke("order.completed", order={"id": "o1", "completedAt": "t3"}), "o1", ""),
        (loke("order.pending", order={"id": "o1"}), "o1", ""),
        (loke("list.changed", id="x"), "", ""),
        (loke("customer.updated", customer=[]), "", ""),
    ],
)
def test_the_record_of_an_event_is_found(body, entity_id, version):
    event = loke_event(body, "01HACME")
    assert event.entity_id == entity_id
    assert event.dedup.startswith(f"{event.name}:{entity_id}:{version}")
    assert event.is_known == (event.name not in ("order.pending", "list.changed"))


def test_two_versions_of_one_second_are_two_events_and_a_repetition_is_none():
    old = loke("customer.updated", customer={"id": "c1", "updatedAt": "t", "firstName": "A"})
    new = loke("customer.updated", customer={"id": "c1", "updatedAt": "t", "firstName": "B"})
    assert loke_event(old, "01HACME").dedup != loke_event(new, "01HACME").dedup
    assert loke_event(old, "01HACME") == loke_event(old, "01HACME")


def test_statistics_are_told_apart_by_their_values():
    one, two = (
        loke("customer.updated-statistics", customer={"id": "c1"}, statistics={"pointsBalance": n})
        for n in (1, 2)
    )
    assert loke_event(one, "01HACME").dedup != loke_event(two, "01HACME").dedup


@pytest.mark.parametrize("owner", ["01HOTHER", "01hacme", "01HACME ", ""])
def test_an_event_belongs_to_exactly_one_organisation(owner):
    with pytest.raises(Refused) as refused:
        loke_event(loke("customer.updated", customer={"id": "c1"}), owner)
    assert refused.value.status == 403


def test_an_order_s_event_is_named_by_order_and_event_in_one_spelling():
    names = {
        sopost_event(body).dedup
        for body in (
            sopost_body("APPROVED"),
            sopost_body("Approved", event_id="b"),
            sopost_body(order_id=ORDER_ID.upper()),
        )
    }
    assert names == {f"{ORDER_ID}:APPROVED"}


@pytest.mark.parametrize(
    "body",
    [
        b'{"event":"APPROVED"}',
        b'{"order_id":"%s"}' % ORDER_ID.encode(),
        b'{"event":"A\\nB","order_id":"%s"}' % ORDER_ID.encode(),
        b'{"event":"A","order_id":"%s","activity_id":5}' % ORDER_ID.encode(),
        b'{"event":"A","order_id":"%s","activity_id":"../"}' % ORDER_ID.encode(),
    ],
)
def test_a_thin_event_that_points_to_nothing_is_refused(body):
    with pytest.raises(Refused) as refused:
        sopost_event(body)
    assert refused.value.status == 400


def test_an_activity_may_be_missing():
    body = b'{"event":"A","order_id":"%s"}' % ORDER_ID.encode()
    assert sopost_event(body).entity_id == ORDER_ID


def test_an_order_of_crm_com_without_an_id_is_refused():
    with pytest.raises(Refused):
        crm_com_event(b'{"state":"NEW"}')
