"""The invented people have what real ones have, and are the same every time."""

import datetime as dt
from collections import Counter

import phonenumbers
import pytest

from crm_pipeline.sandbox.people import Customer, People
from crm_pipeline.sandbox.timeline import Timeline

ORGANISATION = "01HSANDB0XN0RTHS1DEBAKE002"
COUNT = 10_000


@pytest.fixture(scope="module")
def people() -> People:
    return People(7, ORGANISATION)


@pytest.fixture(scope="module")
def crowd(people: People) -> list[Customer]:
    return [people.person(index) for index in range(COUNT)]


def share(crowd: list[Customer], field: str) -> float:
    return sum(field in each for each in crowd) / len(crowd)


def test_the_same_seed_organisation_and_index_give_the_same_person(people: People) -> None:
    again = People(7, ORGANISATION)
    assert [again.person(index) for index in (0, 1, 999_999)] == [
        people.person(index) for index in (0, 1, 999_999)
    ]


def test_another_seed_or_organisation_gives_other_people(people: People) -> None:
    others = (People(8, ORGANISATION), People(7, "01HSANDB0XHARB0VRC0FFEE001"))
    assert all(other.id_of(5) != people.id_of(5) for other in others)


def test_an_id_leads_back_to_its_index_and_a_foreign_id_to_nobody(people: People) -> None:
    assert people.index_of_id(people.id_of(123_456)) == 123_456
    for foreign in ("", "x", "01HSANDB0XN0RTHS1DEBAKE002", "u" * 26, people.id_of(3).lower()):
        assert people.index_of_id(foreign) is None


def test_ids_are_26_characters_and_unique(crowd: list[Customer]) -> None:
    ids = {each["id"] for each in crowd}
    assert len(ids) == COUNT
    assert {len(each) for each in ids} == {26}


def test_an_email_and_a_phone_lead_back_to_their_owner(
    people: People, crowd: list[Customer]
) -> None:
    for index in range(0, COUNT, 11):
        person = crowd[index]
        if "email" in person:
            assert index in people.candidates(person["email"].upper(), None)
        if "phoneNumber" in person:
            assert index in people.candidates(None, person["phoneNumber"])


def test_what_is_missing_is_missing_about_as_often_as_in_real_data(crowd: list[Customer]) -> None:
    assert share(crowd, "email") == pytest.approx(0.96, abs=0.01)
    assert share(crowd, "phoneNumber") == pytest.approx(0.94, abs=0.015)
    assert share(crowd, "updatedAt") == pytest.approx(0.99, abs=0.005)
    assert share(crowd, "hasAgreedToMarketing") == pytest.approx(0.90, abs=0.015)
    agreed = sum(each.get("hasAgreedToMarketing") is True for each in crowd) / COUNT
    assert agreed == pytest.approx(0.55, abs=0.02)
    for optional in ("dob", "gender", "statistics"):
        assert 0.5 < share(crowd, optional) < 0.95


def test_some_people_share_a_phone_or_an_email_in_another_case(crowd: list[Customer]) -> None:
    phones = Counter(each["phoneNumber"] for each in crowd if "phoneNumber" in each)
    assert 0.01 < sum(count - 1 for count in phones.values()) / COUNT < 0.03
    exact = Counter(each["email"] for each in crowd if "email" in each)
    folded = Counter(each["email"].lower() for each in crowd if "email" in each)
    assert 5 <= sum(count - 1 for count in folded.values()) <= 50
    assert len(exact) > len(folded)


def test_most_phones_are_valid_numbers_and_a_few_are_none(crowd: list[Customer]) -> None:
    validity: Counter[bool] = Counter()
    for person in crowd[:3000]:
        if "phoneNumber" in person:
            try:
                parsed = phonenumbers.parse(person["phoneNumber"])
                validity[phonenumbers.is_valid_number(parsed)] += 1
            except phonenumbers.NumberParseException:
                validity[False] += 1
    assert validity[False] > 0
    assert validity[True] / validity.total() > 0.98


def test_phones_come_from_five_countries(crowd: list[Customer]) -> None:
    starts = {each["phoneNumber"][:3] for each in crowd if "phoneNumber" in each}
    assert {"+61", "+64", "+65", "+44", "+12"} <= starts


def test_mail_goes_to_reserved_example_domains_only(crowd: list[Customer]) -> None:
    hosts = {each["email"].lower().rpartition("@")[2] for each in crowd if "email" in each}
    assert all(
        host.split(".", 1)[1] in {"example.com", "example.org", "example.net"} for host in hosts
    )


def test_names_have_accents_apostrophes_hyphens_scripts_and_may_lack_a_last_name(
    crowd: list[Customer],
) -> None:
    first = {each["firstName"] for each in crowd}
    last = {each["lastName"] for each in crowd}
    assert {"José", "花子", "Mary-Anne"} <= first
    assert {"O'Brien", "López-Núñez", "van der Berg", ""} <= last


def test_both_precisions_of_time_occur(crowd: list[Customer]) -> None:
    lengths = {len(each["updatedAt"]) for each in crowd if "updatedAt" in each}
    assert lengths == {len("2024-06-07T10:00:00Z"), len("2024-06-07T10:00:00.123Z")}


def test_nobody_changed_before_joining(crowd: list[Customer]) -> None:
    for person in crowd:
        joined = dt.datetime.fromisoformat(person["createdAt"])
        if "updatedAt" in person:
            assert dt.datetime.fromisoformat(person["updatedAt"]) >= joined


@pytest.mark.parametrize("salt", [0, 1, 7, 1023, 2**63 + 5])
def test_the_order_of_change_is_a_shuffle_that_can_be_undone(salt: int) -> None:
    timeline = Timeline(salt)
    ranks = [timeline.rank_of(index) for index in range(5 * 1024)]
    assert sorted(ranks) == list(range(5 * 1024))
    assert [timeline.index_at_rank(rank) for rank in ranks] == list(range(5 * 1024))
    moments = [timeline.changed_ms(rank) for rank in range(5 * 1024)]
    assert moments == sorted(moments)


def test_the_order_of_change_is_not_the_order_of_joining() -> None:
    assert Timeline(7).rank_of(1) != 1
