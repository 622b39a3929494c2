"""Lists of the fake CRM.COM page, sort and filter as observed."""

import datetime as dt

import httpx
import pytest

from crm_pipeline.sandbox import Sandbox
from crm_pipeline_tests.sandbox.conftest import SMALL, Clock


@pytest.fixture
def full(sandbox: Sandbox, crm: httpx.Client, clock: Clock) -> httpx.Client:
    """The CRM client, over 25 contacts of which each is a minute younger than the one before."""
    for number in range(25):
        body = {
            "code": f"c{number:02d}",
            "person_name": {"first_name": "Åsa" if number % 2 else "Bo", "last_name": f"N{number}"},
            "email_address": f"person{number}@mail.example.com",
            "phone": {"country_code": "AUS", "number": f"4000000{number:02d}"},
        }
        sandbox.crm_com.add(SMALL.slug, [body])
        clock.turn(minutes=1)
    return crm


def codes(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [row["code"] for row in answer.json()["content"]]


def test_ten_rows_newest_first_are_the_default(full: httpx.Client) -> None:
    answer = full.get("/contacts")
    assert codes(answer) == [f"c{number:02d}" for number in range(24, 14, -1)]
    assert answer.json()["paging"] == {"page": 1, "size": 10, "total": None, "has_more": True}


def test_size_is_the_number_of_rows_returned(full: httpx.Client) -> None:
    assert full.get("/contacts?page=3").json()["paging"] == {
        "page": 3,
        "size": 5,
        "total": None,
        "has_more": False,
    }
    beyond = full.get("/contacts?page=4").json()
    assert beyond["content"] == []
    assert beyond["paging"] == {"page": 4, "size": 0, "total": None, "has_more": False}


def test_a_full_last_page_has_no_more(full: httpx.Client) -> None:
    assert full.get("/contacts?size=5&page=5").json()["paging"]["has_more"] is False
    assert full.get("/contacts?size=5&page=4").json()["paging"]["has_more"] is True


def test_order_can_be_turned(full: httpx.Client) -> None:
    assert codes(full.get("/contacts?order=ASC&size=3&page=2")) == ["c03", "c04", "c05"]
    assert codes(full.get("/contacts?sort=CODE&order=ASC&size=2")) == ["c00", "c01"]
    assert codes(full.get("/contacts?sort=CODE&order=DESC&size=2")) == ["c24", "c23"]


def test_a_total_is_given_when_asked_for_and_never_above_ten_thousand(
    sandbox: Sandbox, full: httpx.Client
) -> None:
    assert full.get("/contacts?include_total=true").json()["paging"]["total"] == 25
    sandbox.crm_com.seed(SMALL.slug, 10_001)
    assert full.get("/contacts?include_total=true").json()["paging"]["total"] == 10_000


def test_a_size_above_a_hundred_is_lowered(sandbox: Sandbox, crm: httpx.Client) -> None:
    sandbox.crm_com.seed(SMALL.slug, 150)
    answer = crm.get("/contacts?size=1000").json()
    assert (len(answer["content"]), answer["paging"]["size"]) == (100, 100)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("email_address=PERSON7@mail.example.com", ["c07"]),
        ("code=c07", ["c07"]),
        ("code=C07", []),
        ("phone_number=400000007", ["c07"]),
        ("cim=person7@mail.example.com", ["c07"]),
        ("cim=400000007", ["c07"]),
        ("code=c07&email_address=person7@mail.example.com", ["c07"]),
        ("code=c08&email_address=person7@mail.example.com", []),
        ("search_value=person7@", ["c07"]),
        ("search_value=bo n4", ["c04"]),
        ("search_value=c2&order=ASC", ["c20", "c21", "c22", "c23", "c24"]),
        ("search_value=nobody", []),
    ],
)
def test_contacts_are_found(full: httpx.Client, query: str, found: list[str]) -> None:
    assert codes(full.get(f"/contacts?{query}")) == found


def test_contacts_are_filtered_by_when_they_were_created(full: httpx.Client) -> None:
    start = int(dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC).timestamp())
    between: dict[str, str | int] = {
        "created_on[gte]": start + 120,
        "created_on[lt]": start + 300,
        "order": "ASC",
    }
    assert codes(full.get("/contacts", params=between)) == ["c02", "c03", "c04"]
    later: dict[str, str | int] = {"created_on[gt]": start + 22 * 60, "include_total": "true"}
    assert full.get("/contacts", params=later).json()["paging"]["total"] == 2


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "size=-1", "sort=HEIGHT", "order=UP", "created_on[gte]=today"]
)
def test_a_wrong_parameter_is_refused(full: httpx.Client, query: str) -> None:
    answer = full.get(f"/contacts?{query}")
    assert (answer.status_code, answer.json()["parameters"]) == (
        400,
        [query.split("=", maxsplit=1)[0]],
    )


def test_a_deleted_contact_leaves_the_list_and_frees_its_code(
    sandbox: Sandbox, full: httpx.Client
) -> None:
    sandbox.crm_com.delete(SMALL.slug, ids=["c07"])
    assert codes(full.get("/contacts?code=c07")) == []
    assert full.get("/contacts?include_total=true").json()["paging"]["total"] == 24
    again = {"code": "c07", "person_name": {"first_name": "N", "last_name": "N"}}
    assert full.post("/contacts", json=again).status_code == 200


def test_a_number_without_country_finds_everybody_who_has_it(
    sandbox: Sandbox, full: httpx.Client
) -> None:
    twin = {"first_name": "N", "last_name": "N"}
    phone = {"country_code": "NZL", "number": "400000007"}
    sandbox.crm_com.add(SMALL.slug, [{"code": "nz", "person_name": twin, "phone": phone}])
    assert sorted(codes(full.get("/contacts?phone_number=400000007"))) == ["c07", "nz"]
    sandbox.crm_com.mutate(SMALL.slug, ids=["c07"], fields={"phone": None})
    assert codes(full.get("/contacts?phone_number=400000007&order=ASC")) == ["nz"]


def test_the_wallet_comes_when_asked_for(full: httpx.Client) -> None:
    assert "wallet" not in full.get("/contacts").json()["content"][0]
    assert "wallet" in full.get("/contacts?include_wallet=true").json()["content"][0]
