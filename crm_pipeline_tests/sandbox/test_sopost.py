"""The fake SoPost: who may call, what is answered, what it does on request."""

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline.sandbox.sopost.orders import STAGES, UNKNOWN_STATUS
from crm_pipeline_tests.sandbox.conftest import BIG, SMALL

USER, PASSWORD = "sandbox-user", "sandbox-password"


@pytest.fixture
def sopost(sandbox: Sandbox) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=sandbox.sopost_url, auth=(USER, PASSWORD), verify=False) as client:
        yield client


def subscription(entity_id: str = SMALL.sopost_id, **changes: Any) -> dict[str, Any]:
    return {
        "url": "http://127.0.0.1:9/hook",
        "events": ["OrderEvent"],
        "entity_type": "Organisation",
        "entity_id": entity_id,
        **changes,
    }


def admin(sandbox: Sandbox, method: str, path: str, body: Any = None, status: int = 200) -> Any:
    url = f"{sandbox.sopost_url}/_sandbox/{path}"
    answer = httpx.request(method, url, json=body, verify=False)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.mark.parametrize(
    "auth", [None, (USER, "wrong"), ("nobody", PASSWORD), (f"{USER}.nowhere", PASSWORD)]
)
def test_a_stranger_is_refused(sandbox: Sandbox, auth: tuple[str, str] | None) -> None:
    answer = httpx.get(f"{sandbox.sopost_url}/organisations", auth=auth, verify=False)
    assert answer.status_code == 401
    assert answer.json() == {"message": "unauthorised"}
    header = {"Authorization": "Basic ?"}
    answer = httpx.get(f"{sandbox.sopost_url}/organisations", headers=header, verify=False)
    assert answer.status_code == 401


def test_organisations_campaigns_and_activities_hang_together(sopost: httpx.Client) -> None:
    organisations = sopost.get("/organisations").json()
    campaigns = sopost.get("/campaigns").json()
    assert [each["id"] for each in organisations] == [SMALL.sopost_id, BIG.sopost_id]
    assert [each["organisation_id"] for each in campaigns] == [each["id"] for each in organisations]
    assert campaigns[0]["id"] == SMALL.sopost_campaign_id


def test_an_activity_tells_its_campaign_its_consents_and_its_products(
    sandbox: Sandbox, sopost: httpx.Client
) -> None:
    brand = sandbox.sopost.brand(SMALL.slug)
    activity = brand.activity_ids[1]
    assert sopost.get(f"/activities/{activity}").json()["campaign_id"] == brand.campaign_id
    consents = sopost.get(f"/activities/{activity}/consents").json()
    assert brand.newsletter_id in [each["id"] for each in consents]
    products = sopost.get(f"/activities/{activity}/products").json()
    parts = [each["skus"][0]["stock_partitions"][0]["id"] for each in products]
    assert tuple(parts) == brand.stock_partition_ids
    assert sopost.get("/activities/none").status_code == 404


def test_a_user_of_one_organisation_sees_that_one_only(sandbox: Sandbox) -> None:
    ours, theirs = sandbox.sopost.place(SMALL.slug), sandbox.sopost.place(BIG.slug)
    auth = (f"{USER}.{SMALL.slug}", PASSWORD)
    with httpx.Client(base_url=sandbox.sopost_url, auth=auth, verify=False) as client:
        assert [each["id"] for each in client.get("/organisations").json()] == [SMALL.sopost_id]
        assert client.get(f"/orders/{ours}").status_code == 200
        assert client.get(f"/orders/{theirs}").status_code == 403
        assert client.post("/webhooks", json=subscription(BIG.sopost_id)).status_code == 404


def test_ids_are_the_same_in_every_run_and_differ_between_organisations(
    run: Callable[..., Sandbox],
) -> None:
    first, second = run(), run()
    for organisation in (SMALL.slug, BIG.slug):
        assert first.sopost.place(organisation) == second.sopost.place(organisation)
    assert len({*first.sopost.orders}) == 2
    assert first.sopost.orders.keys() == second.sopost.orders.keys()


def test_a_webhook_is_no_upsert(sopost: httpx.Client) -> None:
    made = [sopost.post("/webhooks", json=subscription()) for _ in range(2)]
    assert [each.status_code for each in made] == [201, 201]
    assert len(sopost.get("/webhooks").json()) == 2
    first = made[0].json()
    assert sopost.get(f"/webhooks/{first['id']}").json() == first
    assert sopost.delete(f"/webhooks/{first['id']}").status_code == 204
    assert sopost.delete(f"/webhooks/{first['id']}").status_code == 404
    assert len(sopost.get("/webhooks").json()) == 1


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"events": ["OtherEvent"]}, 422),
        ({"entity_type": "Activity"}, 422),
        ({"url": "hooks"}, 422),
        ({"url": 5}, 422),
        ({"entity_id": SMALL.sopost_campaign_id}, 404),
    ],
)
def test_a_wrong_subscription_is_refused(
    sopost: httpx.Client, change: dict[str, Any], status: int
) -> None:
    answer = sopost.post("/webhooks", json=subscription(**change))
    assert (answer.status_code, list(answer.json())) == (status, ["message"])
    assert sopost.get("/webhooks").json() == []


