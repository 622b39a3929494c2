"""LOKE's further calls and its webhooks, against the fake LOKE."""

from collections.abc import Iterator

import pytest

from crm_pipeline.sandbox import Sandbox
from crm_pipeline.sources.loke.api import LokeApi
from crm_pipeline.sources.loke.decoding import decode_page
from crm_pipeline.sources.loke.events import HOOK_EVENTS, LokeEvent, read_event
from crm_pipeline_tests.http.scripted_server import ScriptedServer, answer
from crm_pipeline_tests.sources.conftest import ORGANISATION
from crm_pipeline_tests.sources.twins import LOKE_LISTS, SOURCES, loke_lists, loke_payments

Row = dict[str, object]


@pytest.fixture
def api(sandbox: Sandbox) -> Iterator[LokeApi]:
    api = LokeApi(SOURCES["loke"].connection(sandbox))
    yield api
    api.close()


@pytest.fixture
def receiver() -> Iterator[ScriptedServer]:
    with ScriptedServer(answer(204, b"")) as server:
        yield server


def events_in(receiver: ScriptedServer, sandbox: Sandbox) -> list[LokeEvent]:
    sandbox.loke.hooks.flush()
    return [read_event(each.body) for each in receiver.seen]


def rows_of(api: LokeApi, dataset: str) -> dict[object, Row]:
    page = api.first_page(dataset)
    rows: dict[object, Row] = {}
    while True:
        rows |= {row["id"]: row for row in api.decode(dataset, page).rows.to_pylist()}
        if page.next_link is None:
            return rows
        page = api.next_page(page.next_link)


def test_people_are_found_by_what_they_have(api: LokeApi, sandbox: Sandbox) -> None:
    people = sandbox.loke.customers(ORGANISATION.id)
    mailed = next(each for each in people if "email" in each)
    called = next(each for each in people if "phoneNumber" in each)
    assert mailed["id"] in api.find(email=mailed["email"]).rows["id"].to_pylist()
    assert called["id"] in api.find(phone=called["phoneNumber"]).rows["id"].to_pylist()
    assert api.find(email="nobody@example.com").row_count == 0


def test_lists_locations_and_memberships_are_read_to_their_end(
    api: LokeApi, sandbox: Sandbox
) -> None:
    loke_lists(sandbox)
    sandbox.loke.switch(
        list_page_size=1, location_page_size=1, membership_page_size=1, next_link="absolute"
    )
    assert [(each.id, each.member_count) for each in api.lists()] == [
        (LOKE_LISTS[0], 25),
        (LOKE_LISTS[1], 4),
    ]
    someone = sandbox.loke.members(ORGANISATION.id, LOKE_LISTS[1])[0]
    assert {each.id for each in api.memberships(someone)} == set(LOKE_LISTS)
    locations = api.locations()
    assert len(locations) > 1
    assert all(each.name and each.timezone for each in locations)


def test_a_payment_is_the_same_row_from_its_event_and_from_its_page(
    api: LokeApi, sandbox: Sandbox, receiver: ScriptedServer
) -> None:
    api.subscribe("r", receiver.url, tuple(HOOK_EVENTS), lambda: "secret")
    payment = sandbox.loke.complete_payment(ORGANISATION.id, total=1450)
    sandbox.loke.refund(ORGANISATION.id, payment["id"], amount=450)
    found = [each for each in events_in(receiver, sandbox) if each.dataset == "payments"]
    assert {each.event for each in found} == {"payment.completed", "payment.refunded"}
    refunded = next(each for each in found if each.event == "payment.refunded")
    assert refunded.page is not None
    assert refunded.organisation_id == ORGANISATION.id
    [row] = decode_page("payments", refunded.page).rows.to_pylist()
    assert row == rows_of(api, "payments")[payment["id"]]
    assert (row["refunded_amount"], row["changed_at"]) == (450, row["refunded_at"])


def test_an_order_is_the_same_row_from_its_event_its_list_and_its_id(
    api: LokeApi, sandbox: Sandbox, receiver: ScriptedServer
) -> None:
    api.subscribe("r", receiver.url, ("order.created",), lambda: "secret")
    order = sandbox.loke.place_order(ORGANISATION.id)
    [event] = events_in(receiver, sandbox)
    assert event.page is not None
    [row] = decode_page("orders", event.page).rows.to_pylist()
    assert row == rows_of(api, "orders")[order["id"]]
    for source_id in (order["id"], f"{row['location_id']}/{order['id']}"):
        found = api.read_one("orders", source_id)
        assert found is not None
        assert found.rows.to_pylist() == [row]


@pytest.mark.parametrize("has_statistics", [True, False])
def test_a_customer_s_event_is_whole_only_with_statistics(
    has_statistics: bool, api: LokeApi, sandbox: Sandbox, receiver: ScriptedServer
) -> None:
    sandbox.loke.switch(hook_statistics=has_statistics)
    api.subscribe("r", receiver.url, tuple(HOOK_EVENTS), lambda: "secret")
    customer = sandbox.loke.create_customer(ORGANISATION.id, firstName="Zoë")
    sandbox.loke.update_statistics(ORGANISATION.id, customer["id"])
    found = {each.event: each for each in events_in(receiver, sandbox)}
    assert all(each.source_id == customer["id"] for each in found.values())
    assert found["customer.updated-statistics"].page is None
    created = found["customer.created"].page
    assert (created is not None) is has_statistics
    if created is not None:
        [row] = decode_page("customers", created).rows.to_pylist()
        assert row["first_name"] == "Zoë"


@pytest.mark.parametrize("precision", ["seconds", "milliseconds"])
def test_names_and_times_of_older_days_are_read_as_well(
    precision: str, api: LokeApi, sandbox: Sandbox
) -> None:
    loke_payments(sandbox)
    plain = rows_of(api, "payments")
    sandbox.loke.switch(field_names="old", time_precision=precision, updated_at="never")
    odd = rows_of(api, "payments")
    assert plain.keys() == odd.keys()
    for row in odd.values():
        assert row["updated_at"] is None
        assert row["changed_at"] in (row["refunded_at"], row["completed_at"])
        assert '"label"' in str(row["items"])
        assert row["extra"] is None
