"""What every destination that holds contacts must do with them, against its sandbox twin.

What every kind of object must do is in ``test_conformance_kinds``.
"""

import threading
import traceback
from collections.abc import Mapping

import pytest

from crm_pipeline.core.ports import DestinationApi
from crm_pipeline.core.records import Fields, RemoteObject, WriteResult
from crm_pipeline.destinations import load_destinations
from crm_pipeline.errors import (
    ConfigurationError,
    CredentialsRefusedError,
    MalformedAnswerError,
    SourceUnstableError,
)
from crm_pipeline.sandbox import FaultRule, Sandbox
from crm_pipeline_tests.destinations.conftest import KEY, MINA, ORGANISATION, Connect, make_change
from crm_pipeline_tests.http.scripted_server import ScriptedServer, answer, free_url

is_same = load_destinations()["crm_com"].is_same


def write(api: DestinationApi, **change: object) -> WriteResult:
    (result,) = api.write([make_change(**change)])  # type: ignore[arg-type]
    return result


def found(api: DestinationApi, key: str = "loke:A") -> RemoteObject:
    contact = api.find("contact", key)
    assert contact is not None
    return contact


def edit(sandbox: Sandbox, body: dict[str, object]) -> None:
    assert sandbox.crm_com.mutate(KEY, ids=["loke:A"], fields=body)


def differing(wanted: Fields, contact: RemoteObject) -> list[str]:
    return [
        name
        for name in {*wanted, *contact.fields}
        if not is_same(name, wanted.get(name), contact.fields.get(name))
    ]


def test_what_was_written_is_what_is_read_back(api: DestinationApi) -> None:
    result = write(api)
    assert (result.status, result.withheld, result.calls) == ("acked", (), 1)
    contact = found(api)
    assert (contact.crm_id, contact.key) == (result.crm_id, "loke:A")
    assert differing(MINA, contact) == []


def test_a_contact_without_a_word_about_consent_is_created_opted_out(api: DestinationApi) -> None:
    write(api, after={"first_name": "Mina", "last_name": "Okafor"})
    contact = found(api)
    assert (contact.fields["email_opt_out"], contact.fields["sms_opt_out"]) == (True, True)


def test_an_update_sends_what_changed_and_leaves_the_rest(
    api: DestinationApi, sandbox: Sandbox
) -> None:
    crm_id = write(api).crm_id
    edit(sandbox, {"phone": None})
    after = {**MINA, "last_name": "Smythe"}
    result = write(
        api, kind="update", crm_id=crm_id, before=MINA, after=after, changed=("last_name",)
    )
    assert (result.status, result.crm_id, result.calls) == ("acked", crm_id, 1)
    contact = found(api)
    assert contact.fields["last_name"] == "Smythe"
    assert "phone_number" not in contact.fields


def test_an_opt_out_goes_along_with_every_update_and_an_opt_in_only_when_it_changed(
    api: DestinationApi, sandbox: Sandbox
) -> None:
    write(api)
    edit(sandbox, {"email_opt_out": True, "sms_opt_out": False})
    write(api, kind="update", before=MINA, changed=("last_name",))
    assert (found(api).fields["email_opt_out"], found(api).fields["sms_opt_out"]) == (True, True)
    write(api, kind="update", before=MINA, changed=("email_opt_out",))
    assert found(api).fields["email_opt_out"] is False


def test_a_field_that_lost_its_value_is_cleared(api: DestinationApi) -> None:
    write(api)
    gone = ("email", "phone_country", "phone_number", "gender", "custom.loke_points_balance")
    after = {name: value for name, value in MINA.items() if name not in gone}
    assert write(api, kind="update", before=MINA, after=after, changed=gone).status == "acked"
    assert differing(after, found(api)) == []


