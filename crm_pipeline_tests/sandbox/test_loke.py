"""The fake LOKE answers as the vendor documents it."""

import base64
import email.utils
import itertools
from collections.abc import Callable

import httpx
import pytest

from crm_pipeline.sandbox import Sandbox
from crm_pipeline_tests.sandbox.conftest import BIG, SMALL, Clock, new_token, rows_of, scan

CUSTOMERS = f"/organizations/{SMALL.id}/customers"
BIG_CUSTOMERS = f"/organizations/{BIG.id}/customers"
Connect = Callable[[Sandbox], httpx.Client]
Run = Callable[..., Sandbox]


def ask_token(sandbox: Sandbox, **request: object) -> httpx.Response:
    return httpx.post(sandbox.token_url, verify=False, **request)  # type: ignore[arg-type]


def test_the_discovery_document_names_the_token_endpoint(sandbox: Sandbox) -> None:
    url = f"{sandbox.loke_url}/.well-known/openid-configuration"
    assert httpx.get(url, verify=False).json()["token_endpoint"] == sandbox.token_url


def test_a_token_is_given_for_basic_authentication_and_for_credentials_in_the_body(
    sandbox: Sandbox,
) -> None:
    basic = ask_token(
        sandbox,
        auth=("sandbox-client", "sandbox-secret"),
        data={"grant_type": "client_credentials"},
    )
    body = ask_token(
        sandbox,
        data={
            "grant_type": "client_credentials",
            "client_id": "sandbox-client",
            "client_secret": "sandbox-secret",
        },
    )
    for answer in (basic, body):
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json()["token_type"] == "Bearer"
        assert answer.json()["expires_in"] == 3600
    assert basic.json()["access_token"] != body.json()["access_token"]


@pytest.mark.parametrize(
    ("credentials", "form", "status", "error"),
    [
        ("sandbox-client:wrong", {"grant_type": "client_credentials"}, 401, "invalid_client"),
        (":", {"grant_type": "client_credentials"}, 401, "invalid_client"),
        ("sandbox-client:sandbox-secret", {}, 400, "invalid_request"),
        (
            "sandbox-client:sandbox-secret",
            {"grant_type": "password"},
            400,
            "unsupported_grant_type",
        ),
    ],
)
def test_a_refused_token_has_the_form_of_rfc_6749(
    sandbox: Sandbox, credentials: str, form: dict[str, str], status: int, error: str
) -> None:
    encoded = base64.b64encode(credentials.encode()).decode()
    answer = ask_token(sandbox, headers={"Authorization": f"Basic {encoded}"}, data=form)
    assert (answer.status_code, answer.json()["error"]) == (status, error)


def test_a_broken_basic_header_is_refused(sandbox: Sandbox) -> None:
    answer = ask_token(
        sandbox,
        headers={"Authorization": "Basic %%%"},
        data={"grant_type": "client_credentials"},
    )
    assert answer.status_code == 401


def test_a_missing_unknown_expired_or_revoked_token_is_refused(
    sandbox: Sandbox, loke: httpx.Client, clock: Clock
) -> None:
    assert httpx.get(f"{sandbox.loke_url}/organizations", verify=False).status_code == 401
    assert loke.get("/organizations", headers={"Authorization": "Bearer x"}).status_code == 401
    assert loke.get("/organizations").status_code == 200
    clock.turn(seconds=3599)
    assert loke.get("/organizations").status_code == 200
    clock.turn(seconds=1)
    assert loke.get("/organizations").status_code == 401
    fresh = {"Authorization": f"Bearer {new_token(sandbox)}"}
    assert loke.get("/organizations", headers=fresh).status_code == 200
    sandbox.loke.tokens.revoke_all()
    assert loke.get("/organizations", headers=fresh).status_code == 401


def test_one_token_reaches_every_organisation(loke: httpx.Client) -> None:
    rows = loke.get("/organizations").json()
    assert [row["id"] for row in rows] == [SMALL.id, BIG.id]
    assert {"id", "name", "createdAt", "currency", "timezone"} == set(rows[0])
    assert loke.get("/organizations?query=bakery").json() == [rows[1]]
    assert loke.get(f"/organizations/{BIG.id}").json() == rows[1]


def test_organisations_come_in_pages(sandbox: Sandbox, loke: httpx.Client) -> None:
    sandbox.loke.switch(organisation_page_size=1)
    assert [len(page) for page in scan(loke, "/organizations")] == [1, 1]


