"""The fake CRM.COM keeps contacts as the vendor's sources say, traps included."""

from typing import Any

import httpx
import pytest

from crm_pipeline.sandbox import Sandbox
from crm_pipeline_tests.sandbox.conftest import BIG, SMALL, Clock

MINA: dict[str, Any] = {
    "type": "PERSON",
    "code": "loke:01FCC/1",
    "person_name": {"first_name": "Mina", "last_name": "Okafor"},
    "email_address": "Mina@mail.example.com",
    "phone": {"country_code": "AUS", "number": "411222333", "type": "MOBILE"},
    "demographics": {
        "gender": "FEMALE",
        "date_of_birth": {"year": 1990, "month": 5, "day": 17},
    },
    "email_opt_out": True,
    "sms_opt_out": True,
    "custom_fields": [{"key": "loke_points_balance", "value": "1250"}],
}
BY_CODE = "/contacts/loke%3A01FCC%2F1"
BARE = {"person_name": {"first_name": "Bo", "last_name": "Li"}}


def create(crm: httpx.Client, body: dict[str, Any]) -> str:
    answer = crm.post("/contacts", json=body)
    assert answer.status_code == 200, answer.text
    assert set(answer.json()) == {"id"}
    identity = answer.json()["id"]
    assert isinstance(identity, str)
    return identity


def refused(answer: httpx.Response) -> tuple[int, str, list[str]]:
    body = answer.json()
    assert set(body) == {"status", "message", "error", "parameters"}
    assert body["status"] == answer.status_code
    return answer.status_code, body["error"].rpartition(".")[2], body["parameters"]


def test_a_contact_is_read_flat_by_id_and_by_its_encoded_code(
    crm: httpx.Client, clock: Clock
) -> None:
    identity = create(crm, MINA)
    contact = crm.get(f"/contacts/{identity}").json()
    assert contact == crm.get(BY_CODE).json()
    expected = {
        "id": identity,
        "code": "loke:01FCC/1",
        "type": "PERSON",
        "first_name": "Mina",
        "last_name": "Okafor",
        "email": "Mina@mail.example.com",
        "demographics": MINA["demographics"],
        "email_opt_out": True,
        "sms_opt_out": True,
        "custom_fields": [{"key": "loke_points_balance", "value": "1250"}],
        "created_on": int(clock().timestamp()),
    }
    assert {name: contact[name] for name in expected} == expected
    assert {name: contact["phone"][name] for name in MINA["phone"]} == MINA["phone"]


def test_whoever_leaves_the_opt_out_flags_out_opts_the_person_in(crm: httpx.Client) -> None:
    contact = crm.get(f"/contacts/{create(crm, BARE)}").json()
    assert (contact["email_opt_out"], contact["sms_opt_out"]) == (False, False)


def test_a_missing_code_becomes_sixteen_random_digits(crm: httpx.Client) -> None:
    codes = {crm.get(f"/contacts/{create(crm, BARE)}").json()["code"] for _ in range(3)}
    assert len(codes) == 3
    assert all(len(code) == 16 and code.isdecimal() for code in codes)


def test_a_code_is_unique_and_cannot_be_changed(crm: httpx.Client) -> None:
    create(crm, MINA)
    again = {**BARE, "code": MINA["code"]}
    assert refused(crm.post("/contacts", json=again)) == (
        400,
        "CODEALREADYEXISTSEXCEPTION",
        ["code", MINA["code"]],
    )
    assert refused(crm.put(BY_CODE, json={"code": "other"}))[2] == ["code"]
    assert crm.put(BY_CODE, json={"code": MINA["code"]}).status_code == 200
    assert refused(crm.put(BY_CODE, json={"type": "COMPANY"}))[2] == ["type"]


def test_an_email_belongs_to_one_contact_whatever_its_case(crm: httpx.Client) -> None:
    create(crm, MINA)
    other = create(crm, BARE)
    taken = {"email_address": "mina@MAIL.example.com"}
    expected = (
        400,
        "CIMALREADYEXISTSFORANOTHERCONTACTEXCEPTION",
        ["email", "mina@mail.example.com"],
    )
    assert refused(crm.post("/contacts", json=BARE | taken)) == expected
    assert refused(crm.put(f"/contacts/{other}", json=taken)) == expected
    assert crm.put(BY_CODE, json=taken).status_code == 200


