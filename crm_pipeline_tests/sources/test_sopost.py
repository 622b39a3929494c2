"""SoPost's orders: no value is lost, nobody else's order is taken, no webhook is doubled."""

import json
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.core.ports import Page, SourceConnection
from crm_pipeline.errors import (
    AnswerLostError,
    ConfigurationError,
    CredentialsRefusedError,
    MalformedAnswerError,
    SecretMissingError,
)
from crm_pipeline.http import Basic
from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline.sandbox.sopost.hooks import HookBody
from crm_pipeline.sandbox.sopost.orders import UNKNOWN_STATUS
from crm_pipeline.sources.sopost import assumptions
from crm_pipeline.sources.sopost.api import SopostApi
from crm_pipeline.sources.sopost.orders import SCHEMA, decode_order, decode_orders
from crm_pipeline_tests.docs.reading import code_names, text_of
from crm_pipeline_tests.sources.conftest import ORGANISATION, OTHER
from crm_pipeline_tests.sources.twins import SOURCES

URL = "https://hooks.example.com/webhooks/sopost/test-cafe"
ORDER_ID = "9a7b6c5d-4e3f-4a2b-8c1d-0e9f8a7b6c5d"

Connect = Callable[..., SopostApi]


@pytest.fixture
def connect(sandbox: Sandbox) -> Iterator[Connect]:
    opened: list[SopostApi] = []

    def connect(**changes: Any) -> SopostApi:
        connection = SOURCES["sopost"].connection(sandbox)
        options = {**connection.options, **changes.pop("options", {})}
        secrets = {**connection.secrets, **changes.pop("secrets", {})}
        api = SopostApi(
            SourceConnection(
                organisation=connection.organisation,
                base_url=changes.get("base_url", connection.base_url),
                secrets=secrets,
                options=options,
                waits=connection.waits,
            )
        )
        opened.append(api)
        return api

    yield connect
    for api in opened:
        api.close()


@pytest.fixture
def api(connect: Connect) -> SopostApi:
    return connect()


def row_of(api: SopostApi, order_id: str) -> dict[str, Any]:
    found = api.read_one("orders", order_id)
    assert found is not None
    [row] = found.rows.to_pylist()
    return dict(row)


def test_every_member_of_an_order_has_its_column(api: SopostApi, sandbox: Sandbox) -> None:
    order_id = sandbox.sopost.place(
        ORGANISATION.id, consents="several", answers="all", fields={"telephone": "+441130000000"}
    )
    row, body = row_of(api, order_id), sandbox.sopost.order(order_id).body
    for name in ("address", "line_items", "consents", "custom_questions"):
        assert json.loads(row.pop(name)) == body.pop(name)
    assert row.pop("changed_at") is None
    assert row.pop("extra") is None
    assert row == body


def test_nested_members_stay_as_they_came_but_for_white_space() -> None:
    address = '{ "line_1" : "R\\u00fctli",\n"n": 1.50 }'
    body = f'{{"id": "{ORDER_ID}", "address": {address}, "consents": []}}'
    [row] = decode_order(body.encode(), ORDER_ID).rows.to_pylist()
    unspaced = '{"line_1":"R\\u00fctli","n":1.50}'
    assert (row["address"], row["consents"], row["line_items"]) == (unspaced, "[]", None)


def test_what_is_unknown_or_of_another_type_is_kept_beside() -> None:
    body = json.dumps(
        {
            "id": ORDER_ID,
            "status": UNKNOWN_STATUS,
            "email": None,
            "telephone": 5,
            "consents": None,
            "address": "1 Quay Road",
            "updated_at": "2026-03-04T05:06:07+00:00",
            "changed_at": "never",
        }
    )
    [row] = decode_order(body.encode(), ORDER_ID).rows.to_pylist()
    assert (row["status"], row["email"], row["consents"]) == (UNKNOWN_STATUS, None, None)
    assert json.loads(row["extra"]) == {
        "email": None,
        "telephone": 5,
        "consents": None,
        "address": "1 Quay Road",
        "updated_at": "2026-03-04T05:06:07+00:00",
        "changed_at": "never",
    }


plain = st.none() | st.booleans() | st.integers() | st.text()
values = plain | st.lists(plain, max_size=2) | st.dictionaries(st.text(), plain, max_size=2)


@given(st.dictionaries(st.sampled_from([*SCHEMA.names, "new"]) | st.text(), values, max_size=8))
def test_no_value_of_an_order_is_ever_lost(members: dict[str, Any]) -> None:
    members = {**members, "id": ORDER_ID}
    [row] = decode_order(json.dumps(members).encode(), ORDER_ID).rows.to_pylist()
    found = json.loads(row.pop("extra") or "{}")
    for name, value in row.items():
        if value is not None:
            is_nested = name in ("address", "line_items", "consents", "custom_questions")
            found[name] = json.loads(value) if is_nested else value
    assert found == members


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "null",
        '{"status": "APPROVED"}',
        '{"id": 5}',
        f'{{"id": "{ORDER_ID}"}}, {{"id": "{ORDER_ID}"}}',
        f'{{"id": "{ORDER_ID}", "id": "{ORDER_ID}"}}',
        f'{{"id": "{ORDER_ID}", "x": NaN}}',
        '{"id": "00000000-0000-4000-8000-000000000000"}',
    ],
)
def test_an_answer_about_anything_else_is_refused_whole(body: str) -> None:
    with pytest.raises(MalformedAnswerError) as caught:
        decode_order(body.encode(), ORDER_ID)
    assert ORDER_ID not in str(caught.value)


