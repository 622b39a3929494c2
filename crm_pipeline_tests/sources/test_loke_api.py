"""What LOKE is asked, call by call, and what its answers come to."""

import datetime as dt
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from crm_pipeline.core.ports import ListInfo, SourceConnection, Subscription
from crm_pipeline.core.records import Waits
from crm_pipeline.errors import (
    ConfigurationError,
    MalformedAnswerError,
    OrganisationGoneError,
    SecretMissingError,
    SourceUnstableError,
)
from crm_pipeline.sources.loke.api import Location, LokeApi
from crm_pipeline_tests.http.scripted_server import ScriptedServer, answer

ROOT = "/organizations/ORG1"
TOKEN = answer(200, b'{"access_token":"t","expires_in":3600}')
DATE = "Fri, 07 Jun 2024 10:00:00 GMT"
NOT_FOUND = answer(404, b'{"code":"not_found"}')
ORGANISATION = answer(200, b'{"id":"ORG1"}')

Open = Callable[..., tuple[LokeApi, ScriptedServer]]


def rows(*ids: str, next_page: str = "", **members: object) -> bytes:
    body = json.dumps([{"id": each, **members} for each in ids]).encode()
    headers = {"X_Next_Page": next_page} if next_page else {}
    return answer(200, body, Date=DATE, **headers)


@pytest.fixture
def opened() -> Iterator[Open]:
    with ExitStack() as stack:

        def connect(*steps: bytes, datasets: str = "") -> tuple[LokeApi, ScriptedServer]:
            server = stack.enter_context(ScriptedServer(TOKEN, *steps))
            api = LokeApi(
                SourceConnection(
                    organisation="acme",
                    base_url=server.url,
                    token_url=f"{server.url}/token",
                    organisation_id="ORG1",
                    secrets={"client_id": lambda: "id", "client_secret": lambda: "secret"},
                    options={"datasets": datasets},
                    waits=Waits(retry_base_seconds=0.001, retry_max_seconds=0.01, attempts=2),
                )
            )
            stack.callback(api.close)
            return api, server

        yield connect


def asked(server: ScriptedServer) -> list[str]:
    """Return what was asked for after the token."""
    return [each.head.split(" HTTP")[0] for each in server.seen[1:]]


def test_payments_are_read_most_recently_updated_first(opened: Open) -> None:
    api, server = opened(rows("p1", next_page=f"{ROOT}/payments?after=x"), rows("p2"))
    first = api.first_page("payments")
    assert first.next_link is not None
    second = api.next_page(first.next_link)
    assert second.next_link is None
    ids = [api.decode("payments", each).rows["id"][0].as_py() for each in (first, second)]
    assert ids == ["p1", "p2"]
    assert first.server_date == dt.datetime(2024, 6, 7, 10, tzinfo=dt.UTC)
    assert asked(server) == [
        f"GET {ROOT}/payments?sort=updated",
        f"GET {ROOT}/payments?after=x",
    ]


def test_orders_of_all_locations_are_one_chain_of_pages(opened: Open) -> None:
    api, server = opened(
        rows("LOC2", next_page=f"{ROOT}/locations?after=l"),
        rows("LOC1"),
        rows("o1", next_page="/opaque/cursor"),
        rows("o2"),
        rows("o3"),
    )
    page = api.first_page("orders")
    found: list[tuple[str, str]] = []
    while True:
        decoded = api.decode("orders", page).rows
        found += zip(decoded["location_id"].to_pylist(), decoded["id"].to_pylist(), strict=True)
        if page.next_link is None:
            break
        page = api.next_page(page.next_link)
    assert found == [("LOC1", "o1"), ("LOC1", "o2"), ("LOC2", "o3")]
    assert asked(server) == [
        f"GET {ROOT}/locations",
        f"GET {ROOT}/locations?after=l",
        f"GET {ROOT}/locations/LOC1/orders",
        "GET /opaque/cursor",
        f"GET {ROOT}/locations/LOC2/orders",
    ]