def test_a_withheld_field_is_never_sent(api: DestinationApi) -> None:
    result = write(api, withheld=("email",))
    assert (result.status, result.withheld) == ("acked", ("email",))
    assert "email" not in found(api).fields
    without = {name: value for name, value in MINA.items() if name != "email"}
    result = write(api, kind="update", before=without, changed=("email",), withheld=("email",))
    assert (result.status, result.calls, result.reason) == ("acked", 0, "nothing_to_send")


def test_a_withheld_medium_that_we_wrote_is_taken_away(api: DestinationApi) -> None:
    write(api)
    assert found(api).fields["email"] == MINA["email"]
    result = write(api, kind="update", before=MINA, changed=("email",), withheld=("email",))
    assert (result.status, result.withheld) == ("acked", ("email",))
    assert "email" not in found(api).fields


def test_the_same_create_twice_makes_one_contact(api: DestinationApi, sandbox: Sandbox) -> None:
    first = write(api)
    again = write(api, after={**MINA, "last_name": "Smythe"})
    assert (again.status, again.crm_id, again.withheld) == ("acked", first.crm_id, ())
    assert sandbox.crm_com.count(KEY) == 1
    assert found(api).fields["last_name"] == "Smythe"


def test_a_create_that_was_done_before_never_undoes_an_opt_out(
    api: DestinationApi, sandbox: Sandbox
) -> None:
    write(api)
    edit(sandbox, {"email_opt_out": True})
    result = write(api)
    assert (result.status, result.withheld, result.reason) == ("acked", (), "opt_out_kept")
    assert found(api).fields["email_opt_out"] is True


def test_an_archived_contact_is_opted_out_of_everything(
    api: DestinationApi, sandbox: Sandbox
) -> None:
    write(api)
    assert write(api, kind="archive", before=MINA).status == "acked"
    assert (found(api).fields["email_opt_out"], found(api).fields["sms_opt_out"]) == (True, True)
    sandbox.crm_com.delete(KEY, ids=["loke:A"])
    assert write(api, kind="archive", before=MINA).reason == "gone_from_crm"


@pytest.mark.parametrize("kind", ["cut_before", "cut_after", "truncate"])
def test_a_lost_answer_is_unknown_and_a_look_up_tells(
    kind: str, api: DestinationApi, sandbox: Sandbox
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind=kind, method="POST"))  # type: ignore[arg-type]
    result = write(api)
    assert (result.status, result.reason) == ("unknown", "answer_lost")
    assert (api.find("contact", "loke:A") is None) == (kind == "cut_before")
    assert write(api).status == "acked"
    assert sandbox.crm_com.count(KEY) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize(("kind", "method"), [("create", "POST"), ("update", "PUT")])
def test_a_server_error_is_unknown_and_the_write_is_sent_once(
    status: int, kind: str, method: str, api: DestinationApi, sandbox: Sandbox
) -> None:
    sandbox.crm_com.faults.add(
        FaultRule(kind="status", status=status, content="html", method=method, times=None)
    )
    assert write(api, kind=kind).status == "unknown"
    assert sandbox.crm_com.requests.count(method) == 1


def test_throttled_surely_did_nothing_and_says_how_long_to_wait(
    api: DestinationApi, sandbox: Sandbox
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="status", status=429, retry_after=7, method="POST"))
    result = write(api)
    assert (result.status, result.reason, result.retry_after_seconds) == ("retry", "throttled", 7.0)
    assert sandbox.crm_com.count(KEY) == 0


def test_no_connection_surely_did_nothing(connect: Connect) -> None:
    result = write(connect(url=free_url()))
    assert (result.status, result.reason) == ("retry", "unreachable")


@pytest.mark.parametrize("key", ["wrong", ORGANISATION.crm_read_only_key])
def test_a_refused_key_stops_the_whole_destination(key: str, connect: Connect) -> None:
    with pytest.raises(CredentialsRefusedError):
        write(connect(key=key))


def test_a_redirect_stops_the_whole_destination(connect: Connect) -> None:
    with (
        ScriptedServer(answer(307, Location="https://evil.example/")) as server,
        pytest.raises(ConfigurationError),
    ):
        write(connect(url=server.url))


