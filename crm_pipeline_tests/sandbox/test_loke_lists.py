"""Customer lists of the fake LOKE: read, changed, and never announced."""

import dataclasses
from collections.abc import Callable

import httpx
import pytest

from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline_tests.sandbox.conftest import BIG, SMALL, Clock, rows_of, scan

CLUB = dataclasses.replace(BIG, lists=("Loyal Customers", "VIP breakfast"))
ROOT = f"/organizations/{CLUB.id}"
LISTS = f"{ROOT}/customer-lists"


@pytest.fixture
def sandbox(run: Callable[..., Sandbox]) -> Sandbox:
    return run(organisations=(SMALL, CLUB))


def test_lists_are_listed_and_read(sandbox: Sandbox, loke: httpx.Client) -> None:
    rows = loke.get(LISTS).json()
    assert [(row["name"], row["memberCount"]) for row in rows] == [
        ("Loyal Customers", 1000),
        ("VIP breakfast", 417),
    ]
    assert set(rows[0]) == {"id", "name", "createdAt", "memberCount"}
    assert {len(row["id"]) for row in rows} == {26}
    assert loke.get(f"{LISTS}/{rows[1]['id']}").json() == rows[1]
    assert loke.get(f"{LISTS}/none").status_code == 404
    assert loke.get(f"{LISTS}/none/members").status_code == 404
    assert loke.get(f"/organizations/{SMALL.id}/customer-lists").json() == []
    sandbox.loke.switch(list_page_size=1)
    assert [len(page) for page in scan(loke, LISTS)] == [1, 1]


def test_members_come_in_pages_and_are_the_customers_as_they_are_now(
    sandbox: Sandbox, loke: httpx.Client
) -> None:
    sandbox.loke.switch(member_page_size=150)
    list_id = loke.get(LISTS).json()[1]["id"]
    pages = scan(loke, f"{LISTS}/{list_id}/members")
    assert [len(page) for page in pages] == [150, 150, 117]
    members = rows_of(pages)
    assert [row["id"] for row in members] == sandbox.loke.members(CLUB.slug, list_id)
    names = {"id", "firstName", "lastName", "email", "phoneNumber", "addedAt"}
    assert all(set(row) == names for row in members)
    assert any(row["phoneNumber"] is None for row in members)
    someone = members[0]["id"]
    sandbox.loke.update_customer(CLUB.slug, someone, {"firstName": "Nova"})
    assert loke.get(f"{LISTS}/{list_id}/members").json()[0]["firstName"] == "Nova"


def test_memberships_and_members_tell_the_same(sandbox: Sandbox, loke: httpx.Client) -> None:
    loyal, breakfast = loke.get(LISTS).json()
    both = set(sandbox.loke.members(CLUB.slug, loyal["id"])) & set(
        sandbox.loke.members(CLUB.slug, "VIP breakfast")
    )
    for customer in sorted(both)[:5]:
        rows = loke.get(f"{ROOT}/customers/{customer}/memberships").json()
        assert rows == [{"id": each["id"], "name": each["name"]} for each in (loyal, breakfast)]


def test_a_client_makes_a_list_fills_it_and_renames_it(
    sandbox: Sandbox, loke: httpx.Client
) -> None:
    answer = loke.post(LISTS, json={"name": "From us"})
    assert answer.status_code == 201
    made = answer.json()
    assert made == {**made, "name": "From us", "memberCount": 0}
    customers = [row["id"] for row in sandbox.loke.customers(CLUB.slug, limit=3)]
    for customer in (*customers, customers[0]):
        assert loke.put(f"{LISTS}/{made['id']}/members/{customer}").status_code == 204
    members = loke.get(f"{LISTS}/{made['id']}/members").json()
    assert [row["id"] for row in members] == customers
    assert {row["addedAt"] for row in members} == {"2026-03-04T05:06:07Z"}
    for _ in range(2):
        gone = f"{LISTS}/{made['id']}/members/{customers[1]}"
        assert loke.delete(gone).status_code == 204
    assert loke.put(f"{LISTS}/{made['id']}", json={"name": "Ours"}).status_code == 200
    now = loke.get(f"{LISTS}/{made['id']}").json()
    assert (now["name"], now["memberCount"]) == ("Ours", 2)