@pytest.mark.parametrize("sort", ["created", "updated"])
@pytest.mark.parametrize("cursor", ["key", "offset"])
@pytest.mark.parametrize("link", ["relative", "absolute"])
def test_a_scan_meets_everybody_once_newest_first(
    run: Run, connect: Connect, sort: str, cursor: str, link: str
) -> None:
    sandbox = run(cursor=cursor, next_link=link)
    pages = scan(connect(sandbox), f"{BIG_CUSTOMERS}?sort={sort}")
    assert [len(page) for page in pages] == [1000] * 5
    rows = rows_of(pages)
    assert len({row["id"] for row in rows}) == 5000
    times = [row[f"{sort}At"][:19] for row in rows if f"{sort}At" in row]
    assert times == sorted(times, reverse=True)


def test_the_next_link_is_a_path_or_a_url_and_keeps_every_parameter(
    sandbox: Sandbox, loke: httpx.Client
) -> None:
    answer = loke.get(f"{BIG_CUSTOMERS}?sort=updated")
    assert answer.headers["X-Next-Page"].startswith(f"{BIG_CUSTOMERS}?sort=updated&after=")
    sandbox.loke.switch(next_link="absolute")
    answer = loke.get(f"{BIG_CUSTOMERS}?sort=updated")
    assert answer.headers["X-Next-Page"].startswith(f"{sandbox.loke_url}{BIG_CUSTOMERS}?")


def test_the_last_page_has_no_next_link(loke: httpx.Client) -> None:
    answer = loke.get(CUSTOMERS)
    assert len(answer.json()) == 50
    assert "X-Next-Page" not in answer.headers


def test_a_tie_of_times_lies_across_a_page_border(loke: httpx.Client) -> None:
    pages = scan(loke, f"{BIG_CUSTOMERS}?sort=updated")
    borders = [
        (before[-1].get("updatedAt", "?")[:19], after[0].get("updatedAt", "!")[:19])
        for before, after in itertools.pairwise(pages)
    ]
    assert any(last == first for last, first in borders)


@pytest.mark.parametrize("cursor", ["not-a-cursor", "%C3%A9", "kwE"])
def test_a_cursor_that_is_none_is_refused(loke: httpx.Client, cursor: str) -> None:
    assert loke.get(f"{CUSTOMERS}?after={cursor}").status_code == 400
    assert loke.get(f"/organizations?after={cursor}").status_code == 400


def test_a_cursor_of_another_list_is_refused(loke: httpx.Client) -> None:
    link = loke.get(f"{BIG_CUSTOMERS}?sort=updated").headers["X-Next-Page"]
    assert loke.get(link.replace("sort=updated", "sort=created")).status_code == 400
    assert loke.get(link.replace(BIG.id, SMALL.id)).status_code == 400


def test_an_unknown_sort_is_refused(loke: httpx.Client) -> None:
    assert loke.get(f"{CUSTOMERS}?sort=name").status_code == 400


def test_the_default_order_is_by_creation(loke: httpx.Client) -> None:
    assert loke.get(CUSTOMERS).content == loke.get(f"{CUSTOMERS}?sort=created").content


def test_email_is_found_in_any_case_and_phone_exactly(sandbox: Sandbox, loke: httpx.Client) -> None:
    someone = next(
        row for row in sandbox.loke.customers(SMALL.id) if {"email", "phoneNumber"} <= set(row)
    )
    by_email = loke.get(CUSTOMERS, params={"email": someone["email"].upper()}).json()
    assert someone in by_email
    by_phone = loke.get(CUSTOMERS, params={"phoneNumber": someone["phoneNumber"]}).json()
    assert someone in by_phone
    both = {"email": someone["email"], "phoneNumber": someone["phoneNumber"]}
    assert someone in loke.get(CUSTOMERS, params=both).json()
    assert loke.get(CUSTOMERS, params={"phoneNumber": "+61"}).json() == []
    assert loke.get(CUSTOMERS, params={"email": "nobody99@mail.example.com"}).json() == []


def test_a_search_follows_changes_and_may_find_several(
    sandbox: Sandbox, loke: httpx.Client
) -> None:
    ids = sandbox.loke.mutate(SMALL.slug, count=3, fields={"phoneNumber": "+61411222333"})
    found = loke.get(CUSTOMERS, params={"phoneNumber": "+61411222333"}).json()
    assert {row["id"] for row in found} == set(ids)
    sandbox.loke.delete(SMALL.slug, ids=ids[:1])
    assert len(loke.get(CUSTOMERS, params={"phoneNumber": "+61411222333"}).json()) == 2


def test_one_customer_is_read_by_id(sandbox: Sandbox, loke: httpx.Client) -> None:
    someone = sandbox.loke.customers(SMALL.id, limit=1)[0]
    assert loke.get(f"{CUSTOMERS}/{someone['id']}").json() == someone


