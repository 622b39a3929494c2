"""Pages of LOKE's payments, list members and orders become columns; nothing is lost."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.core.ports import DecodedPage
from crm_pipeline.errors import MalformedAnswerError
from crm_pipeline.sources.loke.decoding import DATASETS, decode_page, part_page

CUSTOMER = {
    "id": "01HRP5E5X8V37E3S3E28JT97KB",
    "firstName": "Mina",
    "lastName": "Okafor",
    "email": "mina.okafor@example.com",
    "phoneNumber": "+61400000001",
}
PAYMENT: dict[str, object] = {
    "id": "5e0c1c1e-6a44-4e0e-9b3c-0d8f1f6f2a10",
    "billingType": "order/pickup",
    "state": "REFUNDED",
    "createdAt": "2024-06-06T22:09:58Z",
    "completedAt": "2024-06-06T22:10:11Z",
    "refundedAt": "2024-06-07T01:00:00Z",
    "updatedAt": "2024-06-07T01:00:01Z",
    "locationId": "LOC207",
    "refId": "POS-88123",
    "currency": "AUD",
    "total": 1450,
    "chargedAmount": 1050,
    "creditAmount": 200,
    "discountAmount": 200,
    "externalAmount": 0,
    "feeAmount": 15,
    "tipAmount": 0,
    "payoutAmount": 1035,
    "refundedAmount": 450,
    "customer": CUSTOMER,
    "items": [{"id": "FOOD014", "name": "Flat white", "amount": 500, "quantity": 2}],
}
MEMBER: dict[str, object] = {**CUSTOMER, "addedAt": "2024-05-07T08:09:10Z"}
ORDER: dict[str, object] = {
    "id": "7d2f0b52-0a51-4b0e-8c55-0b7f6a1d9e01",
    "status": "COMPLETED",
    "createdAt": "2024-06-06T22:05:00Z",
    "acceptedAt": "2024-06-06T22:06:00Z",
    "completedAt": "2024-06-06T22:20:00.500Z",
    "customer": {"id": CUSTOMER["id"], "firstName": "Mina"},
    "cart": {"id": "c", "currency": "AUD", "items": []},
}
PARTS = {"payments": "", "list_members": "01HX5PR2QR6CQ643DZVMXXQKFB", "orders": "LOC207"}
WHOLE: dict[str, dict[str, object]] = {"payments": PAYMENT, "list_members": MEMBER, "orders": ORDER}


def decode(dataset: str, body: bytes, part: str | None = None) -> DecodedPage:
    asked = PARTS[dataset] if part is None else part
    return decode_page(dataset, part_page(body, server_date=None, part=asked))


def decode_one(dataset: str, record: object, part: str | None = None) -> dict[str, object]:
    text = record if isinstance(record, bytes) else msgspec.json.encode(record)
    decoded = decode(dataset, b"[" + text + b"]", part)
    assert (decoded.row_count, decoded.rejects) == (1, ())
    assert decoded.rows.schema == DATASETS[dataset].schema
    row: dict[str, object] = decoded.rows.to_pylist()[0]
    return row


def test_a_full_payment_fills_every_column_and_nothing_is_left_over() -> None:
    row = decode_one("payments", PAYMENT)
    assert row.pop("extra") is None
    assert all(value is not None for value in row.values())
    assert (row["total"], row["refunded_amount"], row["customer_id"]) == (
        1450,
        450,
        CUSTOMER["id"],
    )
    assert json.loads(str(row["customer"])) == CUSTOMER
    assert json.loads(str(row["items"])) == PAYMENT["items"]


def test_nested_values_keep_the_very_text_that_came_but_for_white_space() -> None:
    text = b'{"id":"p","items":[ {"amount" : 5.10, "label":"Flat white"} ],"customer":{ "id":"c"}}'
    row = decode_one("payments", text)
    assert row["items"] == '[{"amount":5.10,"label":"Flat white"}]'
    assert (row["customer"], row["customer_id"]) == ('{"id":"c"}', "c")


def test_half_a_character_in_a_name_hides_neither_the_name_nor_the_customer() -> None:
    customer = '{"id":"c","firstName":"Zoë \\ud83d"}'
    row = decode_one("payments", f'{{"id":"p","customer":{customer}}}'.encode())
    assert row["customer_id"] == "c"
    assert json.loads(str(row["customer"])) == json.loads(customer)


def test_a_number_beyond_all_bounds_beside_half_a_character_is_refused() -> None:
    with pytest.raises(MalformedAnswerError, match="beyond all bounds"):
        decode("payments", b'[{"id":"p","x":1e999,"y":"\\ud83d"}]')


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"customer": None}, {"extra": '{"customer":null}'}),
        ({"customer": "Mina"}, {"extra": '{"customer":"Mina"}'}),
        ({"customer": {"firstName": "Mina"}}, {"customer": '{"firstName":"Mina"}'}),
        ({"customer": {"id": ""}}, {"customer": '{"id":""}'}),
        ({"items": {}}, {"extra": '{"items":{}}'}),
        ({"total": "14.50"}, {"extra": '{"total":"14.50"}'}),
        ({"total": 14.5}, {"extra": '{"total":14.5}'}),
        ({"deliveryAmount": 300}, {"extra": '{"deliveryAmount":300}'}),
        ({"created": "2024"}, {"created_at": "2024"}),
        ({"createdAt": "1", "created": "2"}, {"created_at": "1", "extra": '{"created":"2"}'}),
    ],
)
def test_what_does_not_fit_a_payment_is_kept_beside_it(
    members: dict[str, object], expected: dict[str, object]
) -> None:
    row = decode_one("payments", {"id": "p", **members})
    assert {name: value for name, value in row.items() if value is not None} == {
        "id": "p",
        **expected,
    }


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({}, None),
        ({"createdAt": "2024-06-06T22:00:00Z"}, "2024-06-06T22:00:00Z"),
        (
            {"createdAt": "2024-06-06T22:00:00Z", "completedAt": "2024-06-06T22:00:00.001Z"},
            "2024-06-06T22:00:00.001Z",
        ),
        (
            {"completedAt": "2024-06-06T22:00:00.000Z", "updatedAt": "2024-06-06T22:00:00Z"},
            "2024-06-06T22:00:00Z",
        ),
        (
            {"refundedAt": "2024-06-06T10:00:00+10:00", "completedAt": "2024-06-06T01:00:00Z"},
            "2024-06-06T01:00:00Z",
        ),
        ({"refundedAt": "soon", "createdAt": "2024-06-06T22:00:00Z"}, "2024-06-06T22:00:00Z"),
        ({"refundedAt": "zzzz", "createdAt": "2024-06-06"}, None),
    ],
)
def test_a_payment_changed_at_its_latest_readable_time_in_its_own_spelling(
    times: dict[str, str], expected: str | None
) -> None:
    assert decode_one("payments", {"id": "p", **times})["changed_at"] == expected


def test_a_payment_of_an_event_happened_where_the_event_says() -> None:
    assert decode_one("payments", {"id": "p"}, "LOC9")["location_id"] == "LOC9"
    assert decode_one("payments", {"id": "p", "locationId": "L1"}, "LOC9")["location_id"] == "L1"


def test_a_member_is_named_by_list_and_customer() -> None:
    row = decode_one("list_members", MEMBER)
    assert row["id"] == f"{PARTS['list_members']}/{CUSTOMER['id']}"
    assert (row["list_id"], row["customer_id"]) == (PARTS["list_members"], CUSTOMER["id"])
    assert (row["is_member"], row["changed_at"]) == (True, MEMBER["addedAt"])
    assert row["extra"] is None


def test_a_member_without_a_phone_keeps_the_null_that_came() -> None:
    row = decode_one("list_members", {"id": "c", "phoneNumber": None})
    assert (row["phone_number"], row["extra"]) == (None, '{"phoneNumber":null}')


def test_members_of_no_list_are_a_mistake_of_ours() -> None:
    with pytest.raises(ValueError, match="of which list"):
        decode("list_members", b"[]", "")


def test_an_order_is_of_its_page_s_location_and_its_cart_s_currency() -> None:
    row = decode_one("orders", ORDER)
    assert (row["location_id"], row["currency"]) == ("LOC207", "AUD")
    assert (row["customer_id"], row["extra"]) == (
        CUSTOMER["id"],
        '{"customer":{"firstName":"Mina"}}',
    )
    assert row["changed_at"] == "2024-06-06T22:20:00.500Z"
    assert decode_one("orders", {"id": "o"}, "")["location_id"] is None


@pytest.mark.parametrize("dataset", WHOLE)
def test_an_empty_page_has_the_columns_and_no_rows(dataset: str) -> None:
    decoded = decode(dataset, b"[]")
    assert decoded.rows.schema == DATASETS[dataset].schema
    assert (decoded.rows.num_rows, decoded.row_count) == (0, 0)


@pytest.mark.parametrize("dataset", WHOLE)
def test_a_record_without_an_id_is_set_aside_under_its_dataset(dataset: str) -> None:
    decoded = decode(dataset, b'[{"x":1},' + msgspec.json.encode(WHOLE[dataset]) + b"]")
    assert (decoded.rows.num_rows, decoded.row_count) == (1, 2)
    (reject,) = decoded.rejects
    assert (reject.dataset, reject.reason, reject.payload) == (
        dataset,
        "record_without_id",
        '{"x":1}',
    )


@pytest.mark.parametrize("dataset", WHOLE)
@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"<html>",
        b'[{"id":"a","id":"b"}]',
        b'[{"id":"a","x" :1,"x":2}]',
        b'[{"id":"a","items":[{"amount":1,"amount":2}]}]',
        b'[{"id":"a","customer":{"id":"b","id":"c"}}]',
        b'[{"id":"a","cart":{"currency":"AUD","currency" : "NZD"}}]',
        b'[{"id":"a","items":[{"x":"\\u0022:","amount" :1,"amount":2}]}]',
    ],
)
def test_a_page_that_says_a_thing_twice_is_refused_whole(dataset: str, body: bytes) -> None:
    with pytest.raises(MalformedAnswerError, match=f"page of {dataset}"):
        decode(dataset, body)


def test_a_customer_that_says_a_thing_twice_with_odd_spaces_is_refused() -> None:
    with pytest.raises(MalformedAnswerError):
        decode_page("customers", part_page(b'[{"id":"a","dob" :"1","dob":"2"}]', server_date=None))


TEXTS = st.sampled_from(["", "x", 'say "hi": you', "Zoë", "2024-06-06T22:00:00Z", "\\", "a/b"])
VALUES: st.SearchStrategy[object] = (
    st.none() | st.booleans() | st.integers() | TEXTS | st.just({}) | st.just([])
)
NESTED = st.lists(st.dictionaries(TEXTS, VALUES, max_size=3), max_size=2)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(sorted(WHOLE)),
    st.lists(
        st.dictionaries(st.sampled_from([*PAYMENT, *ORDER, "addedAt"]), VALUES | NESTED),
        min_size=1,
        max_size=3,
    ),
    st.booleans(),
)
def test_both_ways_of_decoding_give_the_same(
    dataset: str, records: list[dict[str, object]], is_ascii: bool
) -> None:
    """A record that no fast way takes, at the end of a page, must not change the others."""
    regular = [{**WHOLE[dataset], **{n: v for n, v in each.items() if v}} for each in records]
    page = [{**each, "id": f"id-{place}"} for place, each in enumerate(regular)]
    odd = [*page, {"id": "odd", "unheardOf": None}]
    plain = decode(dataset, json.dumps(page, ensure_ascii=is_ascii).encode())
    forced = decode(dataset, json.dumps(odd, ensure_ascii=is_ascii).encode())
    assert forced.rows.to_pylist()[:-1] == plain.rows.to_pylist()
