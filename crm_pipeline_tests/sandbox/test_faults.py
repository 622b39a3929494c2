"""Every fault does what its rule says, to the calls it means and to no others."""

import datetime as dt
import email.utils
import time
from collections import Counter
from collections.abc import Callable

import httpx
import pytest

from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline_tests.sandbox.conftest import BIG, SMALL, Clock, new_token, rows_of, scan

CUSTOMERS = f"/organizations/{SMALL.id}/customers"
BIG_CUSTOMERS = f"/organizations/{BIG.id}/customers?sort=updated"
BARE = {"person_name": {"first_name": "Bo", "last_name": "Li"}}


def statuses(client: httpx.Client, path: str, calls: int) -> list[int]:
    return [client.get(path).status_code for _ in range(calls)]


def test_a_rule_lets_some_calls_pass_and_acts_on_some(sandbox: Sandbox, crm: httpx.Client) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="status", status=503, after=2, times=2))
    assert statuses(crm, "/contacts", 6) == [200, 200, 503, 503, 200, 200]
    assert [(view.seen, view.acted) for view in sandbox.crm_com.faults.view()] == [(6, 2)]


def test_a_rule_means_a_method_a_path_and_an_organisation(
    sandbox: Sandbox, loke: httpx.Client, crm: httpx.Client
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="status", method="post", path="/contacts$"))
    assert crm.get("/contacts").status_code == 200
    assert crm.get("/tags").status_code == 200
    assert crm.post("/contacts", json=BARE).status_code == 500
    for name in (SMALL.slug, SMALL.id):
        sandbox.loke.faults.clear()
        sandbox.loke.faults.add(FaultRule(kind="status", organisation=name, times=None))
        assert loke.get(f"/organizations/{BIG.id}").status_code == 200
        assert loke.get(f"/organizations/{SMALL.id}").status_code == 500


def test_a_rule_means_a_page_of_a_scan(sandbox: Sandbox, loke: httpx.Client) -> None:
    sandbox.loke.faults.add(FaultRule(kind="status", status=502, page=3))
    link = loke.get(BIG_CUSTOMERS).headers["X-Next-Page"]
    link = loke.get(link).headers["X-Next-Page"]
    assert loke.get(link).status_code == 502
    assert loke.get(link).status_code == 200


def test_chance_is_drawn_from_the_rules_own_seed(sandbox: Sandbox, crm: httpx.Client) -> None:
    outcomes = []
    for _ in range(2):
        sandbox.crm_com.faults.clear()
        sandbox.crm_com.faults.add(FaultRule(kind="status", probability=0.5, seed=3, times=None))
        outcomes.append(statuses(crm, "/contacts", 30))
    assert outcomes[0] == outcomes[1]
    assert 5 < outcomes[0].count(500) < 25


@pytest.mark.parametrize(
    ("content", "type_", "start"),
    [
        ("json", "application/json", "{"),
        ("html", "text/html", "<html>"),
        ("text", "text/plain", "upstream"),
        ("empty", "application/json", ""),
    ],
)
def test_a_status_comes_with_the_body_asked_for(
    sandbox: Sandbox, loke: httpx.Client, content: str, type_: str, start: str
) -> None:
    rule = {"kind": "status", "status": 502, "content": content}
    httpx.post(f"{sandbox.loke_url}/_sandbox/faults", json=rule, verify=False)
    answer = loke.get(CUSTOMERS)
    assert answer.status_code == 502
    assert answer.headers["Content-Type"] == type_
    assert answer.text.startswith(start)
    assert bool(answer.text) == bool(start)


def test_a_body_can_be_given_word_for_word(sandbox: Sandbox, crm: httpx.Client) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="status", status=400, body='{"error": "X"}'))
    assert crm.get("/contacts").json() == {"error": "X"}


def test_a_rule_about_pages_takes_a_wrong_cursor_for_the_first(
    sandbox: Sandbox, loke: httpx.Client
) -> None:
    sandbox.loke.faults.add(FaultRule(kind="status", status=502, page=1))
    assert statuses(loke, f"{CUSTOMERS}?after=x", 2) == [502, 400]