@pytest.mark.parametrize(
    "path",
    [
        "/organizations/01HSANDB0X0000000000000000",
        "/organizations/01HSANDB0X0000000000000000/customers",
        f"{CUSTOMERS}/01HSANDB0X0000000000000000",
        f"{CUSTOMERS}/01HSANDB0X0000000000000000/memberships",
        f"/organizations/{SMALL.id}/nothing",
        "/nothing",
    ],
)
def test_what_is_not_there_answers_not_found(loke: httpx.Client, path: str) -> None:
    answer = loke.get(path)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert len(answer.json()["instance"]) == 26


def test_an_error_may_be_plain_text(sandbox: Sandbox, loke: httpx.Client) -> None:
    sandbox.loke.switch(error_body="text")
    answer = loke.get("/organizations/none")
    assert (answer.status_code, answer.text) == (404, "Organization not found")


def test_a_customer_of_one_organisation_is_not_found_in_another(
    sandbox: Sandbox, loke: httpx.Client
) -> None:
    someone = sandbox.loke.customers(SMALL.id, limit=1)[0]
    assert loke.get(f"{BIG_CUSTOMERS}/{someone['id']}").status_code == 404


def test_memberships_come_ten_to_a_page(sandbox: Sandbox, loke: httpx.Client) -> None:
    someone = sandbox.loke.customers(SMALL.id, limit=1)[0]["id"]
    path = f"{CUSTOMERS}/{someone}/memberships"
    assert loke.get(path).json() == []
    lists = [{"id": f"list-{number}", "name": "VIP"} for number in range(23)]
    sandbox.loke.set_memberships(SMALL.id, someone, lists)
    pages = scan(loke, path)
    assert [len(page) for page in pages] == [10, 10, 3]
    assert rows_of(pages) == lists


def test_only_reading_is_offered(loke: httpx.Client) -> None:
    assert loke.post(CUSTOMERS).status_code == 405
    assert loke.get("/token").status_code == 405


def test_the_date_header_follows_the_clock(loke: httpx.Client, clock: Clock) -> None:
    clock.turn(days=3)
    sent = loke.get("/token").headers["Date"]
    assert email.utils.parsedate_to_datetime(sent) == clock()


def test_answers_are_compressed_for_those_who_ask(run: Run, connect: Connect) -> None:
    client = connect(run(gzip=True))
    answer = client.get(CUSTOMERS)
    assert answer.headers["Content-Encoding"] == "gzip"
    plain = client.get(CUSTOMERS, headers={"Accept-Encoding": "identity"})
    assert "Content-Encoding" not in plain.headers
    assert answer.json() == plain.json()


def test_an_organisation_that_uninstalled_is_gone_until_it_installs_again(
    sandbox: Sandbox, loke: httpx.Client
) -> None:
    for status in (401, 403, 404):
        sandbox.loke.uninstall(SMALL.slug, status=status)
        assert loke.get(CUSTOMERS).status_code == status
    assert [row["id"] for row in loke.get("/organizations").json()] == [BIG.id]
    sandbox.loke.install(SMALL.slug)
    assert loke.get(CUSTOMERS).status_code == 200


def test_pages_built_beforehand_are_the_pages_built_on_demand(run: Run, connect: Connect) -> None:
    fast, slow = run(preserialise=True), run()
    url = f"{BIG_CUSTOMERS}?sort=updated"
    assert scan(connect(fast), url) == scan(connect(slow), url)
    changed = fast.loke.mutate(BIG.slug, count=1)
    assert connect(fast).get(url).json()[0]["id"] == changed[0]


def test_a_key_cursor_never_shows_a_row_twice_while_rows_move(
    sandbox: Sandbox, loke: httpx.Client, clock: Clock
) -> None:
    sandbox.loke.switch(page_size=500)
    url, seen = f"{BIG_CUSTOMERS}?sort=updated", []
    while url:
        answer = loke.get(url)
        seen += [row["id"] for row in answer.json()]
        url = answer.headers.get("X-Next-Page", "")
        clock.turn(seconds=1)
        sandbox.loke.mutate(BIG.slug, count=40, seed=len(seen))
    assert len(seen) == len(set(seen))
    assert len(seen) < 5000  # those that moved to the head were not seen


def test_an_offset_cursor_shows_rows_twice_when_rows_move(
    run: Run, connect: Connect, clock: Clock
) -> None:
    sandbox = run(cursor="offset", page_size=500)
    client = connect(sandbox)
    first = client.get(f"{BIG_CUSTOMERS}?sort=updated")
    clock.turn(seconds=1)
    sandbox.loke.mutate(BIG.slug, count=40, pick="oldest")
    second = client.get(first.headers["X-Next-Page"])
    ids = {row["id"] for row in first.json()}
    assert sum(row["id"] in ids for row in second.json()) == 40
