"""A webhook of LOKE names one record, and carries it where it is whole."""

import json

import pytest

from crm_pipeline.errors import MalformedAnswerError
from crm_pipeline.sources import load_sources
from crm_pipeline.sources.loke.decoding import decode_page
from crm_pipeline.sources.loke.events import HOOK_EVENTS, read_event
from crm_pipeline_tests.sources.test_loke_rows import CUSTOMER, ORDER, PAYMENT

ORGANISATION = {"id": "01HNH9Z848M9S346Q3D25VT4F5", "name": "Harbour Coffee"}
LOCATION = {"id": "LOC9", "name": "Southbank"}
STATISTICS = {"pointsBalance": 1300, "totalSpend": 19450}


def event(name: str, **members: object) -> bytes:
    return json.dumps({"event": name, "organization": ORGANISATION, **members}).encode()


def test_every_event_is_about_a_dataset_of_the_source() -> None:
    spec = load_sources()["loke"]
    assert spec.hook_events == HOOK_EVENTS
    assert set(HOOK_EVENTS.values()) <= set(spec.datasets)


@pytest.mark.parametrize(
    ("name", "member", "record"),
    [
        ("customer.updated", "customer", {**CUSTOMER, "statistics": STATISTICS}),
        ("payment.refunded", "payment", PAYMENT),
        ("order.completed", "order", ORDER),
    ],
)
def test_a_whole_record_is_decoded_as_a_page_of_its_dataset(
    name: str, member: str, record: dict[str, object]
) -> None:
    found = read_event(event(name, location=LOCATION, **{member: record}))
    assert (found.event, found.organisation_id) == (name, ORGANISATION["id"])
    assert (found.dataset, found.source_id) == (HOOK_EVENTS[name], record["id"])
    assert found.page is not None
    (row,) = decode_page(found.dataset, found.page).rows.to_pylist()
    assert row["id"] == record["id"]
    if found.dataset == "orders":
        assert row["location_id"] == "LOC9"


@pytest.mark.parametrize(
    "body",
    [
        event("customer.updated-statistics", customer=CUSTOMER, statistics=STATISTICS),
        event("customer.updated", customer=CUSTOMER),
        event("customer.created", customer={**CUSTOMER, "statistics": None}),
    ],
)
def test_a_customer_without_statistics_has_to_be_read_again(body: bytes) -> None:
    found = read_event(body)
    assert (found.dataset, found.source_id, found.page) == ("customers", CUSTOMER["id"], None)


def test_an_event_that_we_do_not_know_is_about_nothing() -> None:
    found = read_event(event("points.expired", customer=CUSTOMER))
    assert (found.event, found.dataset, found.source_id, found.page) == (
        "points.expired",
        "",
        "",
        None,
    )


def test_an_event_may_name_no_organisation() -> None:
    assert read_event(b'{"event":"payment.completed","payment":{"id":"p"}}').organisation_id == ""


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"event":5}',
        b'{"event":"payment.completed"}',
        b'{"event":"payment.completed","payment":{"id":""}}',
        b'{"event":"payment.completed","payment":[]}',
        b'{"event":"payment.completed","payment":{"id":"a"},"payment":{"id":"b"}}',
    ],
)
def test_what_is_no_event_is_refused_without_quoting_it(body: bytes) -> None:
    with pytest.raises(MalformedAnswerError, match="webhook of LOKE"):
        read_event(body)