def test_a_phone_belongs_to_one_contact_within_its_country(crm: httpx.Client) -> None:
    create(crm, MINA)
    same = {"phone": {"country_code": "AUS", "number": "411222333"}}
    assert refused(crm.post("/contacts", json=BARE | same)) == (
        400,
        "CIMALREADYEXISTSFORANOTHERCONTACTEXCEPTION",
        ["phone", "411222333"],
    )
    create(crm, BARE | {"phone": {"country_code": "NZL", "number": "411222333"}})


def test_an_address_that_was_given_up_is_free(crm: httpx.Client) -> None:
    create(crm, MINA)
    crm.put(BY_CODE, json={"email_address": "new@mail.example.com", "phone": None})
    create(crm, BARE | {"email_address": MINA["email_address"], "phone": MINA["phone"]})


def test_a_refused_write_changes_nothing(sandbox: Sandbox, crm: httpx.Client) -> None:
    create(crm, MINA)
    create(crm, BARE | {"email_address": "bo@mail.example.com"})
    before = sandbox.crm_com.contacts(SMALL.crm_test_key)
    for body in (
        {"email_opt_out": False, "email_address": "bo@mail.example.com"},
        {"email_opt_out": False, "person_name": {"last_name": ""}},
        {"email_opt_out": False, "custom_fields": [{"key": "unknown", "value": "1"}]},
    ):
        assert crm.put(BY_CODE, json=body).status_code == 400
    assert sandbox.crm_com.contacts(SMALL.crm_test_key) == before


def test_what_is_not_sent_stays_and_null_clears(crm: httpx.Client) -> None:
    create(crm, MINA)
    before = crm.get(BY_CODE).json()
    assert crm.put(BY_CODE, json={}).json() == {"id": before["id"]}
    assert crm.get(BY_CODE).json() == before
    crm.put(
        BY_CODE,
        json={
            "person_name": {"first_name": "Minna"},
            "email_address": None,
            "phone": None,
            "demographics": {"gender": None},
            "sms_opt_out": None,
        },
    )
    after = crm.get(BY_CODE).json()
    assert (after["first_name"], after["last_name"]) == ("Minna", "Okafor")
    assert after["email"] is after["phone"] is None
    assert after["demographics"] == {
        "gender": None,
        **{"date_of_birth": {"year": 1990, "month": 5, "day": 17}},
    }
    assert (after["email_opt_out"], after["sms_opt_out"]) == (True, False)


def test_an_address_may_lack_parts_and_is_replaced_as_one(crm: httpx.Client) -> None:
    given = {"type": "HOME", "is_primary": True, "town_city": "Paris", "country_code": "FRA"}
    create(crm, {**MINA, "address": given})
    first = crm.get(BY_CODE).json()["address"]
    assert {name: first[name] for name in given} == given
    assert first["address_line_1"] is first["postal_code"] is None
    assert crm.get("/contacts").json()["content"][0]["address"] == first
    crm.put(BY_CODE, json={"address": {"address_line_1": "1 High Street", "postal_code": ""}})
    second = crm.get(BY_CODE).json()["address"]
    assert second["id"] == first["id"]
    assert second["address_line_1"] == "1 High Street"
    assert second["town_city"] is second["postal_code"] is second["country_code"] is None
    crm.put(BY_CODE, json={"sms_opt_out": True})
    assert crm.get(BY_CODE).json()["address"] == second
    crm.put(BY_CODE, json={"address": None})
    assert crm.get(BY_CODE).json()["address"] is None


def test_a_name_and_a_birthday_are_cleared_by_null(crm: httpx.Client) -> None:
    create(crm, MINA)
    answer = crm.put(BY_CODE, json={"person_name": None})
    assert refused(answer)[2] == ["first_name"]
    crm.put(BY_CODE, json={"demographics": {"date_of_birth": None}})
    assert crm.get(BY_CODE).json()["demographics"]["date_of_birth"] is None
    crm.put(BY_CODE, json={"demographics": None})
    assert crm.get(BY_CODE).json()["demographics"] is None