@pytest.mark.parametrize("status", [400, 404])
def test_a_contact_that_is_gone_is_rejected_and_not_made_again(
    status: int, api: DestinationApi, sandbox: Sandbox
) -> None:
    crm_id = write(api).crm_id
    sandbox.crm_com.delete(KEY, ids=["loke:A"])
    sandbox.crm_com.switch(not_found_status=status)
    result = write(api, kind="update", crm_id=crm_id, before=MINA, changed=("last_name",))
    assert (result.status, result.reason) == ("rejected", "gone_from_crm")
    assert sandbox.crm_com.count(KEY) == 0
    assert api.find("contact", "loke:A") is None


@pytest.mark.parametrize(
    ("bad", "named"),
    [
        ({"custom.canary_field": "canary"}, ""),
        ({"phone_number": "canary"}, "number"),
        ({"gender": "canary"}, "gender"),
        ({"email": "canary"}, "email_address"),
        ({"last_name": ""}, "last_name"),
        ({"date_of_birth": "1990-02-31"}, "date_of_birth"),
    ],
)
def test_a_refused_value_is_rejected_by_the_name_of_its_field_only(
    bad: Fields, named: str, api: DestinationApi
) -> None:
    result = write(api, after={**MINA, **bad})
    assert (result.status, result.reason) == ("rejected", "invalid_value")
    assert named in result.detail
    assert "canary" not in result.detail


def test_an_opt_out_arrives_even_when_the_rest_of_the_update_is_refused(
    api: DestinationApi,
) -> None:
    write(api)
    after = {**MINA, "email_opt_out": True, "gender": "canary"}
    result = write(
        api, kind="update", before=MINA, after=after, changed=("email_opt_out", "gender")
    )
    assert (result.status, result.calls) == ("rejected", 2)
    assert "opt-out was written" in result.detail
    assert found(api).fields["email_opt_out"] is True


def other_contact(sandbox: Sandbox, body: Mapping[str, object]) -> str:
    name = {"person_name": {"first_name": "Other", "last_name": "Person"}}
    (crm_id,) = sandbox.crm_com.add(KEY, [{**name, **body}])
    return crm_id


PHONE = {"country_code": "AUS", "number": "400000001"}


@pytest.mark.parametrize(
    ("taken", "withheld"),
    [
        ({"email_address": "MINA.okafor@example.com"}, ("email",)),
        ({"phone": PHONE}, ("phone_country", "phone_number")),
        (
            {"email_address": "mina.okafor@example.com", "phone": PHONE},
            ("email", "phone_country", "phone_number"),
        ),
    ],
)
@pytest.mark.parametrize("kind", ["create", "update"])
def test_a_medium_of_another_contact_is_left_out_and_flagged(
    kind: str,
    taken: dict[str, object],
    withheld: tuple[str, ...],
    api: DestinationApi,
    sandbox: Sandbox,
) -> None:
    if kind == "update":
        write(api, after={**MINA, "email": "old@example.com", "phone_number": "400000002"})
    other = other_contact(sandbox, taken)
    result = write(api, kind=kind)
    assert (result.status, result.withheld, result.reason) == ("acked", withheld, "medium_taken")
    kept = {name: value for name, value in MINA.items() if name not in withheld}
    contact = found(api)
    assert not [each for each in differing(kept, contact) if each in kept]
    assert contact.crm_id != other
    assert sandbox.crm_com.count(KEY) == 2


def test_the_taken_medium_is_looked_up_when_the_refusal_does_not_name_it(
    connect: Connect, sandbox: Sandbox
) -> None:
    body = b'{"status":400,"error":"com.crm.exceptions.CimAlreadyExistsForAnotherContactException"}'
    refusal, nothing = answer(400, body), answer(400, b'{"error":"X.NOTFOUNDEXCEPTION"}')
    for listed, withheld in (
        (b'{"content": [{"id": "1"}]}', ("email",)),
        (b'{"content": []}', ("phone_country", "phone_number")),
    ):
        with ScriptedServer(refusal, nothing, answer(200, listed), answer(201, b'{"id":"7"}')) as s:
            result = write(connect(url=s.url))
        assert (result.status, result.withheld, result.crm_id) == ("acked", withheld, "7")