def test_what_is_not_offered_says_so(sopost: httpx.Client) -> None:
    assert sopost.get("/orders").status_code == 405
    assert sopost.get("/nothing").status_code == 404
    assert sopost.get("/orders/none").status_code == 404
    assert sopost.post("/orders", content=b"{").status_code == 400


def test_an_order_has_the_documented_members(sandbox: Sandbox, sopost: httpx.Client) -> None:
    order_id = sandbox.sopost.place(SMALL.slug, consents="newsletter", answers="several")
    order = sopost.get(f"/orders/{order_id}").json()
    brand = sandbox.sopost.brand(SMALL.slug)
    assert set(order) - {"telephone"} == {
        "id", "short_id", "activity_id", "address", "full_name", "email", "provider", "identity",
        "line_items", "status", "consents", "custom_questions",
    }  # fmt: skip
    assert (order["id"], order["status"]) == (order_id, "PENDING")
    assert order["consents"] == [
        {
            "consent_id": brand.newsletter_id,
            "consent_name": "Harbour Coffee newsletter",
            "data_handler": brand.data_handler,
            "status": "APPROVED",
        }
    ]
    assert len(order["custom_questions"][0]["answer"]) == 2


def test_a_client_places_an_order(sandbox: Sandbox, sopost: httpx.Client) -> None:
    brand = sandbox.sopost.brand(SMALL.slug)
    body = {
        "activity_id": brand.activity_ids[0],
        "full_name": "Asha Lindqvist",
        "email": "asha@example.com",
        "address": {"line_1": "1 Quay Road", "territory": "GBR"},
        "line_items": [{"stock_partition_id": brand.stock_partition_ids[0]}],
        "consents": [{"consent_id": brand.newsletter_id}],
        "identity": "our-own",
    }
    answer = sopost.post("/orders", json=body)
    assert answer.status_code == 201
    assert answer.json()["created"].endswith("+00:00")
    order = sopost.get(f"/orders/{answer.json()['id']}").json()
    assert (order["identity"], order["provider"], order["status"]) == ("our-own", "api", "PENDING")
    assert [each["consent_id"] for each in order["consents"]] == [brand.newsletter_id]
    assert "telephone" not in order
    assert sopost.post("/orders", json={"email": "x"}).status_code == 422
    assert sopost.post("/orders", json={**body, "activity_id": "none"}).status_code == 404


def test_every_third_person_is_a_loke_customer_in_some_letters_case(sandbox: Sandbox) -> None:
    theirs = {each.get("email", "").lower() for each in sandbox.loke.customers(SMALL.slug)}
    people = [sandbox.sopost.person(SMALL.slug, index) for index in range(30)]
    shared = [each["email"] for each in people if each["email"].lower() in theirs]
    assert len(shared) in range(8, 11)
    assert any(email != email.lower() for email in shared)
    assert people == [sandbox.sopost.person(SMALL.slug, index) for index in range(30)]
    assert any("telephone" not in each for each in people)


@pytest.mark.parametrize(
    ("kind", "own", "statuses"),
    [
        ("newsletter", True, {"APPROVED"}),
        ("several", True, {"APPROVED"}),
        ("pending", True, {"APPROVED", "PENDING"}),
        ("foreign", False, {"APPROVED"}),
        ("terms", False, {"APPROVED"}),
        ("empty", False, set()),
    ],
)
def test_consents_of_every_kind_can_be_had(
    sandbox: Sandbox, kind: Any, own: bool, statuses: set[str]
) -> None:
    order = sandbox.sopost.order(sandbox.sopost.place(SMALL.slug, consents=kind))
    ids = [each["consent_id"] for each in order.body["consents"]]
    assert (order.brand.newsletter_id in ids) is own
    assert {each["status"] for each in order.body["consents"]} == statuses


def test_answers_of_every_kind_can_be_had(sandbox: Sandbox) -> None:
    kinds: list[Any] = ["none", "one", "several", "text", "all"]
    counts = []
    for kind in kinds:
        order = sandbox.sopost.order(sandbox.sopost.place(SMALL.slug, answers=kind))
        counts.append([len(each["answer"]) for each in order.body["custom_questions"]])
    assert counts == [[], [1], [2], [1], [1, 3, 1]]
    [free] = order.body["custom_questions"][2]["answer"]
    assert list(free) == ["answer_text"]