def test_custom_fields_merge_by_key(crm: httpx.Client) -> None:
    create(crm, MINA)
    crm.put(
        BY_CODE,
        json={
            "custom_fields": [
                {"key": "loke_points_balance", "value": None},
                {"key": "loke_total_spend", "value": "18450"},
                {"key": "loke_customer_id", "value": ""},
            ]
        },
    )
    assert crm.get(BY_CODE).json()["custom_fields"] == [
        {"key": "loke_total_spend", "value": "18450"},
        {"key": "loke_customer_id", "value": ""},
    ]
    crm.put(BY_CODE, json={"custom_fields": None})
    assert crm.get(BY_CODE).json()["custom_fields"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"person_name": {"first_name": "Mononym", "last_name": ""}}, "last_name"),
        ({"person_name": {"last_name": "Okafor"}}, "first_name"),
        ({}, "first_name"),
        ({"type": "COMPANY"}, "company_name"),
        ({"type": "ROBOT"}, "type"),
        (BARE | {"person_name": "Mina"}, "person_name"),
        (BARE | {"person_name": {"first_name": 1, "last_name": "x"}}, "first_name"),
        (BARE | {"email_address": "no at sign"}, "email_address"),
        (BARE | {"email_address": 5}, "email_address"),
        (BARE | {"phone": "+61411222333"}, "phone"),
        (BARE | {"phone": {"country_code": "AU", "number": "411222333"}}, "country_code"),
        (BARE | {"phone": {"number": "411222333"}}, "country_code"),
        (BARE | {"phone": {"country_code": "AUS", "number": "+61411222333"}}, "number"),
        (BARE | {"phone": {"country_code": "AUS", "number": "4", "type": "HOME"}}, "type"),
        (BARE | {"address": "5 Rue Kennedy"}, "address"),
        (BARE | {"address": {"country_code": "FR"}}, "country_code"),
        (BARE | {"address": {"type": "MOBILE"}}, "type"),
        (BARE | {"address": {"is_primary": "yes"}}, "is_primary"),
        (BARE | {"address": {"town_city": 5}}, "town_city"),
        (BARE | {"demographics": {"gender": "female"}}, "gender"),
        (BARE | {"demographics": []}, "demographics"),
        (
            BARE | {"demographics": {"date_of_birth": {"year": 1990, "month": 2, "day": 30}}},
            "date_of_birth",
        ),
        (BARE | {"demographics": {"date_of_birth": "1990-05-17"}}, "date_of_birth"),
        (BARE | {"email_opt_out": "yes"}, "email_opt_out"),
        (BARE | {"custom_fields": [{"key": "unknown", "value": "1"}]}, "unknown"),
        (
            BARE | {"custom_fields": [{"key": "loke_points_balance", "value": 1250}]},
            "loke_points_balance",
        ),
        (BARE | {"custom_fields": {"loke_points_balance": "1"}}, "custom_fields"),
    ],
)
def test_a_wrong_value_is_refused_by_the_name_of_its_field(
    crm: httpx.Client, body: dict[str, Any], field: str
) -> None:
    answer = crm.post("/contacts", json=body)
    assert refused(answer) == (400, "INVALIDVALUEEXCEPTION", [field])


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"a=b"])
def test_a_body_that_is_no_json_object_is_refused(crm: httpx.Client, raw: bytes) -> None:
    assert refused(crm.post("/contacts", content=raw))[0] == 400


def test_unknown_fields_are_ignored(crm: httpx.Client) -> None:
    contact = crm.get(
        f"/contacts/{create(crm, BARE | {'nickname': 'B', 'first_name': 'X'})}"
    ).json()
    assert contact["first_name"] == "Bo"
    assert "nickname" not in contact


def test_a_company_needs_a_company_name_only(crm: httpx.Client) -> None:
    identity = create(crm, {"type": "COMPANY", "company_name": "Harbour Pty"})
    assert crm.get(f"/contacts/{identity}").json()["company_name"] == "Harbour Pty"


def test_which_name_of_the_email_field_is_understood_is_a_switch(
    sandbox: Sandbox, crm: httpx.Client
) -> None:
    def kept(**fields: str) -> object:
        return crm.get(f"/contacts/{create(crm, BARE | fields)}").json()["email"]

    assert kept(email="a@mail.example.com") == "a@mail.example.com"
    assert kept(email_address="b@mail.example.com") == "b@mail.example.com"
    sandbox.crm_com.switch(email_field="email_address")
    assert kept(email="c@mail.example.com") is None


