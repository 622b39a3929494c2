"""Bodies, comparison and reading of CRM.COM, as literal values."""

import pytest

from crm_pipeline.core.records import Fields, RemoteObject
from crm_pipeline.destinations.crm_com.comparing import is_same
from crm_pipeline.destinations.crm_com.contacts.bodies import create_body, update_body
from crm_pipeline.destinations.crm_com.contacts.reading import read_contact, read_own
from crm_pipeline_tests.destinations.conftest import MINA

#: How codes of ours begin, and the custom field that names the record of one that was linked.
OWN = {"loke:": "custom.loke_customer_id", "sopost:": "custom.sopost_identity"}
HOME: Fields = {
    "address_line_1": "5 Rue Kennedy",
    "address_line_2": "Flat 2",
    "town_city": "Paris",
    "state_province_county": "Ile-de-France",
    "postal_code": "75001",
    "address_country": "FRA",
}
SENT_HOME = {
    "type": "HOME",
    "is_primary": True,
    "address_line_1": "5 Rue Kennedy",
    "address_line_2": "Flat 2",
    "town_city": "Paris",
    "state_province_county": "Ile-de-France",
    "postal_code": "75001",
    "country_code": "FRA",
}


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


def test_a_create_holds_the_parts_of_an_address_that_there_are() -> None:
    assert create_body("loke:A", {**MINA, **HOME})["address"] == SENT_HOME
    partial = {**MINA, "town_city": "Paris", "address_country": "", "postal_code": None}
    body = create_body("loke:A", partial)
    assert body["address"] == {"type": "HOME", "is_primary": True, "town_city": "Paris"}
    assert body["phone"]["country_code"] == "AUS"
    assert "address" not in create_body("loke:A", MINA)


def test_an_address_travels_whole_and_leaves_the_phone_alone() -> None:
    assert update_body(HOME, ["address_country"]) == {"address": SENT_HOME}
    moved = {"town_city": "Lyon", "phone_country": "AUS"}
    empty = dict.fromkeys(SENT_HOME)
    assert update_body(moved, ["town_city", "address_line_1"]) == {
        "address": {**empty, "type": "HOME", "is_primary": True, "town_city": "Lyon"}
    }
    assert "address" not in update_body({**MINA, **HOME}, ["phone_country", "phone_number"])


def test_an_address_of_which_nothing_is_left_is_cleared() -> None:
    assert update_body({"first_name": "M"}, list(HOME)) == {"address": None}


@pytest.mark.parametrize(
    "shown",
    [
        {"address": {"id": "a", "name": None, **SENT_HOME}},
        {"addresses": [{"town_city": "Office", "type": "BUSINESS", "is_primary": True}, SENT_HOME]},
        {"addresses": [{"town_city": "Old", "type": "HOME"}, SENT_HOME]},
        {"addresses": [5, {**SENT_HOME, "type": "ALTERNATIVE"}], "address": None},
    ],
)
def test_the_home_address_is_read(shown: dict[str, object]) -> None:
    contact = read_contact({"id": "7", "phone": {"country_code": "AUS"}, **shown}, own=OWN)
    assert contact is not None
    assert contact.fields == {"phone_country": "AUS", **HOME}


@pytest.mark.parametrize(
    ("content", "key"),
    [
        ({"code": "sopost:p-1"}, "sopost:p-1"),
        ({"code": "other:p-1"}, None),
        ({"code": "16", "custom_fields": [{"key": "loke_customer_id", "value": "A"}]}, "loke:A"),
        ({"code": "16", "custom_fields": [{"key": "sopost_identity", "value": "p"}]}, "sopost:p"),
        (
            {
                "code": "loke:A",
                "custom_fields": [
                    {"key": "sopost_identity", "value": "p"},
                    {"key": "loke_customer_id", "value": "B"},
                ],
            },
            "loke:A",
        ),
    ],
)
def test_a_contact_is_ours_by_its_code_or_by_the_record_that_it_names(
    content: dict[str, object], key: str | None
) -> None:
    contact = read_contact({"id": "7", **content}, own=OWN)
    assert contact is not None
    assert contact.key == key


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
    assert read_contact(content, own=OWN) == RemoteObject(
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
    assert read_contact(content, own=OWN) is None


def test_members_of_an_unexpected_form_are_left_out() -> None:
    odd = dict.fromkeys(("person_name", "phone", "phones", "demographics", "address"), 5.5)
    contact = read_contact(
        {
            "id": 7,
            **odd,
            "email": ["x"],
            "email_opt_out": "yes",
            "custom_fields": {"a": 1},
            "addresses": "x",
        },
        own=OWN,
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
        ("address_country", "fra", "FRA", True),
        ("address_country", "FRA", None, False),
        ("postal_code", "SW1A 1AA", "sw1a1aa", True),
        ("postal_code", "01000", "1000", False),
        ("town_city", "Paris ", "Paris", True),
        ("town_city", "Paris", "Lyon", False),
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
