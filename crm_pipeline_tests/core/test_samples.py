"""Sample orders read: states, consents, names, answers, addresses."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.core.samples import (
    ConsentRule,
    address_parts,
    answers,
    granted_channels,
    is_approved,
    newer_status,
    read_order,
    split_name,
    status_rank,
)

STATES = ("PENDING", "APPROVED", "DISPATCHED", "DELIVERED", "REJECTED")
NEWSLETTER = {
    "consent_id": "d2271011-4d8a-47e7-9d4a-5045780fbce9",
    "consent_name": "Newsletter",
    "data_handler": "Brand Ltd",
    "status": "APPROVED",
}
RULE = ConsentRule(consent_id=NEWSLETTER["consent_id"], data_handler="Brand Ltd")


def test_the_known_states_are_ranked_in_their_order_whatever_their_case() -> None:
    ranks = [
        status_rank(state) or 0 for state in ("pending", "Approved", "DISPATCHED", "delivered")
    ]
    assert ranks == sorted(set(ranks))
    assert status_rank("REJECTED") is not None
    assert [status_rank(state) for state in ("IN_CUSTOMS", "", None)] == [None, None, None]


@pytest.mark.parametrize("count", [2, 3, 4])
def test_the_order_of_arrival_never_decides_which_state_is_newer(count: int) -> None:
    for states in itertools.permutations([*STATES, "IN_CUSTOMS"], count):
        last: str | None = None
        for state in states:
            last = newer_status(last, state)
        backwards: str | None = None
        for state in reversed(states):
            backwards = newer_status(backwards, state)
        assert last == backwards


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        (None, None, None),
        (None, "PENDING", "PENDING"),
        ("DELIVERED", None, "DELIVERED"),
        ("DISPATCHED", "APPROVED", "DISPATCHED"),
        ("PENDING", "IN_CUSTOMS", "IN_CUSTOMS"),
        ("APPROVED", "IN_CUSTOMS", "APPROVED"),
        ("IN_CUSTOMS", "APPROVED", "APPROVED"),
        ("IN_CUSTOMS", "AT_SEA", "AT_SEA"),
        ("REJECTED", "APPROVED", "REJECTED"),
        ("DELIVERED", "REJECTED", "REJECTED"),
    ],
)
def test_a_delayed_state_never_takes_an_order_back(
    old: str | None, new: str | None, kept: str | None
) -> None:
    assert newer_status(old, new) == kept


def test_only_the_listed_states_are_approved() -> None:
    listed = ["APPROVED", "dispatched"]
    assert [is_approved(each, listed) for each in ("approved", " DISPATCHED ", "DELIVERED")] == [
        True,
        True,
        False,
    ]
    assert not is_approved(None, listed)
    assert not is_approved("", [""])


def test_a_consent_opens_the_channels_of_its_rule() -> None:
    both = ConsentRule(
        consent_id=RULE.consent_id.upper(), data_handler="Brand Ltd", channels=("sms", "email")
    )
    text = json.dumps([{"consent_id": "other", "status": "APPROVED"}, NEWSLETTER, "?"])
    assert granted_channels(text, [RULE]) == ("email",)
    assert granted_channels(text, [both]) == ("email", "sms")
    assert granted_channels(text, []) == ()


@pytest.mark.parametrize(
    "consents",
    [
        None,
        "",
        "[]",
        "null",
        "{}",
        '["x"]',
        '[{"status": "\\ud800"}]',
        json.dumps([NEWSLETTER | {"status": "PENDING"}]),
        json.dumps([NEWSLETTER | {"status": "REJECTED"}]),
        json.dumps([NEWSLETTER | {"status": None}]),
        json.dumps([NEWSLETTER | {"data_handler": "Partner Retail Ltd"}]),
        json.dumps([NEWSLETTER | {"consent_id": "terms"}]),
        json.dumps([{name: NEWSLETTER[name] for name in ("consent_id", "status")}]),
    ],
)
def test_everything_short_of_our_own_approved_consent_opens_nothing(consents: str | None) -> None:
    assert granted_channels(consents, [RULE]) == ()


@pytest.mark.parametrize(
    ("full_name", "names"),
    [
        ("Asha Lindqvist", ("Asha", "Lindqvist")),
        ("  Asha \t Mary   Lindqvist ", ("Asha Mary", "Lindqvist")),
        ("Pieter van der Berg", ("Pieter", "van der Berg")),
        ("Van Morrison", ("Van", "Morrison")),
        ("de la Cruz", ("de", "la Cruz")),
        ("花子", ("花子", "")),
        ("", ("", "")),
        (None, ("", "")),
    ],
)
def test_a_full_name_is_split_by_rule(full_name: str | None, names: tuple[str, str]) -> None:
    assert split_name(full_name) == names


@given(st.text())
def test_no_word_of_a_name_is_ever_lost(full_name: str) -> None:
    first, last = split_name(full_name)
    assert f"{first} {last}".split() == full_name.split()
    assert first or not last


def question(name: str, *given_answers: Any) -> dict[str, Any]:
    return {"question_id": name, "question_text": "?", "answer": list(given_answers)}


def test_several_answers_become_one_text() -> None:
    text = json.dumps(
        [
            question(
                "concern",
                {"answer_text": "Ageing", "answer_id": "a"},
                {"answer_text": "Sun; wind", "answer_id": "b"},
                {"answer_text": "Ageing", "answer_id": "a"},
            ),
            question("why", {"answer_text": "My sister; and I."}),
            question("skin", {"answer_id": "dry-1"}),
            question("unwanted", {"answer_text": "no"}),
            question("empty"),
            question("blank", {"answer_text": " "}, None, 5),
            {"question_id": "bare", "answer": "Because."},
            {"question_id": None, "answer": []},
        ]
    )
    wanted = {name: f"custom.{name}" for name in ("concern", "why", "skin", "empty", "blank")}
    assert answers(text, wanted | {"bare": "custom.why"}) == {
        "custom.concern": "Ageing;Sun, wind",
        "custom.why": "My sister, and I.;Because.",
        "custom.skin": "dry-1",
    }
    assert answers(text, {"why": "custom.why"}) == {"custom.why": "My sister; and I."}
    assert answers(None, wanted) == {}


def test_an_address_has_the_names_of_the_crm() -> None:
    address = {
        "line_1": " Flat 2 ",
        "line_2": "",
        "town": "Leeds",
        "district": "West Yorkshire",
        "territory": "gbr",
        "postcode": "LS1 4AB",
        "planet": "Earth",
    }
    assert address_parts(json.dumps(address)) == {
        "address_line_1": "Flat 2",
        "town_city": "Leeds",
        "state_province_county": "West Yorkshire",
        "postal_code": "LS1 4AB",
        "country_code": "GBR",
    }
    assert address_parts(json.dumps({"town": 5, "territory": "Atlantis"})) == {}
    assert address_parts("[]") == address_parts(None) == {}


def test_a_landed_row_is_read_as_a_whole() -> None:
    row = {
        "id": "9a7b6c5d-4e3f-4a2b-8c1d-0e9f8a7b6c5d",
        "short_id": "4821KQZTRWM",
        "activity_id": None,
        "status": "Delivered",
        "full_name": "Asha Lindqvist",
        "email": "asha@example.com",
        "telephone": None,
        "identity": "b0f1",
        "provider": "brand-site",
        "address": '{"town": "Leeds"}',
        "line_items": "[]",
        "consents": "[]",
        "custom_questions": None,
        "changed_at": None,
        "extra": None,
    }
    order = read_order(row)
    assert (order.first_name, order.last_name) == ("Asha", "Lindqvist")
    assert order.rank == status_rank("DELIVERED")
    assert order.address == {"town_city": "Leeds"}
    assert (order.status, order.telephone, order.consents) == ("Delivered", None, "[]")
