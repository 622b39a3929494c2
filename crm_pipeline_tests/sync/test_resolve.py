"""Landed rows become contacts; the full pass and the incremental ones agree."""

import dataclasses
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from crm_pipeline.core.fingerprint import fingerprint
from crm_pipeline.core.mapping import DEFAULT_LOKE_CUSTOMER, FieldMapping, MappingContext, override
from crm_pipeline.core.records import ConsentRecord
from crm_pipeline.errors import TryLaterError
from crm_pipeline.sync.resolve import DESIRED_TABLE
from crm_pipeline_tests.sync.conftest import ORGANISATION, SLUG


def contacts(desk):
    """What is desired now, by key, without the batch."""
    rows = desk.ws.lake.current(SLUG, DESIRED_TABLE, "key").read_all().drop(["batch"]).to_pylist()
    return {row["key"]: row for row in rows}


def fields_of(desk, row_id):
    return json.loads(contacts(desk)[f"loke:{row_id}"]["fields"])


def test_everybody_who_landed_becomes_a_contact(desk):
    desk.pull()
    report = desk.resolve()
    assert (report.rows, report.is_full, report.rejects) == (25, True, 0)
    found = contacts(desk)
    assert found.keys() == {f"loke:{row_id}" for row_id in desk.at_source()}
    for contact in found.values():
        assert contact["fingerprint"] == fingerprint(json.loads(contact["fields"]))
        assert contact["source_id"] == contact["key"].removeprefix("loke:")


def test_nothing_landed_nothing_to_do(desk):
    assert desk.resolve().rows == 0
    desk.pull()
    desk.resolve()
    version = desk.ws.lake.version(SLUG, DESIRED_TABLE)
    assert desk.resolve().rows == 0
    assert desk.ws.lake.version(SLUG, DESIRED_TABLE) == version


def test_only_what_landed_since_is_resolved_again(desk):
    desk.pull()
    desk.resolve()
    changed = desk.change(count=3, fields={"firstName": "Changed"})
    desk.pull()
    report = desk.resolve()
    assert (report.rows, report.is_full) == (3, False)
    assert all(fields_of(desk, row_id)["first_name"] == "Changed" for row_id in changed)


def test_media_are_kept_in_their_normal_form(desk):
    ids = desk.change(count=1, fields={"email": "Mina@Example.com", "phoneNumber": "+61400000001"})
    desk.pull()
    desk.resolve()
    contact = contacts(desk)[f"loke:{ids[0]}"]
    assert (contact["email"], contact["phone"]) == ("mina@example.com", "AUS 400000001")


def test_issues_are_counted_by_code(desk):
    desk.change(count=2, fields={"phoneNumber": "12", "dob": None})
    desk.pull()
    report = desk.resolve()
    assert report.issues["phone_unparsable"] >= 2


def test_a_pass_that_was_killed_before_its_end_is_repeated(desk):
    desk.pull()
    advance = desk.ws.ledger.stages.advance

    def killed(*_arguments):
        raise KeyboardInterrupt

    desk.ws.ledger.stages.advance = killed
    try:
        desk.resolve()
    except KeyboardInterrupt:
        desk.ws.ledger.stages.advance = advance
    before = contacts(desk)
    assert desk.resolve().rows == 25
    assert contacts(desk) == before


def test_contacts_that_a_full_disk_did_not_take_are_worked_out_again(desk, full_disk):
    desk.pull()
    desk.resolve()
    changed = desk.change(count=3, fields={"firstName": "Unwritten"})
    desk.pull()
    with full_disk(), pytest.raises(TryLaterError):
        desk.resolve()
    assert desk.resolve().rows == 3
    assert {fields_of(desk, row_id)["first_name"] for row_id in changed} == {"Unwritten"}


def test_another_mapping_is_applied_to_everybody(desk):
    desk.pull()
    desk.resolve()
    changes = {"custom.nickname": FieldMapping(source="first_name")}
    mapping = override(DEFAULT_LOKE_CUSTOMER, changes)
    desk.resolving = dataclasses.replace(desk.resolving, mapping=mapping)
    assert desk.resolve().is_full
    assert all("custom.nickname" in contact["fields"] for contact in contacts(desk).values())
    desk.resolving = dataclasses.replace(
        desk.resolving, mapping=DEFAULT_LOKE_CUSTOMER, context=MappingContext(currency="JPY")
    )
    assert desk.resolve().is_full
    assert not desk.resolve().rows


def consent(desk, row_id, answer):
    desk.change(ids=[row_id], fields={"hasAgreedToMarketing": answer})
    desk.pull()
    desk.resolve()
    return fields_of(desk, row_id)["email_opt_out"], fields_of(desk, row_id)["sms_opt_out"]


def test_an_opt_out_closes_and_only_a_newer_opt_in_opens(desk):
    row_id = next(iter(desk.at_source()))
    assert consent(desk, row_id, True) == (False, False)
    assert consent(desk, row_id, False) == (True, True)
    assert consent(desk, row_id, True) == (False, False)
    assert consent(desk, row_id, None) == (True, True)