def test_a_chain_of_orders_goes_on_in_another_connection(opened: Open) -> None:
    api, _ = opened(rows("LOC1", "LOC2"), rows("o1"))
    link = api.first_page("orders").next_link
    assert link is not None
    other, server = opened(rows("o3"), rows("LOC1", "LOC2", "LOC3"))
    path = link.partition(ROOT)[2]
    page = other.next_page(f"{server.url}{ROOT}{path}")
    assert (page.part, str(page.next_link).endswith("#location=LOC3")) == ("LOC2", True)


def test_an_organisation_without_locations_has_one_empty_page_of_orders(opened: Open) -> None:
    api, _ = opened(rows())
    page = api.first_page("orders")
    assert (page.next_link, api.decode("orders", page).row_count) == (None, 0)


def test_a_location_that_goes_while_it_is_read_asks_for_a_new_scan(opened: Open) -> None:
    api, _ = opened(rows("LOC1", "LOC2"), rows("o1"), NOT_FOUND, ORGANISATION)
    link = api.first_page("orders").next_link
    assert link is not None
    with pytest.raises(SourceUnstableError, match="location"):
        api.next_page(link)


def test_members_carry_their_list_from_page_to_page(opened: Open) -> None:
    api, server = opened(
        rows("c1", next_page=f"{ROOT}/customer-lists/L%2F1/members?after=x"), rows("c2")
    )
    first = api.members_page("L/1")
    assert first.next_link is not None
    second = api.next_page(first.next_link)
    ids = [api.decode("list_members", each).rows["id"][0].as_py() for each in (first, second)]
    assert ids == ["L/1/c1", "L/1/c2"]
    assert second.next_link is None
    assert asked(server)[-1] == f"GET {ROOT}/customer-lists/L%2F1/members?after=x"


def test_a_list_that_is_not_there_is_a_matter_of_settings(opened: Open) -> None:
    api, _ = opened(NOT_FOUND, ORGANISATION)
    with pytest.raises(ConfigurationError, match="no customer list 'L1'"):
        api.members_page("L1")


def test_a_list_of_an_organisation_that_is_gone_is_not_a_missing_list(opened: Open) -> None:
    api, _ = opened(NOT_FOUND, NOT_FOUND)
    with pytest.raises(OrganisationGoneError):
        api.members_page("L1")


def test_members_and_payments_cannot_be_read_one_by_one(opened: Open) -> None:
    api, server = opened(rows())
    for dataset in ("payments", "list_members"):
        with pytest.raises(ValueError, match=dataset):
            api.read_one(dataset, "x")
    with pytest.raises(ValueError, match="members_page"):
        api.first_page("list_members")
    assert server.seen == []


def test_an_order_is_read_at_its_location_or_looked_for_at_each(opened: Open) -> None:
    order = answer(200, b'{"id":"o1","cart":{"currency":"AUD"}}')
    api, server = opened(order, rows("LOC1", "LOC2"), NOT_FOUND, ORGANISATION, order)
    for source_id in ("LOC2/o1", "o1"):
        found = api.read_one("orders", source_id)
        assert found is not None
        assert found.rows["location_id"].to_pylist() == ["LOC2"]
    assert f"GET {ROOT}/locations/LOC2/orders/o1" in asked(server)


def test_an_order_that_no_location_knows_is_none(opened: Open) -> None:
    api, _ = opened(NOT_FOUND, ORGANISATION)
    assert api.read_one("orders", "LOC1/o9") is None


def test_customers_are_found_by_mail_or_by_phone(opened: Open) -> None:
    api, server = opened(rows("c1"), rows("c2", next_page=f"{ROOT}/customers?after=x"), rows("c3"))
    assert api.find(email="a+b@example.com").rows["id"].to_pylist() == ["c1"]
    found = api.find(phone="+61400000001")
    assert (found.rows["id"].to_pylist(), found.row_count) == (["c2", "c3"], 2)
    assert asked(server)[:2] == [
        f"GET {ROOT}/customers?email=a%2Bb%40example.com",
        f"GET {ROOT}/customers?phoneNumber=%2B61400000001",
    ]
    for wrong in ({}, {"email": "a", "phone": "b"}):
        with pytest.raises(ValueError, match="either"):
            api.find(**wrong)