def test_a_list_of_orders_can_be_decoded(api: SopostApi) -> None:
    body = f'[{{"id": "{ORDER_ID}"}}, {{"id": ""}}]'.encode()
    page = Page(body=body, next_link=None, server_date=None, digest="")
    decoded = api.decode("orders", page)
    assert (decoded.rows.num_rows, decoded.row_count) == (1, 2)
    assert decoded.rejects[0].reason == "record_without_id"
    assert decode_orders(b"[]").row_count == 0
    with pytest.raises(MalformedAnswerError):
        decode_orders(b"{}")


def test_an_order_that_moved_on_tells_its_present_state(api: SopostApi, sandbox: Sandbox) -> None:
    order_id = sandbox.sopost.place(ORGANISATION.id)
    sandbox.sopost.advance(order_id, "DISPATCHED")
    assert row_of(api, order_id)["status"] == "DISPATCHED"
    assert row_of(api, order_id.upper())["id"] == order_id


def test_another_organisations_order_is_none_of_ours(connect: Connect, sandbox: Sandbox) -> None:
    theirs, ours = sandbox.sopost.place(OTHER.id), sandbox.sopost.place(ORGANISATION.id)
    for options in (
        {"entity_type": "Organisation", "entity_id": ORGANISATION.sopost_id},
        {"entity_type": "Campaign", "entity_id": ORGANISATION.sopost_campaign_id.upper()},
    ):
        api = connect(options=options)
        assert api.read_one("orders", theirs) is None
        assert api.read_one("orders", ours) is not None


def test_whose_an_activity_is_is_asked_once(api: SopostApi, sandbox: Sandbox) -> None:
    for number in range(6):
        order_id = sandbox.sopost.place(ORGANISATION.id, activity=number % 2)
        assert api.read_one("orders", order_id) is not None
    requests = sandbox.sopost.requests
    assert requests.count(route="/activities/{id}") == 2
    assert requests.count(route="/campaigns") == 1


@pytest.mark.parametrize("path", ["/activities/", "/campaigns"])
def test_an_order_of_which_nobody_says_whose_it_is_is_taken(
    path: str, api: SopostApi, sandbox: Sandbox
) -> None:
    sandbox.sopost.faults.add(FaultRule(kind="status", status=404, path=path))
    assert api.read_one("orders", sandbox.sopost.place(ORGANISATION.id)) is not None


def test_an_activity_that_is_no_uuid_is_not_asked_about(api: SopostApi, sandbox: Sandbox) -> None:
    for activity in (None, "../webhooks", 5):
        order_id = sandbox.sopost.place(ORGANISATION.id)
        sandbox.sopost.change(order_id, {"activity_id": activity})
        assert api.read_one("orders", order_id) is not None
    assert sandbox.sopost.requests.count(route="/activities/{id}") == 0


def test_a_user_who_may_not_see_the_organisation_is_told_so(connect: Connect) -> None:
    user = f"sandbox-user.{OTHER.slug}"
    findings = connect(secrets={"user_id": lambda: user}).check()
    assert [finding.is_ok for finding in findings] == [True, False]
    assert ORGANISATION.sopost_id in findings[-1].message
    assert "entity_id" in findings[-1].remedy


@pytest.mark.parametrize("path", ["organisations", "webhooks"])
@pytest.mark.parametrize(
    ("fault", "word"),
    [({"status": 404}, "status 404"), ({"status": 200, "body": '{"a": 1}'}, "not a list")],
)
def test_a_path_that_we_guessed_wrong_is_shown_by_the_check(
    path: str, fault: dict[str, Any], word: str, api: SopostApi, sandbox: Sandbox
) -> None:
    rule = FaultRule(kind="status", path=path, times=None, **fault)
    sandbox.sopost.faults.add(rule)
    last = api.check()[-1]
    assert not last.is_ok
    assert word in last.message
    assert last.remedy


def test_a_campaign_is_looked_for_among_the_campaigns(connect: Connect) -> None:
    options = {"entity_type": "Campaign", "entity_id": ORGANISATION.sopost_campaign_id}
    assert all(finding.is_ok for finding in connect(options=options).check())
    wrong = {"entity_type": "Campaign", "entity_id": ORGANISATION.sopost_id}
    assert not connect(options=wrong).check()[-1].is_ok


def test_every_guess_about_sopost_is_among_the_assumptions() -> None:
    guesses = {name for name in vars(assumptions) if name.isupper()}
    assert guesses - set(code_names(text_of("docs/vendor-assumptions.md"))) == set()