def test_retry_after_is_seconds_or_a_moment(
    sandbox: Sandbox, crm: httpx.Client, clock: Clock
) -> None:
    sandbox.crm_com.faults.add(
        FaultRule(kind="status", status=429, retry_after=7),
        FaultRule(kind="status", status=429, retry_after=7, retry_after_form="date", after=1),
    )
    assert crm.get("/contacts").headers["Retry-After"] == "7"
    moment = email.utils.parsedate_to_datetime(crm.get("/contacts").headers["Retry-After"])
    assert moment == clock() + dt.timedelta(seconds=7)


def test_a_delay_waits_and_then_answers(sandbox: Sandbox, crm: httpx.Client) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="delay", delay_ms=120))
    began = time.monotonic()
    assert crm.get("/contacts").status_code == 200
    assert time.monotonic() - began >= 0.12


def test_a_delay_holds_nobody_else_up(sandbox: Sandbox, crm: httpx.Client) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="delay", delay_ms=60_000, path="/tags"))
    with pytest.raises(httpx.ReadTimeout):
        crm.get("/tags", timeout=0.05)
    assert crm.get("/contacts").status_code == 200


def test_a_connection_cut_before_leaves_nothing_written(
    sandbox: Sandbox, crm: httpx.Client
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="cut_before", method="POST"))
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        crm.post("/contacts", json=BARE)
    assert sandbox.crm_com.count(SMALL.slug) == 0
    assert crm.post("/contacts", json=BARE).status_code == 200


def test_a_connection_cut_after_leaves_the_contact_written(
    sandbox: Sandbox, crm: httpx.Client
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="cut_after", method="POST"))
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        crm.post("/contacts", json=BARE)
    assert sandbox.crm_com.count(SMALL.slug) == 1
    logged = [(each.status, each.faults) for each in sandbox.crm_com.requests.entries()]
    assert logged == [(200, ("cut_after",))]


def test_a_truncated_body_breaks_the_promise_of_its_length(
    sandbox: Sandbox, loke: httpx.Client
) -> None:
    sandbox.loke.faults.add(FaultRule(kind="truncate", keep_bytes=100))
    with pytest.raises(httpx.RemoteProtocolError, match="received 100 bytes"):
        loke.get(CUSTOMERS)
    assert len(loke.get(CUSTOMERS).json()) == 50


def test_a_token_goes_stale_once(sandbox: Sandbox, loke: httpx.Client) -> None:
    sandbox.loke.faults.add(FaultRule(kind="stale_token", after=1))
    assert statuses(loke, CUSTOMERS, 3) == [200, 401, 401]
    loke.headers["Authorization"] = f"Bearer {new_token(sandbox)}"
    assert statuses(loke, CUSTOMERS, 2) == [200, 200]


def test_a_key_is_refused_once(sandbox: Sandbox, crm: httpx.Client) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="stale_token"))
    assert statuses(crm, "/contacts", 2) == [401, 200]


def test_a_next_link_can_lead_astray(sandbox: Sandbox, loke: httpx.Client) -> None:
    good = loke.get(BIG_CUSTOMERS).headers["X-Next-Page"]
    sandbox.loke.faults.add(
        FaultRule(kind="next_link", link="other_host", page=2),
        FaultRule(kind="next_link", link="loop", page=2, after=1),
        FaultRule(kind="next_link", link="missing", page=2, after=2),
        FaultRule(kind="next_link", link="empty", page=2, after=3),
    )
    links = [loke.get(good).headers.get("X-Next-Page") for _ in range(5)]
    assert links[0] == f"http://elsewhere.example.net{good}"
    assert links[1] == good
    assert links[2] is None
    assert links[3] == ""
    assert links[4].startswith("/organizations/")
    assert links[4] != good


def test_an_answer_that_says_json_can_be_none(sandbox: Sandbox, loke: httpx.Client) -> None:
    sandbox.loke.faults.add(FaultRule(kind="not_json"))
    answer = loke.get(CUSTOMERS)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == "application/json"
    with pytest.raises(ValueError, match="Expecting value"):
        answer.json()