@pytest.mark.parametrize("status", [400, 404])
def test_not_found_is_400_or_404_as_switched(
    sandbox: Sandbox, crm: httpx.Client, status: int
) -> None:
    sandbox.crm_com.switch(not_found_status=status)
    for answer in (
        crm.get("/contacts/none"),
        crm.put("/contacts/none", json={}),
        crm.get("/contacts/none/tags"),
    ):
        assert refused(answer) == (status, "NOTFOUNDEXCEPTION", ["contact", "none"])


def test_a_missing_or_unknown_key_is_refused(sandbox: Sandbox, crm: httpx.Client) -> None:
    assert httpx.get(f"{sandbox.crm_com_url}/contacts", verify=False).status_code == 401
    assert refused(crm.get("/contacts", headers={"api_key": "guess"}))[0] == 401


def test_a_read_only_key_reads_the_test_data_and_writes_nothing(crm: httpx.Client) -> None:
    identity = create(crm, MINA)
    reader = {"api_key": SMALL.crm_read_only_key}
    assert crm.get(f"/contacts/{identity}", headers=reader).status_code == 200
    for answer in (
        crm.post("/contacts", json=BARE, headers=reader),
        crm.put(BY_CODE, json={}, headers=reader),
        crm.put(f"{BY_CODE}/tags", json={"tags": []}, headers=reader),
    ):
        assert refused(answer)[0] == 403


def test_test_and_live_keys_and_organisations_have_their_own_data(crm: httpx.Client) -> None:
    identity = create(crm, MINA)
    for key in (SMALL.crm_live_key, BIG.crm_test_key, BIG.crm_live_key):
        other = {"api_key": key}
        assert crm.get(f"/contacts/{identity}", headers=other).status_code == 400
        assert crm.post("/contacts", json=MINA, headers=other).status_code == 200


def test_tags_are_replaced_and_must_exist(sandbox: Sandbox, crm: httpx.Client) -> None:
    create(crm, MINA)
    tags = crm.get("/tags?entity=CONTACTS").json()["content"]
    assert {"id", "name", "description", "colour", "entity", "state"} == set(tags[0])
    path = f"{BY_CODE}/tags"
    assert crm.get(path).json() == {"content": []}
    for wanted in ([tags[0]["id"], tags[1]["id"]], [tags[2]["id"]], []):
        assert crm.put(path, json={"tags": wanted}).status_code == 200
        assert [tag["id"] for tag in crm.get(path).json()["content"]] == wanted
    assert refused(crm.put(path, json={"tags": ["none"]}))[2] == ["tags"]
    assert refused(crm.put(path, json={"tag": []}))[2] == ["tags"]
    sandbox.crm_com.switch(tags_mode="add")
    crm.put(path, json={"tags": [tags[0]["id"]]})
    crm.put(path, json={"tags": [tags[1]["id"]]})
    assert [tag["name"] for tag in crm.get(path).json()["content"]] == [
        tags[0]["name"],
        tags[1]["name"],
    ]


def test_custom_fields_are_listed_for_contacts_and_can_be_configured(
    sandbox: Sandbox, crm: httpx.Client
) -> None:
    answer = crm.get("/custom_fields?entity=CONTACTS&size=100").json()
    assert {row["key"] for row in answer["content"]} == set(sandbox.settings.custom_fields)
    assert crm.get("/custom_fields?entity=ORDERS").json()["content"] == []
    sandbox.crm_com.configure_custom_fields(["shoe_size"])
    create(crm, BARE | {"custom_fields": [{"key": "shoe_size", "value": "38"}]})


def test_customers_is_another_name_of_contacts(crm: httpx.Client) -> None:
    create(crm, MINA)
    assert crm.get("/customers").json() == crm.get("/contacts").json()


def test_an_unknown_path_or_method_is_refused(crm: httpx.Client) -> None:
    assert refused(crm.get("/subscriptions"))[0] == 404
    assert refused(crm.delete(BY_CODE))[0] == 405