@pytest.mark.parametrize(
    "options", [{"entity_type": "Activity"}, {"entity_id": "acme"}, {"entity_id": ""}]
)
def test_an_entity_that_cannot_be_one_is_refused_before_any_call(
    options: dict[str, str], connect: Connect
) -> None:
    with pytest.raises(ConfigurationError, match="entity_type"):
        connect(options=options)


def hook(api: SopostApi, secret: str, url: str = URL) -> None:
    api.subscribe("crm-pipeline", f"{url}/{secret}", ["OrderEvent"], None)


def urls(api: SopostApi) -> list[str]:
    return sorted(each.url for each in api.subscriptions())


def test_a_new_secret_replaces_the_address_of_before(api: SopostApi) -> None:
    hook(api, "first")
    hook(api, "second")
    assert urls(api) == [f"{URL}/second"]


def test_nobody_elses_subscription_is_touched(api: SopostApi) -> None:
    others = ["https://hooks.example.com/a", f"{URL}-2/first", "https://x.example/webhooks/sopost"]
    for url in others:
        hook(api, "theirs", url)
    hook(api, "first")
    hook(api, "second")
    assert urls(api) == sorted([*(f"{url}/theirs" for url in others), f"{URL}/second"])


def test_short_addresses_are_nobodys_siblings(api: SopostApi) -> None:
    hook(api, "a", "https://hooks.example.com/sopost")
    hook(api, "b", "https://hooks.example.com/sopost")
    assert len(urls(api)) == 2


def test_doubles_and_those_of_another_entity_are_removed(
    connect: Connect, sandbox: Sandbox
) -> None:
    campaign = {"entity_type": "Campaign", "entity_id": ORGANISATION.sopost_campaign_id}
    hook(connect(options=campaign), "secret")
    double = HookBody(
        url=f"{URL}/secret",
        events=["OrderEvent"],
        entity_type="Organisation",
        entity_id=ORGANISATION.sopost_id,
    )
    for _ in range(2):
        sandbox.sopost.subscriptions.add(double, "2026-03-04T05:06:07+00:00")
    hook(connect(), "secret")
    [left] = sandbox.sopost.subscriptions.all()
    assert (left.entity_type, left.url) == ("Organisation", f"{URL}/secret")


def test_a_subscription_whose_answer_was_lost_is_not_made_twice(
    api: SopostApi, sandbox: Sandbox
) -> None:
    sandbox.sopost.faults.add(FaultRule(kind="cut_after", method="POST", path="webhooks"))
    with pytest.raises(AnswerLostError):
        hook(api, "secret")
    hook(api, "secret")
    assert urls(api) == [f"{URL}/secret"]
    assert sandbox.sopost.requests.count("POST", "/webhooks") == 1


def test_a_refused_subscription_says_what_to_check(api: SopostApi, sandbox: Sandbox) -> None:
    with pytest.raises(ConfigurationError, match="status 422"):
        api.subscribe("crm-pipeline", f"{URL}/x", ["OtherEvent"], None)
    hook(api, "secret")
    [made] = api.subscriptions()
    sandbox.sopost.faults.add(FaultRule(kind="status", status=403, method="DELETE"))
    with pytest.raises(ConfigurationError, match="status 403"):
        api.unsubscribe(made.ref)
    assert not api.unsubscribe("")


def test_odd_subscriptions_are_listed_and_left_alone(api: SopostApi, sandbox: Sandbox) -> None:
    body = '[{"id": 5}, {"url": "https://a.example/1", "events": "all"}]'
    rule = FaultRule(kind="status", status=200, body=body, path="webhooks", times=None)
    sandbox.sopost.faults.add(rule)
    assert [(each.ref, each.url, each.events) for each in api.subscriptions()] == [
        ("", "", ()),
        ("", "https://a.example/1", ()),
    ]


def test_a_rotated_password_is_used_at_once(connect: Connect, sandbox: Sandbox) -> None:
    password = ["wrong"]
    api = connect(secrets={"password": lambda: password[0]})
    with pytest.raises(CredentialsRefusedError):
        api.subscriptions()
    password[0] = f"{sandbox.settings.sopost_password}\n"
    assert list(api.subscriptions()) == []


def test_user_and_password_go_as_basic_authentication() -> None:
    credentials = Basic(lambda: "Aladdin", lambda: "open sesame")
    assert credentials.header() == ("Authorization", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==")
    assert not credentials.renew(credentials.header())
    assert not credentials.renew(None)
    assert credentials.renew(("Authorization", "Basic b2xk"))
    assert Basic(lambda: "test", lambda: "123£").header()[1] == "Basic dGVzdDoxMjPCow=="


@pytest.mark.parametrize(
    ("user", "password"), [("", "canary"), ("a:b", "canary"), ("a", " "), ("a", "can\nary")]
)
def test_unusable_credentials_are_named_and_not_shown(user: str, password: str) -> None:
    with pytest.raises(SecretMissingError) as caught:
        Basic(lambda: user, lambda: password).header()
    assert "can" not in str(caught.value).replace("can carry", "")
    assert "canary" not in "".join(traceback.format_exception(caught.value))
