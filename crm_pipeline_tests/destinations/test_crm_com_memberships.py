"""Memberships in CRM.COM: our own tags come and go, and nobody else's."""

from collections.abc import Iterator, Sequence

import msgspec
import pytest

from crm_pipeline.core.records import ChangeKind, Fields, WriteResult
from crm_pipeline.destinations.crm_com.api import CrmComApi
from crm_pipeline.destinations.crm_com.comparing import is_same
from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline_tests.destinations.conftest import KEY
from crm_pipeline_tests.destinations.crm_com_support import change_of, connected
from crm_pipeline_tests.http.scripted_server import ScriptedServer, answer

GOLD, SILVER, THEIRS, OTHER = "LOKE: Gold", "LOKE: Silver", "VIP", "Staff"
OURS = (GOLD, SILVER)
TAG_LIST = answer(200, b'{"content":[{"id":"g","name":"LOKE: Gold"}],"paging":{"has_more":false}}')


def as_list(names: Sequence[str]) -> str:
    return msgspec.json.encode(sorted(names)).decode()


@pytest.fixture
def ids(sandbox: Sandbox) -> dict[str, str]:
    """Return the ids of the tags by name."""
    tags = sandbox.crm_com.configure_tags([GOLD, SILVER, THEIRS, OTHER])
    return {name: tag_id for tag_id, name in tags.items()}


@pytest.fixture
def api(sandbox: Sandbox, ids: dict[str, str]) -> Iterator[CrmComApi]:
    with connected(sandbox.crm_com_url, options={"tags": as_list(OURS)}) as api:
        yield api


@pytest.fixture
def contact_id(sandbox: Sandbox) -> str:
    body = {"person_name": {"first_name": "Mina", "last_name": "Okafor"}, "code": "loke:A"}
    (crm_id,) = sandbox.crm_com.add(KEY, [body])
    return crm_id


def held(sandbox: Sandbox, ids: dict[str, str]) -> list[str]:
    contact = sandbox.crm_com.contact(KEY, "loke:A")
    assert contact is not None
    names = {tag_id: name for name, tag_id in ids.items()}
    return [names[tag_id] for tag_id in contact["tags"]]


def give(sandbox: Sandbox, contact_id: str, ids: dict[str, str], *names: str) -> None:
    """Put tags on the contact behind the client's back."""
    contact = sandbox.crm_com.key(KEY).contacts.find(contact_id)
    assert contact is not None
    contact["tags"] = [ids[name] for name in names]


def bring(
    api: CrmComApi,
    contact_id: str | None,
    *tags: str,
    ours: Sequence[str] = OURS,
    kind: ChangeKind = "update",
) -> WriteResult:
    after: Fields = {"contact_key": "loke:A", "tags": as_list(tags), "ours": as_list(ours)}
    references = {"contact_key": contact_id} if contact_id else {}
    (result,) = api.write(
        [change_of("membership", "loke:A", after, kind=kind, references=references)]
    )
    return result


@pytest.mark.parametrize("mode", ["replace", "add"])
@pytest.mark.parametrize("kind", ["create", "update"])
def test_a_tag_is_added_and_those_of_others_stay(
    kind: ChangeKind,
    mode: str,
    api: CrmComApi,
    sandbox: Sandbox,
    ids: dict[str, str],
    contact_id: str,
) -> None:
    sandbox.crm_com.switch(tags_mode=mode)
    give(sandbox, contact_id, ids, THEIRS, OTHER)
    result = bring(api, contact_id, GOLD, kind=kind)
    assert (result.status, result.crm_id) == ("acked", contact_id)
    assert held(sandbox, ids) == [THEIRS, OTHER, GOLD]


def test_a_tag_of_ours_is_taken_away_and_those_of_others_stay(
    api: CrmComApi, sandbox: Sandbox, ids: dict[str, str], contact_id: str
) -> None:
    give(sandbox, contact_id, ids, SILVER, THEIRS)
    assert bring(api, contact_id, GOLD).status == "acked"
    assert held(sandbox, ids) == [THEIRS, GOLD]
    assert bring(api, contact_id).status == "acked"
    assert held(sandbox, ids) == [THEIRS]