def test_an_opt_out_from_elsewhere_outlives_a_repeated_opt_in(desk):
    row_id = next(iter(desk.at_source()))
    consent(desk, row_id, True)
    desk.clock.turn(seconds=1)
    refusal = ConsentRecord(
        key=f"loke:{row_id}",
        channel="sms",
        is_granted=False,
        at=desk.clock(),
        seen_at=desk.clock(),
        origin="crm_com",
    )
    desk.ws.ledger.consents.append(SLUG, [refusal])
    desk.change(ids=[row_id], fields={"firstName": "Touched"})
    desk.pull()
    desk.resolve()
    fields = fields_of(desk, row_id)
    assert (fields["email_opt_out"], fields["sms_opt_out"]) == (False, True)
    assert consent(desk, row_id, False) == (True, True)
    assert consent(desk, row_id, True) == (False, False)


def test_a_yes_of_the_year_2999_does_not_outlive_an_opt_out_from_elsewhere(desk):
    row_id = next(iter(desk.at_source()))
    answer = {"hasAgreedToMarketing": True}
    desk.change(ids=[row_id], fields=answer, updated_at="2999-01-01T00:00:00Z")
    desk.pull()
    desk.resolve()
    assert fields_of(desk, row_id)["email_opt_out"] is False
    desk.clock.turn(seconds=1)
    refusal = ConsentRecord(
        key=f"loke:{row_id}",
        channel="email",
        is_granted=False,
        at=desk.clock(),
        seen_at=desk.clock(),
        origin="crm_com",
    )
    desk.ws.ledger.consents.append(SLUG, [refusal])
    desk.resolve(is_full=True)
    assert fields_of(desk, row_id)["email_opt_out"] is True


def test_only_answers_that_changed_are_recorded(desk):
    desk.sandbox.loke.mutate(
        ORGANISATION.id, ids=list(desk.at_source()), fields={"hasAgreedToMarketing": True}
    )
    desk.pull()
    assert desk.resolve().consents == 50
    assert desk.resolve(is_full=True).consents == 0


def test_a_refused_record_is_set_aside_and_comes_back_when_it_is_fine(desk):
    strict = override(DEFAULT_LOKE_CUSTOMER, {"email": FieldMapping(on_invalid="reject")})
    desk.resolving = dataclasses.replace(desk.resolving, mapping=strict)
    row_id = next(iter(desk.at_source()))
    desk.change(ids=[row_id], fields={"email": "not an address"})
    desk.pull()
    refused = desk.resolve().rejects
    assert refused >= 1
    assert desk.ws.ledger.rejects.counts(SLUG)["email_invalid"] == 1
    assert f"loke:{row_id}" not in contacts(desk)
    desk.change(ids=[row_id], fields={"email": "fine@example.com"})
    desk.pull()
    assert desk.resolve().rejects == 0
    assert "email_invalid" not in desk.ws.ledger.rejects.counts(SLUG)
    assert fields_of(desk, row_id)["email"] == "fine@example.com"


def test_a_refused_record_keeps_its_contact_but_loses_its_consent(desk):
    strict = override(DEFAULT_LOKE_CUSTOMER, {"email": FieldMapping(on_invalid="reject")})
    desk.resolving = dataclasses.replace(desk.resolving, mapping=strict)
    row_id = next(iter(desk.at_source()))
    email = {"email": "fine@example.com"}
    desk.change(ids=[row_id], fields={**email, "hasAgreedToMarketing": True})
    desk.pull()
    desk.resolve()
    assert fields_of(desk, row_id)["email_opt_out"] is False
    desk.change(ids=[row_id], fields={"email": "broken", "hasAgreedToMarketing": False})
    desk.pull()
    desk.resolve()
    fields = fields_of(desk, row_id)
    assert fields["email"] == "fine@example.com"
    assert (fields["email_opt_out"], fields["sms_opt_out"]) == (True, True)
    before = contacts(desk)
    desk.resolve(is_full=True)
    assert contacts(desk) == before


_changes = st.lists(
    st.tuples(
        st.integers(0, 24),
        st.sampled_from(
            [
                {"hasAgreedToMarketing": True},
                {"hasAgreedToMarketing": False},
                {"hasAgreedToMarketing": None},
                {"firstName": "  Zoe\u0308 "},
                {"firstName": ""},
                {"email": "broken"},
                {"email": "A.B@Example.COM"},
                {"phoneNumber": "+12125550123"},
                {"phoneNumber": "12"},
                {"statistics": {"totalSpend": 12345}},
                {"updatedAt": None},
                {"gender": 7, "shoeSize": 42},
            ]
        ),
        st.sampled_from(["nothing", "pull", "pull and resolve", "sweep and resolve"]),
    ),
    max_size=6,
)


@settings(
    max_examples=15,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(_changes, st.booleans())
def test_a_full_pass_gives_what_the_incremental_ones_gave(desk, changes, is_strict):
    rule = FieldMapping(on_invalid="reject" if is_strict else "drop")
    mapping = override(DEFAULT_LOKE_CUSTOMER, {"email": rule})
    desk.resolving = dataclasses.replace(desk.resolving, mapping=mapping)
    ids = sorted(desk.at_source())
    desk.pull()
    desk.resolve()
    for place, fields, then in changes:
        desk.change(ids=[ids[place]], fields=fields)
        if then != "nothing":
            desk.pull("sweep" if then.startswith("sweep") else "incremental")
        if then.endswith("resolve"):
            desk.resolve()
    desk.pull()
    desk.resolve()
    incremental = contacts(desk)
    assert desk.resolve(is_full=True).is_full
    assert contacts(desk) == incremental