def test_what_is_not_ours_or_not_there_or_no_body_is_refused(
    sandbox: Sandbox, loke: httpx.Client
) -> None:
    theirs = loke.get(LISTS).json()[0]["id"]
    someone = sandbox.loke.customers(CLUB.slug, limit=1)[0]["id"]
    assert loke.put(f"{LISTS}/{theirs}", json={"name": "Mine"}).status_code == 403
    assert loke.put(f"{LISTS}/none", json={"name": "Mine"}).status_code == 404
    for body in (b"", b"[]", b'{"name": ""}', b'{"name": 1}'):
        assert loke.post(LISTS, content=body).status_code == 400
    ours = loke.post(LISTS, json={"name": "Ours"}).json()["id"]
    assert loke.put(f"{LISTS}/{ours}", json={}).status_code == 400
    assert loke.put(f"{LISTS}/{ours}/members/nobody").status_code == 404
    assert loke.put(f"{LISTS}/none/members/{someone}").status_code == 404
    assert loke.delete(f"{LISTS}/none/members/{someone}").status_code == 404
    assert loke.delete(f"{LISTS}/{ours}").status_code == 405


def test_a_deleted_customer_is_in_no_list(sandbox: Sandbox, loke: httpx.Client) -> None:
    list_id = loke.get(LISTS).json()[0]["id"]
    gone = sandbox.loke.members(CLUB.slug, list_id)[:2]
    sandbox.loke.delete(CLUB.slug, ids=gone)
    assert loke.get(f"{LISTS}/{list_id}").json()["memberCount"] == 998
    members = rows_of(scan(loke, f"{LISTS}/{list_id}/members"))
    assert not {row["id"] for row in members} & set(gone)


def test_a_list_may_seem_empty_although_it_counts_members(
    sandbox: Sandbox, loke: httpx.Client
) -> None:
    loyal, breakfast = (row["id"] for row in loke.get(LISTS).json())
    sandbox.loke.switch(empty_lists=["VIP breakfast"])
    assert loke.get(f"{LISTS}/{breakfast}/members").json() == []
    assert loke.get(f"{LISTS}/{breakfast}").json()["memberCount"] == 417
    assert len(loke.get(f"{LISTS}/{loyal}/members").json()) == 1000
    sandbox.loke.switch(empty_lists=[])
    assert len(loke.get(f"{LISTS}/{breakfast}/members").json()) == 417


def test_a_page_in_the_middle_of_a_list_may_fail(sandbox: Sandbox, loke: httpx.Client) -> None:
    sandbox.loke.switch(member_page_size=100)
    list_id = loke.get(LISTS).json()[1]["id"]
    sandbox.loke.faults.add(FaultRule(kind="status", path="/members", page=3))
    answer = loke.get(f"{LISTS}/{list_id}/members")
    answer = loke.get(answer.headers["X-Next-Page"])
    third = answer.headers["X-Next-Page"]
    assert loke.get(third).status_code == 500
    assert loke.get(third).status_code == 200


def test_members_come_and_go_by_hand(sandbox: Sandbox, clock: Clock) -> None:
    loke = sandbox.loke
    made = loke.create_list(CLUB.slug, "Winter", list_id="list-1")
    people = [row["id"] for row in loke.customers(CLUB.slug, limit=4)]
    assert made == "list-1"
    assert loke.add_members(CLUB.slug, "Winter", people) == people
    assert loke.add_members(CLUB.slug, made, people[:1]) == []
    assert loke.remove_members(CLUB.slug, made, [people[0], "nobody"]) == [people[0]]
    assert loke.remove_members(CLUB.slug, made) == people[1:]
    loke.rename_list(CLUB.slug, made, "Summer")
    loke.set_memberships(CLUB.slug, people[0], [{"id": made, "name": "ignored"}])
    assert loke.members(CLUB.slug, "Summer") == people[:1]
    loke.set_memberships(CLUB.slug, people[0], [])
    assert loke.members(CLUB.slug, "Summer") == []
    with pytest.raises(ValueError, match="already"):
        loke.create_list(CLUB.slug, "Again", list_id=made)
    with pytest.raises(KeyError, match="no customer"):
        loke.add_members(CLUB.slug, made, ["nobody"])
    loke.delete_list(CLUB.slug, made)
    with pytest.raises(KeyError, match="no list"):
        loke.members(CLUB.slug, made)