def test_the_rule_to_reject_writes_nothing(connect: Connect, sandbox: Sandbox) -> None:
    other_contact(sandbox, {"email_address": "mina.okafor@example.com"})
    result = write(connect(conflict="reject"))
    assert (result.status, result.reason) == ("rejected", "medium_taken")
    assert sandbox.crm_com.count(KEY) == 1
    assert "mina" not in result.detail


def test_the_rule_to_link_takes_over_the_contact_and_keeps_its_opt_out(
    connect: Connect, sandbox: Sandbox
) -> None:
    other = other_contact(
        sandbox, {"email_address": "Mina.Okafor@example.com", "email_opt_out": True}
    )
    api = connect(conflict="link")
    result = write(api)
    assert (result.status, result.crm_id, result.withheld) == ("acked", other, ())
    assert result.reason == "opt_out_kept"
    assert write(api).crm_id == other  # as after a lost answer: linked to the same contact again
    assert sandbox.crm_com.count(KEY) == 1
    (page,) = api.read_all("contact")
    assert page[0].key == "loke:A"
    assert page[0].fields["last_name"] == "Okafor"
    assert page[0].fields["email_opt_out"] is True
    again = write(
        api,
        kind="update",
        crm_id=other,
        before=MINA,
        after={**MINA, "last_name": "B"},
        changed=("last_name",),
    )
    assert again.status == "acked"


@pytest.mark.parametrize(
    "taken",
    [{"phone": PHONE}, {"email_address": "mina.okafor@example.com", "code": "loke:B"}],
)
def test_the_rule_to_link_never_takes_over_by_phone_or_another_of_our_people(
    taken: dict[str, object], connect: Connect, sandbox: Sandbox
) -> None:
    other = other_contact(sandbox, taken)
    result = write(connect(conflict="link"))
    assert (result.status, result.reason) == ("acked", "medium_taken")
    assert result.crm_id != other
    assert sandbox.crm_com.count(KEY) == 2


def test_linking_is_named_as_the_reason(connect: Connect, sandbox: Sandbox) -> None:
    other_contact(sandbox, {"email_address": "mina.okafor@example.com"})
    assert write(connect(conflict="link")).reason == "linked"


def test_an_update_under_the_rule_to_reject_still_delivers_the_opt_out(
    connect: Connect, sandbox: Sandbox
) -> None:
    api = connect(conflict="reject")
    write(api, after={**MINA, "email": "old@example.com"})
    other_contact(sandbox, {"email_address": "mina.okafor@example.com"})
    after = {**MINA, "email_opt_out": True}
    result = write(api, kind="update", before=MINA, after=after, changed=("email", "email_opt_out"))
    assert (result.status, result.reason) == ("rejected", "medium_taken")
    assert found(api).fields["email"] == "old@example.com"
    assert found(api).fields["email_opt_out"] is True


def test_a_refused_update_without_an_opt_out_is_sent_once(api: DestinationApi) -> None:
    write(api)
    result = write(
        api, kind="update", before=MINA, after={**MINA, "gender": "X"}, changed=("gender",)
    )
    assert (result.status, result.calls) == ("rejected", 1)


def test_a_code_that_is_taken_but_not_found_yet_is_tried_again(connect: Connect) -> None:
    body = b'{"error":"CRM.EXCEPTIONS.CODEALREADYEXISTSEXCEPTION"}'
    with ScriptedServer(answer(400, body), answer(404, b"")) as server:
        result = write(connect(url=server.url))
    assert (result.status, result.reason) == ("retry", "code_taken")


