"""A page of LOKE customers becomes columns; whatever does not fit is kept beside them."""

import json

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crm_pipeline.errors import MalformedAnswerError
from crm_pipeline.sources.loke.customers import STATISTIC_NAMES, Customer
from crm_pipeline.sources.loke.decoding import decode_customers

FULL = {
    "id": "01HRP5E5X8V37E3S3E28JT97KB",
    "createdAt": "2024-03-11T07:08:09Z",
    "updatedAt": "2024-06-07T10:00:00Z",
    "firstName": "Mina",
    "lastName": "Okafor",
    "email": "mina.okafor@example.com",
    "phoneNumber": "+61400000001",
    "dob": "1990-05-17",
    "gender": "FEMALE",
    "hasAgreedToMarketing": True,
    "statistics": {
        "pointsBalance": 1250,
        "totalPointsEarned": 2000,
        "totalPointsRedeemed": 750,
        "totalSpend": 18450,
        "lastSpentAt": "2024-06-06T22:10:11.000Z",
        "lastPointsEarnedAt": "2024-06-06T22:10:12.000Z",
        "lastPointsRedeemedAt": "2024-05-30T01:00:00.000Z",
    },
}


def decode_one(body: bytes) -> dict[str, object]:
    decoded = decode_customers(b"[" + body + b"]")
    assert (decoded.row_count, decoded.rejects) == (1, ())
    row: dict[str, object] = decoded.rows.to_pylist()[0]
    return row


def held(body: bytes) -> dict[str, object]:
    return {name: value for name, value in decode_one(body).items() if value is not None}


def test_a_full_customer_fills_every_column_and_nothing_is_left_over() -> None:
    row = decode_one(msgspec.json.encode(FULL))
    assert row["extra"] is None
    assert all(value is not None for name, value in row.items() if name != "extra")
    assert (row["updated_at"], row["total_spend"]) == ("2024-06-07T10:00:00Z", 18450)


def test_an_absent_field_is_null_and_not_an_extra() -> None:
    assert held(b'{"id":"a"}') == {"id": "a"}
    assert held(b'{"id":"a","statistics":{}}') == {"id": "a"}


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b'{"id":"a","dob":null}', {"extra": '{"dob":null}'}),
        (b'{"id":"a","statistics":null}', {"extra": '{"statistics":null}'}),
        (b'{"id":"a","vip":{"x":[1.10]}}', {"extra": '{"vip":{"x":[1.10]}}'}),
        (b'{"id":"a","created":"2024"}', {"extra": '{"created":"2024"}'}),
        (
            b'{"id":"a","statistics":{"lastSpend":"x","totalSpend":5}}',
            {"total_spend": 5, "extra": '{"statistics":{"lastSpend":"x"}}'},
        ),
        (
            b'{"id":"a","hasAgreedToMarketing":"yes"}',
            {"extra": '{"hasAgreedToMarketing":"yes"}'},
        ),
        (b'{"id":"a","hasAgreedToMarketing":1}', {"extra": '{"hasAgreedToMarketing":1}'}),
        (
            b'{"id":"a","firstName":5,"lastName":"B"}',
            {"last_name": "B", "extra": '{"firstName":5}'},
        ),
        (
            b'{"id":"a","statistics":{"totalSpend":99999999999999999999}}',
            {"extra": '{"statistics":{"totalSpend":99999999999999999999}}'},
        ),
        (
            b'{"id":"a","statistics":{"totalSpend":true,"pointsBalance":1.5}}',
            {"extra": '{"statistics":{"totalSpend":true,"pointsBalance":1.5}}'},
        ),
        (b'{"id":"a","statistics":[1]}', {"extra": '{"statistics":[1]}'}),
        (b'{"id":"a","firstName":"\\ud83d"}', {"extra": '{"firstName":"\\ud83d"}'}),
        (b'{"id":"a","firstName":"say \\"hi\\": you"}', {"first_name": 'say "hi": you'}),
        (b'{"id" : "a" , "dob" : "x"}', {"dob": "x"}),
        ('{"id":"a","firstName":"Zoë 花子"}'.encode(), {"first_name": "Zoë 花子"}),
    ],
)
def test_what_does_not_fit_its_column_is_kept_as_the_text_that_came(
    body: bytes, expected: dict[str, object]
) -> None:
    assert held(body) == {"id": "a", **expected}


