"""Bodies, comparison and reading of CRM.COM, as literal values."""

import pytest

from crm_pipeline.core.records import RemoteObject
from crm_pipeline.destinations.crm_com.comparing import is_same
from crm_pipeline.destinations.crm_com.contacts.bodies import create_body, update_body
from crm_pipeline.destinations.crm_com.contacts.reading import read_contact, read_own
from crm_pipeline_tests.destinations.conftest import MINA


def test_a_create_holds_everything_the_vendor_documents() -> None:
    assert create_body("loke:A", MINA) == {
        "type": "PERSON",
        "code": "loke:A",
        "person_name": {"first_name": "Mina", "last_name": "Okafor"},
        "email_address": "mina.okafor@example.com",
        "phone": {"country_code": "AUS", "number": "400000001", "type": "MOBILE"},
        "demographics": {
            "gender": "FEMALE",
            "date_of_birth": {"year": 1990, "month": 5, "day": 17},
        },
        "email_opt_out": False,
        "sms_opt_out": True,
        "custom_fields": [
            {"key": "loke_customer_id", "value": "A"},
            {"key": "loke_points_balance", "value": "1250"},
            {"key": "loke_total_spend", "value": "184.50"},
        ],
    }


def test_a_create_leaves_out_what_has_no_value() -> None:
    assert create_body("loke:A", {"first_name": "M", "last_name": "", "phone_country": "AUS"}) == {
        "type": "PERSON",
        "code": "loke:A",
        "person_name": {"first_name": "M"},
        "email_opt_out": True,
        "sms_opt_out": True,
    }


@pytest.mark.parametrize(
    ("names", "body"),
    [
        (["last_name"], {"person_name": {"first_name": "Mina", "last_name": "Okafor"}}),
        (["email"], {"email_address": "mina.okafor@example.com"}),
        (
            ["gender"],
            {
                "demographics": {
                    "gender": "FEMALE",
                    "date_of_birth": {"year": 1990, "month": 5, "day": 17},
                }
            },
        ),
        (["email_opt_out"], {"email_opt_out": False}),
        (
            ["custom.loke_points_balance"],
            {"custom_fields": [{"key": "loke_points_balance", "value": "1250"}]},
        ),
        (
            ["custom.loke_last_spent_at"],
            {"custom_fields": [{"key": "loke_last_spent_at", "value": None}]},
        ),
    ],
)
def test_an_update_holds_the_changed_members_and_the_opt_outs(
    names: list[str], body: dict[str, object]
) -> None:
    assert update_body(MINA, names) == {**body, "sms_opt_out": True}


def test_an_update_of_nothing_is_empty() -> None:
    assert update_body(MINA, []) == {}


@pytest.mark.parametrize(
    ("names", "member"),
    [(["email"], "email_address"), (["phone_country", "phone_number"], "phone")],
)
def test_a_removed_medium_is_cleared(names: list[str], member: str) -> None:
    assert update_body({"first_name": "M"}, names) == {member: None}


@pytest.mark.parametrize(
    "content",
    [
        {
            "id": "7",
            "code": "loke:A",
            "first_name": "Mina",
            "last_name": "Okafor",
            "email": "m@example.com",
            "phone": {"id": "p", "country_code": "AUS", "number": "4", "type": "MOBILE"},
            "demographics": {
                "gender": "FEMALE",
                "date_of_birth": {"year": 990, "month": 5, "day": 7},
            },
            "email_opt_out": False,
            "custom_fields": [{"key": "k", "value": "v"}, {"key": "none", "value": None}],
        },
        {
            "id": "7",
            "code": "loke:A",
            "person_name": {"first_name": "Mina", "last_name": "Okafor"},
            "email_address": "m@example.com",
            "phones": [
                {"country_code": "CYP", "number": "9"},
                {"country_code": "AUS", "number": "4", "is_primary": True},
            ],
            "demographics": {"gender": "FEMALE", "date_of_birth": "0990-05-07"},
            "email_opt_out": False,
            "custom_fields": [{"key": "k", "value": "v"}],
        },
    ],
)
def test_both_spellings_of_a_contact_are_read(content: dict[str, object]) -> None:
    assert read_contact(content, key_prefix="loke:") == RemoteObject(
        crm_id="7",
        key="loke:A",
        fields={
            "first_name": "Mina",
            "last_name": "Okafor",
            "email": "m@example.com",
            "phone_country": "AUS",
            "phone_number": "4",
            "date_of_birth": "0990-05-07",
            "gender": "FEMALE",
            "email_opt_out": False,
            "custom.k": "v",
        },
    )


@pytest.mark.parametrize(
    "content",
    [None, [], "x", {}, {"id": None}, {"id": ["7"]}],
)
def test_what_has_no_id_is_no_contact(content: object) -> None:
    assert read_contact(content, key_prefix="loke:") is None


def test_members_of_an_unexpected_form_are_left_out() -> None:
    odd = dict.fromkeys(("person_name", "phone", "phones", "demographics"), 5.5)
    contact = read_contact(
        {"id": 7, **odd, "email": ["x"], "email_opt_out": "yes", "custom_fields": {"a": 1}},
        key_prefix="loke:",
    )
    assert contact == RemoteObject(crm_id="7", key=None, fields={})


@pytest.mark.parametrize(
    ("field", "wrote", "found", "expected"),
    [
        ("first_name", None, "", True),
        ("first_name", "Zoë", "Zoe\u0308 ", True),
        ("first_name", "Zoë", "Zoe", False),
        ("email", "A@Example.com", "a@example.COM", True),
        ("phone_number", "400 000 001", "400000001", True),
        ("phone_country", "aus", "AUS", True),
        ("gender", "FEMALE", "female", True),
        ("email_opt_out", False, None, True),
        ("email_opt_out", True, None, False),
        ("email_opt_out", True, False, False),
        ("custom.x", "1.50", "1.5", True),
        ("custom.x", "1250", 1250, True),
        ("custom.x", "01", "1", True),
        ("custom.x", "1e3", "1000", False),
        ("custom.x", "-", "-", True),
        ("custom.x", True, "true", True),
        ("date_of_birth", "1990-05-17", "1990-05-18", False),
    ],
)
def test_values_are_compared_by_meaning(
    field: str, wrote: object, found: object, expected: bool
) -> None:
    assert is_same(field, wrote, found) is expected


def test_a_contact_that_is_found_by_our_code_is_ours_even_when_it_does_not_repeat_the_code() -> (
    None
):
    assert read_own({"id": "7"}, key="loke:A") == RemoteObject(crm_id="7", key="loke:A", fields={})
    assert read_own({"id": "7", "code": "loke:B"}, key="loke:A") is None
