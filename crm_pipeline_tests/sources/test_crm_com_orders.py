"""CRM.COM's orders: amounts exact, old names tolerated, pages followed to their end."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import msgspec
import pytest

from crm_pipeline.core.ports import Page, SourceConnection
from crm_pipeline.core.records import Waits
from crm_pipeline.errors import CredentialsRefusedError, MalformedAnswerError
from crm_pipeline.sandbox import Sandbox
from crm_pipeline.sandbox.crm_com.shop import Shop
from crm_pipeline.sources.crm_com_orders import SOURCE
from crm_pipeline.sources.crm_com_orders.api import OrdersApi
from crm_pipeline.sources.crm_com_orders.orders import decode_orders
from crm_pipeline_tests.http.scripted_server import ScriptedServer, answer
from crm_pipeline_tests.sources.conftest import ORGANISATION

#: As the list shows it; the numbers keep their spelling.
ORDER = (
    b'{"id":"6514df04","number":"O000001","state":"NEW","supply_method":"PICK_UP",'
    b'"submitted_date":1714731300,"contact":{"id":"6e2f83ca","code":"loke:01F"},'
    b'"fulfilled_by":{"id":"4248fab3"},"currency":"AUD","total":14.99,"wallet_funds":1.98,'
    b'"amount_due":13.01,"net_amount":13.63,"tax_amount":1.36,"completed_date":1714731360,'
    b'"items":[{"quantity":2,"product":{"sku":"SKU-1","price":5.00}}]}'
)

Open = Callable[..., tuple[OrdersApi, ScriptedServer]]


@pytest.fixture
def opened() -> Iterator[Open]:
    with ExitStack() as stack:

        def connect(*steps: bytes) -> tuple[OrdersApi, ScriptedServer]:
            server = stack.enter_context(ScriptedServer(*steps))
            api = OrdersApi(
                SourceConnection(
                    organisation="acme",
                    base_url=f"{server.url}/backoffice/v2/",
                    secrets={"api_key": lambda: "canary-key"},
                    waits=Waits(retry_base_seconds=0.001, retry_max_seconds=0.01, attempts=2),
                )
            )
            stack.callback(api.close)
            return api, server

        yield connect


def decode_one(text: bytes) -> dict[str, object]:
    decoded = decode_orders(b"[" + text + b"]")
    assert (decoded.row_count, decoded.rejects) == (1, ())
    assert decoded.rows.schema == SOURCE.datasets["orders"].schema
    row: dict[str, object] = decoded.rows.to_pylist()[0]
    return row


def held(members: dict[str, object]) -> dict[str, object]:
    row = decode_one(msgspec.json.encode({"id": "o", **members}))
    return {name: value for name, value in row.items() if value is not None and name != "id"}


def page(*ids: str, **paging: object) -> bytes:
    body = {"content": [{"id": each} for each in ids], "paging": paging}
    return answer(200, json.dumps(body).encode())


def test_a_full_order_fills_every_column_that_has_a_source() -> None:
    row = decode_one(ORDER)
    assert [name for name, value in row.items() if value is None] == ["changed_at", "extra"]
    assert [row[name] for name in ("total", "net_amount", "tax_amount", "wallet_funds")] == [
        1499,
        1363,
        136,
        198,
    ]
    assert (row["submitted_at"], row["completed_at"]) == (
        "2024-05-03T10:15:00Z",
        "2024-05-03T10:16:00Z",
    )
    assert (row["contact_id"], row["contact_code"], row["organisation_id"]) == (
        "6e2f83ca",
        "loke:01F",
        "4248fab3",
    )
    assert row["items"] == '[{"quantity":2,"product":{"sku":"SKU-1","price":5.00}}]'


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"life_cycle_state": "NEW"}, {"state": "NEW"}),
        ({"currency_code": "JPY", "total_cost": 650}, {"currency": "JPY", "total": 650}),
        (
            {"currency": "AUD", "total": "14.90", "wallet_funds_amount": 0},
            {"currency": "AUD", "total": 1490, "wallet_funds": 0},
        ),
        ({"order_items": []}, {"items": "[]"}),
        ({"fullfilled_by": {"id": "f"}}, {"organisation_id": "f"}),
        (
            {"key_dates": {"submitted_on": 1714731300, "started_on": 5}},
            {"submitted_at": "2024-05-03T10:15:00Z", "extra": '{"key_dates":{"started_on":5}}'},
        ),
        ({"submitted_date": 1714731300000}, {"submitted_at": "2024-05-03T10:15:00Z"}),
        ({"submitted_date": "1714731300"}, {"submitted_at": "2024-05-03T10:15:00Z"}),
        (
            {"contact": {"id": "c", "name": "Mina"}},
            {"contact_id": "c", "extra": '{"contact":{"name":"Mina"}}'},
        ),
    ],
)
def test_older_names_and_forms_fill_the_same_columns(
    members: dict[str, object], expected: dict[str, object]
) -> None:
    assert held(members) == expected


@pytest.mark.parametrize(
    "members",
    [
        {"total": 14.99},
        {"currency": "???", "total": 14.99},
        {"currency": "AUD", "total": 14.995},
        {"currency": "AUD", "total": "14,99"},
        {"currency": "AUD", "total": None},
        {"currency": "AUD", "total": True},
        {"currency": "AUD", "total": 1e300},
        {"submitted_date": -5},
        {"submitted_date": 1.5},
        {"submitted_date": 999999999999999},
        {"submitted_date": "soon"},
        {"stage": {"id": "s", "name": "New"}},
    ],
)
def test_what_cannot_be_told_exactly_stays_as_it_came(members: dict[str, object]) -> None:
    found = held(members)
    kept = {name: value for name, value in members.items() if found.pop(name, None) is None}
    assert json.loads(str(found.pop("extra"))) == kept
    assert found == {}


def test_an_amount_is_never_a_float_on_the_way() -> None:
    row = decode_one(b'{"id":"o","currency":"AUD","total":90071992547409.93}')
    assert row["total"] == 9007199254740993


def test_a_record_without_an_id_is_set_aside() -> None:
    decoded = decode_orders(b'{"content":[{"number":"1"},{"id":"o"}]}')
    assert decoded.row_count == 2
    assert [(each.dataset, each.reason) for each in decoded.rejects] == [
        ("orders", "record_without_id")
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"5",
        b"{}",
        b'{"content":{}}',
        b'{"content":[],"content":[]}',
        b'[{"id":"a","total":1,"total":2}]',
    ],
)
def test_a_page_that_cannot_be_trusted_is_an_error(body: bytes) -> None:
    with pytest.raises(MalformedAnswerError, match="page of orders"):
        decode_orders(body)


@pytest.mark.parametrize("body", [b'{"content":null}', b"[]", b'{"content":[]}'])
def test_a_page_without_orders_is_empty(body: bytes) -> None:
    assert decode_orders(body).row_count == 0


def test_pages_are_followed_oldest_first_until_nothing_more_is_there(opened: Open) -> None:
    api, server = opened(
        page("a", size=1, total=None, has_more=True),
        page("b", size=1, total=None),
        page("c", size=1, has_more=False),
    )
    found = [one := api.first_page("orders")]
    while one.next_link is not None:
        found.append(one := api.next_page(one.next_link))
    assert [api.decode("orders", each).rows["id"][0].as_py() for each in found] == ["a", "b", "c"]
    assert [each.target for each in server.seen] == [
        f"/backoffice/v2/orders?order=ASC&size=100&page={number}" for number in (1, 2, 3)
    ]
    assert server.seen[0].header("api_key") == "canary-key"


@pytest.mark.parametrize(
    "body",
    [b'{"content":[]}', b'{"content":null,"paging":{"has_more":true}}', b'[{"id":"a"}]'],
)
def test_an_empty_page_or_a_bare_list_is_the_end(body: bytes, opened: Open) -> None:
    api, _ = opened(answer(200, body))
    assert api.first_page("orders").next_link is None


@pytest.mark.parametrize(
    "missing",
    [
        answer(404, b""),
        answer(400, b'{"error":"COM.CRM.EXCEPTIONS.NOTFOUNDEXCEPTION","parameters":["order"]}'),
    ],
)
def test_one_order_is_read_by_id_or_is_none(missing: bytes, opened: Open) -> None:
    api, server = opened(answer(200, ORDER), missing)
    found = api.read_one("orders", "6514/df04")
    assert found is not None
    assert found.rows["total"].to_pylist() == [1499]
    assert server.seen[0].target == "/backoffice/v2/orders/6514%2Fdf04"
    assert api.read_one("orders", "x") is None


@pytest.mark.parametrize("body", [b"", b"[]", b'{"error":5}', b'{"error":"CRM.INVALIDVALUE"}'])
def test_another_refusal_is_not_taken_for_a_missing_order(body: bytes, opened: Open) -> None:
    api, _ = opened(answer(400, body))
    with pytest.raises(MalformedAnswerError, match="status 400"):
        api.read_one("orders", "x")


@pytest.mark.parametrize("status", [401, 403])
def test_a_refused_key_is_told_and_never_shown(status: int, opened: Open) -> None:
    api, _ = opened(answer(status))
    with pytest.raises(CredentialsRefusedError) as caught:
        api.first_page("orders")
    assert "canary" not in str(caught.value)
    (finding,) = api.check()
    assert not finding.is_ok
    assert finding.remedy


def test_a_healthy_connection_passes_its_check(opened: Open) -> None:
    api, _ = opened(page("a", has_more=False))
    assert [each.is_ok for each in api.check()] == [True]


def test_another_dataset_is_a_mistake_of_ours(opened: Open) -> None:
    api, _ = opened(page())
    nothing = Page(body=b"[]", next_link=None, server_date=None, digest="")
    for call in (
        lambda: api.first_page("nothing"),
        lambda: api.decode("nothing", nothing),
        lambda: api.read_one("nothing", "x"),
    ):
        with pytest.raises(ValueError, match="nothing"):
            call()


@pytest.mark.parametrize("form", ["new", "old"])
def test_orders_of_the_fake_crm_com_are_read_in_lists_and_one_by_one(
    form: str, sandbox: Sandbox
) -> None:
    sandbox.crm_com.switch(order_form=form)
    shop = Shop(sandbox.crm_com, ORGANISATION.slug)
    placed = [shop.place_order([("SKU-1", 2, 550)]) for _ in range(120)]
    shop.change_order(placed[0], state="COMPLETED")
    api = OrdersApi(
        SourceConnection(
            organisation=ORGANISATION.slug,
            base_url=sandbox.crm_com_url,
            secrets={"api_key": lambda: ORGANISATION.crm_test_key},
            waits=Waits(),
        )
    )
    with closing(api):
        first = api.first_page("orders")
        assert first.next_link is not None
        pages = [first, api.next_page(first.next_link)]
        rows = [row for each in pages for row in api.decode("orders", each).rows.to_pylist()]
        assert (pages[1].next_link, [each["id"] for each in rows]) == (None, placed)
        assert (rows[0]["total"], rows[0]["tax_amount"], rows[0]["currency"]) == (1100, 100, "AUD")
        assert rows[0]["state"] == "COMPLETED"
        found = api.read_one("orders", placed[0])
        assert found is not None
        assert {**rows[0], "extra": None, "completed_at": None} == {
            **found.rows.to_pylist()[0],
            "extra": None,
            "completed_at": None,
        }
        assert api.read_one("orders", "00000000-0000-4000-8000-000000000000") is None