def test_rows_move_while_a_scan_runs(
    run: Callable[..., Sandbox], connect: Callable[[Sandbox], httpx.Client], clock: Clock
) -> None:
    sandbox = run(cursor="offset")
    clock.turn(days=1)
    sandbox.loke.faults.add(
        FaultRule(kind="move_rows", page=2, mutate=30, pick="oldest"),
        FaultRule(kind="move_rows", page=3, delete=40, pick="newest"),
    )
    rows = rows_of(scan(connect(sandbox), BIG_CUSTOMERS))
    times_seen = Counter(row["id"] for row in rows)
    assert sandbox.loke.count(BIG.slug) == 4960
    # Thirty rows at the head push thirty rows over the border; forty removed pull forty away.
    assert sum(times_seen.values()) - len(times_seen) == 30
    assert len(times_seen) == 5000 - 30 - 40


def test_nothing_moves_where_nobody_is_meant(
    sandbox: Sandbox, loke: httpx.Client, crm: httpx.Client
) -> None:
    rule = FaultRule(kind="move_rows", mutate=1, delete=1, times=None)
    sandbox.loke.faults.add(rule)
    sandbox.crm_com.faults.add(rule)
    assert statuses(loke, "/organizations", 1) == [200]
    assert statuses(loke, "/organizations/nobody/customers", 1) == [404]
    assert crm.get("/contacts", headers={"api_key": "guess"}).status_code == 401
    assert sandbox.loke.count(SMALL.slug) == 50


def test_contacts_move_too(sandbox: Sandbox, crm: httpx.Client) -> None:
    sandbox.crm_com.seed(SMALL.slug, 30)
    sandbox.crm_com.faults.add(FaultRule(kind="move_rows", page=2, delete=5, mutate=1))
    first = crm.get("/contacts?size=10").json()["content"]
    second = crm.get("/contacts?size=10&page=2").json()["content"]
    assert sandbox.crm_com.count(SMALL.slug) == 25
    assert len({row["id"] for row in first + second}) == 20


def test_ties_are_shuffled_under_an_offset_cursor_too(
    run: Callable[..., Sandbox], connect: Callable[[Sandbox], httpx.Client]
) -> None:
    sandbox = run(cursor="offset")
    client = connect(sandbox)
    link = client.get(BIG_CUSTOMERS).headers["X-Next-Page"]
    calm = client.get(link).json()
    sandbox.loke.faults.add(FaultRule(kind="shuffle_ties", times=None))
    wild = [client.get(link).json() for _ in range(2)]
    assert len(calm) == len(wild[0]) == len(wild[1]) == 1000
    assert wild[0] != wild[1] != calm
    sandbox.loke.seed(BIG.slug, 0)
    assert client.get(BIG_CUSTOMERS).json() == []


def test_a_cursor_survives_a_change_of_its_kind(sandbox: Sandbox, loke: httpx.Client) -> None:
    link = loke.get(BIG_CUSTOMERS).headers["X-Next-Page"]
    by_key = loke.get(link).json()
    sandbox.loke.switch(cursor="offset")
    assert loke.get(link).json() == by_key


def test_ties_can_come_in_another_order_at_every_call(sandbox: Sandbox, loke: httpx.Client) -> None:
    calm = rows_of(scan(loke, BIG_CUSTOMERS))
    sandbox.loke.faults.add(FaultRule(kind="shuffle_ties", times=None))
    wild = rows_of(scan(loke, BIG_CUSTOMERS))
    assert len(wild) == len(calm) == 5000
    assert [row.get("updatedAt", "")[:19] for row in wild[:900]] == [
        row.get("updatedAt", "")[:19] for row in calm[:900]
    ]
    assert len({row["id"] for row in wild}) < 5000  # a plain scan misses rows
    assert loke.get(BIG_CUSTOMERS).status_code == 200


def test_faults_end_when_they_are_cleared(sandbox: Sandbox, crm: httpx.Client) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="status", times=None))
    assert crm.get("/contacts").status_code == 500
    sandbox.crm_com.faults.clear()
    assert crm.get("/contacts").status_code == 200


def test_the_two_servers_have_their_own_faults(
    sandbox: Sandbox, loke: httpx.Client, crm: httpx.Client
) -> None:
    sandbox.loke.faults.add(FaultRule(kind="status", times=None))
    assert loke.get(CUSTOMERS).status_code == 500
    assert crm.get("/contacts").status_code == 200