def test_a_tag_that_the_crm_does_not_take_away_is_set_aside(
    api: CrmComApi, sandbox: Sandbox, ids: dict[str, str], contact_id: str
) -> None:
    sandbox.crm_com.switch(tags_mode="add")
    give(sandbox, contact_id, ids, SILVER, THEIRS)
    result = bring(api, contact_id, GOLD)
    assert (result.status, result.reason) == ("rejected", "tag_not_removed")
    assert THEIRS in held(sandbox, ids)


def test_tags_that_are_right_already_are_not_sent(
    api: CrmComApi, sandbox: Sandbox, ids: dict[str, str], contact_id: str
) -> None:
    give(sandbox, contact_id, ids, GOLD, THEIRS)
    result = bring(api, contact_id, GOLD)
    assert (result.status, result.reason) == ("acked", "nothing_to_send")
    assert sandbox.crm_com.requests.count("PUT") == 0


def test_the_list_of_tags_is_read_once_for_a_connection(
    api: CrmComApi, sandbox: Sandbox, contact_id: str
) -> None:
    first = bring(api, contact_id, GOLD)
    second = bring(api, contact_id, SILVER)
    assert (first.calls, second.calls) == (3, 3)
    assert sandbox.crm_com.requests.count("GET", "/tags") == 1


def test_tags_may_be_named_by_their_ids(
    api: CrmComApi, sandbox: Sandbox, ids: dict[str, str], contact_id: str
) -> None:
    give(sandbox, contact_id, ids, SILVER)
    bring(api, contact_id, ids[GOLD], ours=[ids[GOLD], ids[SILVER]])
    assert held(sandbox, ids) == [GOLD]


def test_a_tag_that_does_not_exist_is_set_aside_and_nothing_is_sent(
    api: CrmComApi, sandbox: Sandbox, contact_id: str
) -> None:
    result = bring(api, contact_id, GOLD, "LOKE: Bronze")
    assert (result.status, result.reason) == ("rejected", "tag_unknown")
    assert "LOKE: Bronze" in result.detail
    assert sandbox.crm_com.requests.count("PUT") == 0


def test_a_tag_of_ours_that_is_no_longer_there_is_no_trouble(
    api: CrmComApi, sandbox: Sandbox, ids: dict[str, str], contact_id: str
) -> None:
    assert bring(api, contact_id, GOLD, ours=[*OURS, "LOKE: Bronze"]).status == "acked"
    assert held(sandbox, ids) == [GOLD]


@pytest.mark.parametrize("status", [400, 404])
def test_a_contact_that_is_gone_is_set_aside(status: int, api: CrmComApi, sandbox: Sandbox) -> None:
    sandbox.crm_com.switch(not_found_status=status)
    assert bring(api, "gone", GOLD).reason == "gone_from_crm"
    assert bring(api, None, GOLD).reason == "contact_not_in_crm"


@pytest.mark.parametrize(
    ("refusal", "reason"),
    [
        (answer(404, b""), "gone_from_crm"),
        (answer(404, b'{"error":"X.NOTFOUNDEXCEPTION","parameters":["tag","g"]}'), "tag_unknown"),
        (answer(400, b'{"error":"X.INVALIDVALUE","parameters":["tags"]}'), "tag_unknown"),
        (answer(400, b'{"error":"X.FROZENEXCEPTION"}'), "invalid_value"),
    ],
)
def test_a_refused_set_of_tags_is_rejected_by_what_is_wrong(refusal: bytes, reason: str) -> None:
    none = answer(200, b'{"content":[]}')
    with ScriptedServer(TAG_LIST, none, refusal) as server, connected(server.url) as api:
        result = bring(api, "7", GOLD)
    assert (result.status, result.reason) == ("rejected", reason)


def test_a_set_of_tags_that_did_not_arrive_whole_is_set_aside() -> None:
    silver = answer(200, b'{"content":[{"id":"s"}]}')
    listed = b'{"content":[{"id":"g","name":"LOKE: Gold"},{"id":"s","name":"LOKE: Silver"}]}'
    both = answer(200, listed[:-1] + b',"paging":{"has_more":false}}')
    none = answer(200, b'{"content":[]}')
    steps = (both, silver, answer(204, b""), none)
    with ScriptedServer(*steps) as server, connected(server.url) as api:
        result = bring(api, "7", GOLD)
    assert (result.status, result.reason) == ("rejected", "tag_not_added")


