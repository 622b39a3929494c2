"""The admin endpoints do over HTTP what the handles do in process."""

from typing import Any

import httpx
import pytest

from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline_tests.sandbox.conftest import BIG, SMALL

BARE = {"person_name": {"first_name": "Bo", "last_name": "Li"}}


def admin(url: str, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    answer = httpx.request(method, f"{url}/_sandbox/{path}", json=body, verify=False)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture(params=["loke", "crm_com"])
def server(request: pytest.FixtureRequest, sandbox: Sandbox) -> str:
    return sandbox.loke_url if request.param == "loke" else sandbox.crm_com_url


def test_health_says_which_vendor_is_played(sandbox: Sandbox) -> None:
    assert admin(sandbox.loke_url, "GET", "health") == {"status": "ok", "vendor": "loke"}
    root = sandbox.crm_com_url.removesuffix("/backoffice/v2")
    for url in (root, sandbox.crm_com_url):
        assert admin(url, "GET", "health") == {"status": "ok", "vendor": "crm_com"}


def test_loke_customers_are_seeded_changed_added_and_deleted(sandbox: Sandbox) -> None:
    url, name = sandbox.loke_url, SMALL.slug
    assert admin(url, "POST", "seed", {"organisation": name, "customers": 20}) == {"customers": 20}
    changed = admin(
        url,
        "POST",
        "customers/mutate",
        {
            "organisation": name,
            "count": 2,
            "fields": {"firstName": "Nova", "email": None, "statistics": {"pointsBalance": 5}},
            "updated_at": "2026-03-03T00:00:00.250Z",
        },
    )["ids"]
    for customer in sandbox.loke.customers(name, limit=2):
        assert customer["id"] in changed
        assert customer["updatedAt"] == "2026-03-03T00:00:00.250Z"
        assert customer["statistics"]["pointsBalance"] == 5
        assert "email" not in customer
    again = admin(
        url, "POST", "customers/mutate", {"organisation": name, "ids": changed[:1], "seed": 5}
    )
    assert again["ids"] == changed[:1]
    assert sandbox.loke.customers(name, limit=1)[0]["updatedAt"] == "2026-03-04T05:06:07Z"
    row = {"firstName": "Ada", "lastName": "Ng", "id": "01HSANDB0XADA0000000000001"}
    added = admin(url, "POST", "customers/add", {"organisation": name, "customers": [row]})
    assert added["ids"] == [row["id"]]
    ada = sandbox.loke.customer(name, row["id"])
    assert ada is not None
    assert ada["firstName"] == "Ada"
    more = admin(url, "POST", "customers/add", {"organisation": name, "count": 3})["ids"]
    assert len(set(more)) == 3
    gone = {"organisation": name, "ids": [row["id"], *changed, "nobody"]}
    assert len(admin(url, "POST", "customers/delete", gone)["ids"]) == 3
    assert sandbox.loke.count(name) == 21


def test_statistics_may_change_without_a_new_time(sandbox: Sandbox) -> None:
    oldest = sandbox.loke.mutate(
        SMALL.slug, count=1, pick="oldest", bump=False, fields={"statistics": {"totalSpend": 1}}
    )
    last = sandbox.loke.customers(SMALL.slug)[-1]
    assert last["id"] == oldest[0]
    assert last["statistics"]["totalSpend"] == 1


@pytest.mark.parametrize("moment", ["2026-03-03T00:00:00", "yesterday"])
def test_a_time_without_zone_is_refused(sandbox: Sandbox, moment: str) -> None:
    body = {"organisation": SMALL.slug, "count": 1, "updated_at": moment}
    assert admin(sandbox.loke_url, "POST", "customers/mutate", body, 400)["error"]


def test_loke_state_is_read_in_pages(sandbox: Sandbox) -> None:
    whole = admin(sandbox.loke_url, "GET", f"state?organisation={BIG.slug}&offset=4990&limit=100")
    assert whole["total"] == 5000
    assert len(whole["customers"]) == 10
    names = admin(sandbox.loke_url, "GET", "state")["organisations"]
    assert names[1] == {"id": BIG.id, "slug": BIG.slug, "customers": 5000}


def test_crm_com_contacts_are_seeded_changed_added_and_deleted(sandbox: Sandbox) -> None:
    url, name = sandbox.crm_com_url, SMALL.slug
    seeded = {"organisation": name, "customers": 20, "coded": True}
    assert admin(url, "POST", "seed", seeded) == {"customers": 20}
    contacts = admin(url, "GET", f"state?key={SMALL.crm_test_key}")["customers"]
    assert len(contacts) == 20
    assert all(each["code"].startswith("loke:") and each["email_opt_out"] for each in contacts)
    code = contacts[3]["code"]
    drift = {"key": SMALL.crm_test_key, "ids": [code], "fields": {"email_opt_out": False}}
    assert admin(url, "POST", "customers/mutate", drift)["ids"] == [contacts[3]["id"]]
    drifted = sandbox.crm_com.contact(name, code)
    assert drifted is not None
    assert drifted["email_opt_out"] is False
    some = {"organisation": name, "count": 4}
    assert len(admin(url, "POST", "customers/mutate", some)["ids"]) == 4
    added = admin(url, "POST", "customers/add", {"organisation": name, "customers": [BARE]})["ids"]
    admin(url, "POST", "customers/delete", {"organisation": name, "ids": added})
    assert len(admin(url, "POST", "customers/delete", some)["ids"]) == 4
    page = admin(url, "GET", f"state?organisation={name}&offset=10&limit=3")
    assert (page["total"], len(page["customers"])) == (16, 3)
    keys = {row["key"]: row["customers"] for row in admin(url, "GET", "state")["keys"]}
    assert (keys[SMALL.crm_test_key], keys[SMALL.crm_live_key]) == (16, 0)


def test_a_refused_contact_is_refused_here_too(sandbox: Sandbox) -> None:
    body = {"organisation": SMALL.slug, "customers": [{}]}
    assert admin(sandbox.crm_com_url, "POST", "customers/add", body, 400)["status"] == 400


def test_tags_and_custom_fields_are_configured(sandbox: Sandbox) -> None:
    tags = admin(sandbox.crm_com_url, "POST", "tags", {"names": ["Newsletter", "Gold"]})
    assert sorted(tags.values()) == ["Gold", "Newsletter"]
    admin(sandbox.crm_com_url, "POST", "custom_fields", {"keys": ["shoe_size"]})
    assert sandbox.crm_com.custom_fields == ["shoe_size"]


def test_switches_are_changed_and_wrong_ones_refused(sandbox: Sandbox) -> None:
    loke = admin(sandbox.loke_url, "POST", "switches", {"page_size": 10, "cursor": "offset"})
    assert loke == admin(sandbox.loke_url, "GET", "switches")
    assert (loke["page_size"], loke["cursor"], loke["next_link"]) == (10, "offset", "relative")
    crm = admin(sandbox.crm_com_url, "POST", "switches", {"not_found_status": 404})
    assert crm == admin(sandbox.crm_com_url, "GET", "switches")
    admin(sandbox.loke_url, "POST", "switches", {"cursor": "maybe"}, 400)
    admin(sandbox.crm_com_url, "POST", "switches", {"unknown": 1}, 400)


def test_tokens_are_revoked_and_organisations_uninstalled(
    sandbox: Sandbox, loke: httpx.Client
) -> None:
    url = sandbox.loke_url
    admin(url, "POST", "uninstall", {"organisation": SMALL.slug, "status": 403})
    assert loke.get(f"/organizations/{SMALL.id}").status_code == 403
    admin(url, "POST", "install", {"organisation": SMALL.slug})
    assert loke.get(f"/organizations/{SMALL.id}").status_code == 200
    assert admin(url, "POST", "tokens/revoke") == {"revoked": 1}
    assert loke.get("/organizations").status_code == 401


def test_memberships_are_set(sandbox: Sandbox, loke: httpx.Client) -> None:
    someone = sandbox.loke.customers(SMALL.slug, limit=1)[0]["id"]
    lists = [{"id": "l", "name": "VIP"}]
    body = {"organisation": SMALL.slug, "customer": someone, "lists": lists}
    admin(sandbox.loke_url, "POST", "memberships", body)
    path = f"/organizations/{SMALL.id}/customers/{someone}/memberships"
    assert loke.get(path).json() == lists


def test_faults_are_added_listed_and_removed(server: str) -> None:
    rules = [{"kind": "status", "status": 429, "retry_after": 1}, {"kind": "not_json"}]
    assert len(admin(server, "POST", "faults", rules)["faults"]) == 2
    listed = admin(server, "GET", "faults")["faults"]
    assert (listed[0]["rule"]["status"], listed[0]["acted"]) == (429, 0)
    admin(server, "DELETE", "faults")
    assert admin(server, "GET", "faults") == {"faults": []}


@pytest.mark.parametrize(
    "body", [{"kind": "unknown"}, {"kind": "status", "stauts": 1}, {"kind": "status", "path": "("}]
)
def test_a_wrong_fault_is_refused_with_the_reason(server: str, body: dict[str, Any]) -> None:
    assert admin(server, "POST", "faults", body, 400)["error"]
    assert admin(server, "GET", "faults") == {"faults": []}


def test_admin_calls_are_neither_logged_nor_subject_to_faults(
    sandbox: Sandbox, server: str
) -> None:
    for vendor in (sandbox.loke, sandbox.crm_com):
        vendor.faults.add(FaultRule(kind="status", times=None))
    admin(server, "GET", "health")
    assert admin(server, "GET", "requests") == {"requests": []}


def test_the_log_keeps_calls_and_counts_them(sandbox: Sandbox, crm: httpx.Client) -> None:
    url = sandbox.crm_com_url
    crm.post("/contacts", json=BARE)
    crm.post("/contacts", json={})
    crm.get("/contacts/none?x=1")
    logged = admin(url, "GET", "requests")["requests"]
    assert logged[2] == {
        "at": "2026-03-04T05:06:07Z",
        "method": "GET",
        "path": "/backoffice/v2/contacts/none?x=1",
        "status": 400,
        "route": "/contacts/{id}",
        "organisation": SMALL.slug,
        "key": "test",
    }
    summary = admin(url, "GET", "requests?summary=1")
    assert summary["total"] == 3
    assert summary["routes"]["POST /contacts"] == {"count": 2, "statuses": {"200": 1, "400": 1}}
    assert summary["organisations"] == {SMALL.slug: 3}
    requests = sandbox.crm_com.requests
    assert requests.count("POST") == requests.count(route="/contacts") == 2
    assert requests.count(organisation="none") == 0
    admin(url, "DELETE", "requests")
    assert requests.count() == 0


def test_the_log_is_bounded_and_the_counts_are_not(run: Any) -> None:
    sandbox = run(log_size=5)
    with httpx.Client(base_url=sandbox.crm_com_url, verify=False) as client:
        for _ in range(8):
            client.get("/contacts")
    assert len(sandbox.crm_com.requests.entries()) == 5
    assert sandbox.crm_com.requests.count() == 8


def test_a_reset_forgets_everything(
    sandbox: Sandbox, loke: httpx.Client, crm: httpx.Client
) -> None:
    crm.post("/contacts", json=BARE)
    sandbox.loke.mutate(SMALL.slug, count=5)
    sandbox.loke.switch(page_size=3)
    sandbox.loke.faults.add(FaultRule(kind="status"))
    fresh = [sandbox.loke.people_of(SMALL.slug).person(index) for index in range(50)]
    for url in (sandbox.loke_url, sandbox.crm_com_url):
        admin(url, "POST", "reset")
    assert sandbox.crm_com.count(SMALL.slug) == 0
    assert sorted(row["id"] for row in fresh) == sorted(
        row["id"] for row in sandbox.loke.customers(SMALL.slug)
    )
    assert all(row in fresh for row in sandbox.loke.customers(SMALL.slug))
    assert sandbox.loke.switches.page_size == 1000
    assert loke.get("/organizations").status_code == 401
    assert sandbox.loke.requests.count() == 1


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "nothing", None, 404),
        ("POST", "seed", {"organisation": "nobody", "customers": 1}, 400),
        ("POST", "seed", {}, 400),
        ("POST", "customers/mutate", {"organisation": SMALL.slug, "cuont": 1}, 400),
        ("POST", "seed", [], 400),
    ],
)
def test_a_wrong_command_is_refused(
    server: str, method: str, path: str, body: Any, status: int
) -> None:
    assert admin(server, method, path, body, status)["error"]