@pytest.mark.parametrize(
    "record", [b"1", b"null", b"[]", b'"a"', b"{}", b'{"id":""}', b'{"id":5}', b'{"id":null}']
)
def test_a_record_without_a_usable_id_is_set_aside_whole_and_the_others_stay(
    record: bytes,
) -> None:
    decoded = decode_customers(b'[{"id":"a"},' + record + b',{"id":"b"}]')
    assert decoded.rows.column("id").to_pylist() == ["a", "b"]
    assert decoded.row_count == 3
    (reject,) = decoded.rejects
    assert (reject.stage, reject.dataset, reject.reason) == (
        "land",
        "customers",
        "record_without_id",
    )
    assert reject.payload == record.decode()
    assert record.decode() not in reject.detail


def test_a_record_that_stands_twice_is_kept_twice() -> None:
    decoded = decode_customers(b'[{"id":"a","dob":"1"},{"id":"a","dob":"2"}]')
    assert decoded.rows.column("dob").to_pylist() == ["1", "2"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"null",
        b"<html>",
        b'[{"id":"a"}',
        b'[{"id":"a"},]',
        b'[{"id":"a"}] x',
        b"[NaN]",
        b'[{"id":"a","x":Infinity}]',
        b'[{"id":"a","id":"b"}]',
        b'[{"id":"a","x":{"y":1,"y":2}}]',
        b'[{"id":"a","dob":"1","dob":"2"}]',
        b'[{"id":"a","statistics":{"totalSpend":1,"totalSpend":2}}]',
        b"[" * 200_000,
        b'[{"id":"a","x":' + b"[" * 100_000 + b"]" * 100_000 + b"}]",
        b'[{"id":"a","x":' + b"1" * 6_000 + b"}]",
        b'[{"id":"a","firstName":"\xe9"}]',
        b'\xef\xbb\xbf[{"id":"a"}]',
        '[{"id":"a"}]'.encode("utf-16"),
    ],
)
def test_a_page_that_cannot_be_trusted_is_an_error_that_quotes_nothing(body: bytes) -> None:
    with pytest.raises(MalformedAnswerError) as caught:
        decode_customers(body)
    assert "firstName" not in str(caught.value)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
WIRE_NAMES = [*(each.encode_name for each in msgspec.structs.fields(Customer)), "created", "vip"]
STATISTICS = ["lastSpend", "totalSpend", "lastSpentAt"]


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.dictionaries(
            st.sampled_from(WIRE_NAMES),
            JSON | st.dictionaries(st.sampled_from(STATISTICS), JSON, min_size=1),
            max_size=6,
        ),
        max_size=4,
    )
)
def test_no_value_is_ever_lost(records: list[dict[str, object]]) -> None:
    sent = [{**each, "id": f"id-{place}"} for place, each in enumerate(records)]
    for each in sent:
        if each.get("statistics") == {}:
            del each["statistics"]  # an object without members says nothing
    decoded = decode_customers(json.dumps(sent).encode())
    assert [rebuild(row) for row in decoded.rows.to_pylist()] == sent


def rebuild(row: dict[str, object]) -> dict[str, object]:
    """Put a row back into the shape in which it came."""
    extra = json.loads(str(row["extra"] or "{}"))
    statistics: dict[str, object] = {}
    record: dict[str, object] = {}
    for name, value in row.items():
        if value is None or name == "extra":
            continue
        wire_name = name.split("_")[0] + "".join(part.title() for part in name.split("_")[1:])
        (statistics if name in STATISTIC_NAMES else record)[wire_name] = value
    rest = extra.pop("statistics", {})
    if statistics or rest != {}:
        record["statistics"] = {**statistics, **rest} if isinstance(rest, dict) else rest
    return {**record, **extra}