def test_a_medium_conflict_that_no_medium_explains_is_rejected(connect: Connect) -> None:
    body = b'{"error":"CIMALREADYEXISTSFORANOTHERCONTACTEXCEPTION"}'
    after = {"first_name": "Mina", "last_name": "Okafor"}
    with ScriptedServer(answer(400, body), answer(404, b""), answer(400, body)) as server:
        result = write(connect(url=server.url), after=after)
    assert (result.status, result.reason) == ("rejected", "medium_taken")


def test_a_refused_archive_is_rejected(connect: Connect) -> None:
    with ScriptedServer(answer(422, b"")) as server:
        result = write(connect(url=server.url), kind="archive")
    assert (result.status, result.reason) == ("rejected", "invalid_value")


def test_a_missing_record_other_than_the_contact_is_not_a_gone_contact(connect: Connect) -> None:
    body = b'{"error":"CRM.EXCEPTIONS.NOTFOUNDEXCEPTION","parameters":["custom_field","x"]}'
    with ScriptedServer(answer(400, body)) as server:
        result = write(connect(url=server.url), kind="update")
    assert (result.status, result.reason) == ("rejected", "invalid_value")


def test_a_list_that_goes_in_a_circle_is_an_error(connect: Connect) -> None:
    page = answer(200, b'{"content":[{"id":"1"}],"paging":{"has_more":true}}')
    with ScriptedServer(page) as server, pytest.raises(SourceUnstableError, match="circle"):
        list(connect(url=server.url).read_all("contact"))


@pytest.mark.parametrize("body", [b"[]", b'{"content":null}', b'{"content":[]}'])
def test_an_empty_list_of_any_form_holds_no_contacts(body: bytes, connect: Connect) -> None:
    with ScriptedServer(answer(200, body)) as server:
        assert list(connect(url=server.url).read_all("contact")) == []


@pytest.mark.parametrize("step", [answer(200, b"5"), answer(200, b""), answer(400, b"{}")])
def test_a_list_of_no_known_form_is_an_error_and_never_empty(step: bytes, connect: Connect) -> None:
    with ScriptedServer(step) as server:
        api = connect(url=server.url)
        with pytest.raises(MalformedAnswerError):
            list(api.read_all("contact"))
        with pytest.raises(MalformedAnswerError):
            api.find("contact", "loke:A")


def test_an_object_of_another_kind_is_a_mistake_of_ours(api: DestinationApi) -> None:
    with pytest.raises(ValueError, match="spaceship"):
        api.find("spaceship", "loke:A")


def test_a_taken_medium_of_our_own_earlier_write_is_no_conflict(connect: Connect) -> None:
    body = b'{"error":"CIMALREADYEXISTSFORANOTHERCONTACTEXCEPTION","parameters":["email"]}'
    own = b'{"id":"7","code":"loke:A","first_name":"Mina","email_opt_out":true}'
    with ScriptedServer(answer(400, body), answer(200, own), answer(200, b"")) as server:
        result = write(connect(url=server.url))
        assert [each.head.split(" ")[0] for each in server.seen] == ["POST", "GET", "PUT"]
    assert (result.status, result.crm_id) == ("acked", "7")


def test_an_empty_answer_to_a_create_is_completed_by_a_look_up(connect: Connect) -> None:
    own = answer(200, b'{"id":"7","code":"loke:A"}')
    with ScriptedServer(answer(201, b""), own) as server:
        result = write(connect(url=server.url))
        assert server.seen[1].target == "/contacts/loke%3AA"
    assert (result.status, result.crm_id, result.calls) == ("acked", "7", 2)


def test_a_create_that_is_not_found_right_after_is_unknown(connect: Connect) -> None:
    with ScriptedServer(answer(204, b""), answer(404, b"")) as server:
        assert write(connect(url=server.url)).status == "unknown"


@pytest.mark.parametrize("later", [answer(503), answer(429), None, answer(200, b"<html>")])
def test_doubt_after_a_create_that_was_taken_stays_doubt(
    later: bytes | None, connect: Connect
) -> None:
    with ScriptedServer(answer(201, b""), later) as server:
        assert write(connect(url=server.url)).status == "unknown"