def test_an_order_goes_its_way_and_no_further(sandbox: Sandbox) -> None:
    order_id = sandbox.sopost.place(SMALL.slug)
    assert [sandbox.sopost.advance(order_id) for _ in range(4)] == [*STAGES[1:], "DELIVERED"]
    rejected = sandbox.sopost.place(SMALL.slug)
    assert sandbox.sopost.advance(rejected, "REJECTED") == "REJECTED"
    with pytest.raises(ValueError, match="no way"):
        sandbox.sopost.advance(rejected)
    with pytest.raises(ValueError, match="no way"):
        sandbox.sopost.advance(order_id, "PAINTED")
    with pytest.raises(KeyError):
        sandbox.sopost.advance("none")


@pytest.mark.parametrize("status", [404, 403])
def test_reads_straight_after_a_change_may_fail(
    sandbox: Sandbox, sopost: httpx.Client, status: int
) -> None:
    sandbox.sopost.switch(blocked_reads=2, blocked_status=status)
    order_id = sandbox.sopost.place(SMALL.slug)
    reads = [sopost.get(f"/orders/{order_id}").status_code for _ in range(3)]
    assert reads == [status, status, 200]
    sandbox.sopost.move(order_id, "APPROVED")
    assert sopost.get(f"/orders/{order_id}").status_code == status


def test_faults_act_on_the_organisation_that_they_name(
    sandbox: Sandbox, sopost: httpx.Client
) -> None:
    ours, theirs = sandbox.sopost.place(SMALL.slug), sandbox.sopost.place(BIG.slug)
    rule = FaultRule(kind="status", status=503, organisation=SMALL.slug, times=None)
    sandbox.sopost.faults.add(rule)
    assert sopost.get(f"/orders/{ours}").status_code == 503
    assert sopost.get(f"/orders/{theirs}").status_code == 200
    activity = sandbox.sopost.brand(SMALL.slug).activity_ids[0]
    assert sopost.get(f"/activities/{activity}").status_code == 503
    assert sandbox.sopost.requests.count(route="/orders/{id}", organisation=SMALL.slug) == 1


def test_the_admin_endpoints_do_what_the_handles_do(sandbox: Sandbox, sopost: httpx.Client) -> None:
    assert admin(sandbox, "GET", "health") == {"status": "ok", "vendor": "sopost"}
    placed = {"organisation": SMALL.slug, "count": 3, "upto": "APPROVED", "consents": "empty"}
    ids = admin(sandbox, "POST", "orders/place", placed)["ids"]
    assert len(set(ids)) == 3
    assert admin(sandbox, "POST", "orders/move", {"ids": ids})["statuses"] == ["DISPATCHED"] * 3
    odd = {"ids": ids[:1], "status": UNKNOWN_STATUS}
    assert admin(sandbox, "POST", "orders/move", odd)["statuses"] == [UNKNOWN_STATUS]
    admin(sandbox, "POST", "orders/change", {"id": ids[1], "fields": {"telephone": None, "x": 1}})
    orders = admin(sandbox, "GET", f"state?organisation={SMALL.slug}")["orders"]
    assert [each["status"] for each in orders] == [UNKNOWN_STATUS, "DISPATCHED", "DISPATCHED"]
    assert orders[1]["x"] == 1
    assert "telephone" not in orders[1]
    sopost.post("/webhooks", json=subscription())
    admin(sandbox, "POST", "events/again", {"id": ids[0], "status": "APPROVED"})
    state = admin(sandbox, "GET", "state")
    assert (state["organisations"][0]["orders"], state["events_sent"]) == (3, 1)
    assert len(state["webhooks"]) == 1
    switched = admin(sandbox, "POST", "switches", {"blocked_status": 403})
    assert switched == admin(sandbox, "GET", "switches")
    hooks = admin(sandbox, "POST", "hooks/switches", {"duplicate": 1})
    assert hooks == admin(sandbox, "GET", "hooks/switches")
    admin(sandbox, "POST", "hooks/advance", {"seconds": 5})
    assert admin(sandbox, "POST", "events/release") == {"sent": 0}
    admin(sandbox, "POST", "reset")
    assert admin(sandbox, "GET", "state")["webhooks"] == []
    assert admin(sandbox, "GET", "hooks") == {"deliveries": []}


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("orders/place", {"organisation": "nobody"}),
        ("orders/place", {"organisation": SMALL.slug, "consents": "all"}),
        ("orders/place", {"organisation": SMALL.slug, "activity": 2}),
        ("orders/place", {"organisation": SMALL.slug, "upto": "PAINTED"}),
        ("orders/move", {"ids": ["none"]}),
        ("switches", {"blocked_status": 500}),
        ("hooks/switches", {"unknown": 1}),
        ("events/again", {"id": "none", "status": "APPROVED"}),
    ],
)
def test_a_wrong_command_is_refused(sandbox: Sandbox, path: str, body: Any) -> None:
    assert admin(sandbox, "POST", path, body, 400)["error"]