def test_small_lists_are_read_to_their_end_and_tolerate_odd_rows(opened: Open) -> None:
    api, _ = opened(
        answer(200, b'[{"id":"L1","name":"VIP","memberCount":2},{"name":"x"},5,{"id":"L2"}]'),
        rows("L1", next_page=f"{ROOT}/customers/c1/memberships?after=x", name="VIP"),
        rows("L2"),
        rows("LOC1", name="Southbank", timezone="Australia/Melbourne"),
    )
    assert api.lists() == [
        ListInfo(id="L1", name="VIP", member_count=2),
        ListInfo(id="L2", name="", member_count=None),
    ]
    assert [each.id for each in api.memberships("c1")] == ["L1", "L2"]
    assert api.locations() == [
        Location(id="LOC1", name="Southbank", timezone="Australia/Melbourne")
    ]


def test_a_small_list_that_is_none_is_an_error(opened: Open) -> None:
    api, _ = opened(answer(200, b'{"items":[]}'))
    with pytest.raises(MalformedAnswerError, match="no list"):
        api.lists()


def test_a_small_list_that_goes_in_circles_is_an_error(opened: Open) -> None:
    api, _ = opened(rows("L1", next_page=f"{ROOT}/customer-lists?after=x"))
    with pytest.raises(SourceUnstableError, match="circle"):
        api.lists()


@pytest.mark.parametrize("status", [200, 201, 204])
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"not json"])
def test_a_subscription_is_put_whatever_success_looks_like(
    status: int, body: bytes, opened: Open
) -> None:
    api, server = opened(answer(status, b"" if status == 204 else body))
    api.subscribe("our ref", "https://hooks.example.com/x", ("customer.created",), lambda: "s3")
    assert asked(server) == [f"PUT {ROOT}/webhooks/our%20ref"]
    assert json.loads(server.seen[-1].body) == {
        "url": "https://hooks.example.com/x",
        "secret": "s3",
        "events": ["customer.created"],
    }


@pytest.mark.parametrize("secret", [None, lambda: ""])
def test_nothing_is_subscribed_without_a_secret(
    secret: Callable[[], str] | None, opened: Open
) -> None:
    api, server = opened(answer(200))
    with pytest.raises(SecretMissingError):
        api.subscribe("ref", "https://hooks.example.com/x", ("customer.created",), secret)
    assert server.seen == []


def test_subscriptions_are_listed_and_removed(opened: Open) -> None:
    listed = [
        {"ref": "a", "url": "https://x.example", "events": ["customer.created", 5]},
        {"ref": "b", "url": None, "events": None},
    ]
    api, server = opened(
        answer(200, json.dumps(listed).encode()), answer(204, b""), NOT_FOUND, ORGANISATION
    )
    assert api.subscriptions() == [
        Subscription(ref="a", url="https://x.example", events=("customer.created",)),
        Subscription(ref="b", url="", events=()),
    ]
    assert (api.unsubscribe("a"), api.unsubscribe("zz")) == (True, False)
    assert asked(server)[1:3] == [f"DELETE {ROOT}/webhooks/a", f"DELETE {ROOT}/webhooks/zz"]


def test_a_check_looks_at_every_dataset_in_use(opened: Open) -> None:
    api, server = opened(
        ORGANISATION,
        rows("c"),
        rows("p"),
        rows("L1"),
        rows("LOC1"),
        rows("o"),
        datasets="customers,payments,list_members,orders",
    )
    findings = api.check()
    assert [each.check for each in findings] == [
        "token",
        "organisation",
        "customers",
        "payments",
        "list_members",
        "orders",
    ]
    assert all(each.is_ok for each in findings)
    assert asked(server)[-1] == f"GET {ROOT}/locations/LOC1/orders"


def test_a_check_stops_at_the_dataset_that_cannot_be_read(opened: Open) -> None:
    api, _ = opened(ORGANISATION, answer(200, b"<html>"), datasets="payments,orders")
    findings = api.check()
    assert [(each.check, each.is_ok) for each in findings][-1] == ("payments", False)