def test_a_garbled_success_is_unknown(connect: Connect) -> None:
    with ScriptedServer(answer(200, b"<html>")) as server:
        assert write(connect(url=server.url)).status == "unknown"


def test_trouble_in_a_look_up_before_anything_was_written_can_be_tried_again(
    connect: Connect,
) -> None:
    body = b'{"error":"CIMALREADYEXISTSFORANOTHERCONTACTEXCEPTION"}'
    with ScriptedServer(answer(400, body), answer(503)) as server:
        assert write(connect(url=server.url)).status == "retry"


def test_all_contacts_are_read_once_ours_and_foreign(api: DestinationApi, sandbox: Sandbox) -> None:
    sandbox.crm_com.seed(KEY, 230)
    write(api, after={**MINA, "email": "unique@example.com", "phone_number": "499999999"})
    seen = [contact for page in api.read_all("contact") for contact in page]
    assert len(seen) == len({contact.crm_id for contact in seen}) == 231
    assert [contact.key for contact in seen if contact.key] == ["loke:A"]
    assert sandbox.crm_com.requests.count("GET", "/contacts") == 3


def test_contacts_that_move_while_they_are_read_are_not_read_twice(
    api: DestinationApi, sandbox: Sandbox
) -> None:
    sandbox.crm_com.seed(KEY, 230)
    pages = api.read_all("contact")
    ids = [contact.crm_id for contact in next(pages)]
    other_contact(sandbox, {"email_address": "new@example.com"})
    ids += [contact.crm_id for page in pages for contact in page]
    assert len(ids) == len(set(ids)) == 231


def test_a_list_that_does_not_say_whether_there_is_more_ends_at_an_empty_page(
    connect: Connect,
) -> None:
    one = answer(200, b'{"content":[{"id":"1"}],"paging":{"page":1,"size":1,"total":null}}')
    with ScriptedServer(one, answer(200, b'{"content":[]}')) as server:
        assert [len(page) for page in connect(url=server.url).read_all("contact")] == [1]


def test_many_threads_write_through_one_connection(api: DestinationApi, sandbox: Sandbox) -> None:
    results: list[WriteResult] = []

    def create(number: int) -> None:
        after = {"first_name": "A", "last_name": "B", "email": f"p{number}@example.com"}
        results.append(write(api, key=f"loke:{number}", after=after))

    threads = [threading.Thread(target=create, args=(number,)) for number in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {result.status for result in results} == {"acked"}
    assert sandbox.crm_com.count(KEY) == 20


@pytest.mark.parametrize("key", ["loke:../../tags", "loke:a/b?c=d#e", "loke:%2e%2e", "loke:ä"])
def test_a_strange_key_stays_one_path_segment(key: str, api: DestinationApi) -> None:
    assert write(api, key=key).status == "acked"
    assert found(api, key).key == key


def test_a_check_names_the_mode_and_every_missing_custom_field(
    api: DestinationApi, connect: Connect, sandbox: Sandbox
) -> None:
    findings = api.check()
    assert all(finding.is_ok for finding in findings)
    assert "test data" in findings[0].message
    sandbox.crm_com.configure_custom_fields(["loke_customer_id"])
    missing = [finding for finding in api.check() if not finding.is_ok]
    assert len(missing) == 9
    assert all("`loke_" in finding.remedy for finding in missing)
    (refused,) = connect(key="canary-key").check()
    assert not refused.is_ok
    assert "canary" not in refused.message + refused.remedy


def test_no_error_tells_a_key_or_a_person(connect: Connect) -> None:
    secret = KEY + "-x"
    with pytest.raises(CredentialsRefusedError) as caught:
        write(connect(key=secret))
    text = "".join(traceback.format_exception(caught.value))
    assert secret not in text
    assert str(MINA["email"]) not in text