def test_a_contact_with_many_tags_keeps_them_all() -> None:
    def page(numbers: range, *, has_more: bool) -> bytes:
        rows = [{"id": f"t{number}"} for number in numbers]
        return answer(200, msgspec.json.encode({"content": rows, "paging": {"has_more": has_more}}))

    pages = (page(range(100), has_more=True), page(range(100, 130), has_more=False))
    with (
        ScriptedServer(TAG_LIST, *pages, answer(204, b"")) as server,
        connected(server.url) as api,
    ):
        assert bring(api, "7", GOLD).status == "acked"
        sent = msgspec.json.decode(server.seen[-1].body)
    assert sent == {"tags": [*(f"t{number}" for number in range(130)), "g"]}


def test_a_list_of_tags_without_pages_is_read_once() -> None:
    rows = msgspec.json.encode([{"id": f"t{number}"} for number in range(120)])
    with (
        ScriptedServer(TAG_LIST, answer(200, rows), answer(204, b"")) as server,
        connected(server.url) as api,
    ):
        assert bring(api, "7", GOLD).calls == 3


@pytest.mark.parametrize("kind", ["cut_before", "cut_after"])
def test_a_lost_answer_is_unknown_and_a_look_up_tells(
    kind: str, api: CrmComApi, sandbox: Sandbox, ids: dict[str, str], contact_id: str
) -> None:
    give(sandbox, contact_id, ids, THEIRS)
    sandbox.crm_com.faults.add(FaultRule(kind=kind, method="PUT"))  # type: ignore[arg-type]
    assert bring(api, contact_id, GOLD).status == "unknown"
    for crm_id in (contact_id, None):
        found = api.find("membership", "loke:A", crm_id)
        assert found is not None
        assert found.crm_id == contact_id
        is_there = is_same("tags", as_list([GOLD]), found.fields["tags"])
        assert is_there == (kind == "cut_after")


def test_throttled_surely_did_nothing(api: CrmComApi, sandbox: Sandbox, contact_id: str) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="status", status=429, method="PUT"))
    assert bring(api, contact_id, GOLD).status == "retry"


def test_doubt_after_the_tags_were_taken_stays_doubt(
    api: CrmComApi, sandbox: Sandbox, ids: dict[str, str], contact_id: str
) -> None:
    give(sandbox, contact_id, ids, SILVER)
    sandbox.crm_com.faults.add(
        FaultRule(kind="status", status=503, method="GET", path="/tags", after=2, times=None)
    )
    assert bring(api, contact_id, GOLD).status == "unknown"


def test_what_is_read_back_names_our_tags_only(
    api: CrmComApi, sandbox: Sandbox, ids: dict[str, str], contact_id: str
) -> None:
    give(sandbox, contact_id, ids, THEIRS, SILVER)
    found = api.find("membership", "loke:A", contact_id)
    assert found is not None
    assert found.fields == {
        "contact_key": "loke:A",
        "tags": as_list([SILVER]),
        "ours": as_list(OURS),
    }
    assert is_same("ours", as_list([GOLD]), found.fields["ours"])


def test_nobody_s_membership_is_not_found_and_none_is_listed(api: CrmComApi) -> None:
    assert api.find("membership", "loke:nobody") is None
    assert api.find("membership", "loke:nobody", "gone") is None
    with pytest.raises(ValueError, match="memberships"):
        list(api.read_all("membership"))


@pytest.mark.parametrize("given", ['["LOKE: Gold", "LOKE: Bronze"]', "LOKE: Gold\nLOKE: Bronze\n"])
def test_the_doctor_names_each_tag_that_is_missing(
    given: str, sandbox: Sandbox, ids: dict[str, str]
) -> None:
    with connected(sandbox.crm_com_url, options={"tags": given}) as api:
        finding = api.check()[-1]
    assert (finding.check, finding.is_ok) == ("tag LOKE: Bronze", False)
    assert "Add the tag" in finding.remedy


def test_the_doctor_says_that_all_tags_exist(api: CrmComApi) -> None:
    finding = api.check()[-1]
    assert (finding.check, finding.is_ok) == ("tags", True)


def test_the_doctor_says_that_tags_cannot_be_read(sandbox: Sandbox) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="status", status=400, path="/tags", times=None))
    with connected(sandbox.crm_com_url, options={"tags": as_list(OURS)}) as api:
        finding = api.check()[-1]
    assert (finding.check, finding.is_ok) == ("tags", False)
