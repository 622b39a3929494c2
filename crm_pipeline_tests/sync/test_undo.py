"""A plan is taken back where the CRM still holds what it wrote, and stays taken back."""

import datetime as dt
from dataclasses import replace

import pytest

from crm_pipeline.core.guards import GuardRules
from crm_pipeline.core.records import ConsentRecord, Reject
from crm_pipeline.errors import PlanGuardedError, PlanUnknownError
from crm_pipeline.sandbox import FaultRule
from crm_pipeline.sync.apply import approve_plan
from crm_pipeline.sync.plan import make_chosen_plan
from crm_pipeline.sync.undo import REASONS, UndoReport, undo
from crm_pipeline_tests.sync.test_verify import change_in_crm
from crm_pipeline_tests.sync.test_waiting import purchase, want
from crm_pipeline_tests.sync.workbench import KEY, ORGANISATION, UNLIMITED, Workbench, contact

FIRST = {f"loke:{number}": contact(f"Name {number}") for number in range(5)}
WRONG = {f"loke:{number}": contact(f"Wrong {number}", gender="FEMALE") for number in range(5)}


def take_back(bench: Workbench, digest: str, **how: bool) -> UndoReport:
    return undo(bench.ws, ORGANISATION, bench.binding, digest, by="mina", **how)


def names(bench: Workbench) -> dict[str, str]:
    return {code: row["first_name"] for code, row in bench.remote().items()}


def right(number: int) -> str:
    return f"Name {number}"


@pytest.fixture
def wrong(bench: Workbench) -> str:
    """Five contacts whose names a plan got wrong; its digest."""
    bench.bring(FIRST)
    return bench.bring(WRONG).digest


def test_every_value_that_the_plan_wrote_is_written_back(bench: Workbench, wrong: str):
    bench.forget()
    report = take_back(bench, wrong)
    assert report.applied is not None
    assert (report.objects, report.applied.counts["applied"], report.skipped) == (5, 5, [])
    assert names(bench) == {f"loke:{number}": right(number) for number in range(5)}
    assert bench.remote()["loke:1"]["demographics"]["gender"] is None
    assert bench.writes() == (0, 5)
    assert bench.verify().changed == 0


def test_a_dry_run_tells_the_same_and_sends_and_stores_nothing(bench: Workbench, wrong: str):
    before = len(bench.ws.ledger.plans.list(ORGANISATION, "crm_com"))
    bench.forget()
    report = take_back(bench, wrong, is_dry_run=True)
    assert (report.objects, report.plan, report.applied) == (5, None, None)
    assert report.fields == {"first_name": 5, "gender": 5}
    assert bench.writes() == (0, 0)
    assert len(bench.ws.ledger.plans.list(ORGANISATION, "crm_com")) == before


def test_what_somebody_changed_in_the_crm_since_is_theirs(bench: Workbench, wrong: str):
    theirs = {"first_name": "Typed", "last_name": "Okafor"}
    change_in_crm(bench, "loke:1", person_name=theirs)
    report = take_back(bench, wrong)
    assert [(each.key, each.reason, each.fields) for each in report.skipped] == [
        ("loke:1", "changed_in_crm", ("first_name",))
    ]
    assert names(bench)["loke:1"] == "Typed"
    assert names(bench)["loke:2"] == right(2)


def test_what_a_later_plan_wrote_is_left(bench: Workbench, wrong: str):
    bench.bring({"loke:1": contact("Later")})
    report = take_back(bench, wrong)
    assert report.reasons == {"changed_by_later_plan": 1}
    assert (names(bench)["loke:1"], report.objects) == ("Later", 4)


def test_what_is_gone_is_left(bench: Workbench, wrong: str):
    bench.sandbox.crm_com.delete(KEY, count=10)
    assert take_back(bench, wrong).reasons == {"gone_from_crm": 5}


def test_a_crm_that_does_not_say_what_it_holds_is_asked_again_another_time(
    bench: Workbench, wrong: str
):
    bench.sandbox.crm_com.faults.add(FaultRule(kind="status", status=503, method="GET", times=None))
    assert take_back(bench, wrong).reasons == {"not_readable": 5}
    bench.sandbox.crm_com.faults.clear()
    assert take_back(bench, wrong).objects == 5


def test_what_was_created_is_left_and_opted_out_when_asked_for(bench: Workbench):
    made = bench.bring({"loke:1": contact(email_opt_out=False), "loke:2": contact()})
    assert take_back(bench, made.digest).reasons == {"created": 2}
    report = take_back(bench, made.digest, is_archiving=True)
    assert (report.archived, report.reasons) == (1, {"already_archived": 1})
    assert bench.remote().keys() == {"loke:1", "loke:2"}
    assert bench.remote()["loke:1"]["email_opt_out"] is True
    again = bench.apply(bench.plan(is_full=True))
    assert bench.remote()["loke:1"]["email_opt_out"] is True
    assert again.reject_reasons == {"undone": 1}


def say(bench: Workbench, key: str, is_granted: bool, minutes: float) -> None:
    at = bench.clock() + dt.timedelta(minutes=minutes)
    said = ConsentRecord(
        key=key, channel="email", is_granted=is_granted, at=at, seen_at=at, origin="loke"
    )
    bench.ws.ledger.consents.append(ORGANISATION, [said])


def test_nobody_is_opted_in_again_unless_a_consent_and_the_source_say_so(bench: Workbench):
    opened, closed = contact(email_opt_out=False), contact(email_opt_out=True, gender="MALE")
    people = [f"loke:{number}" for number in range(4)]
    bench.bring(dict.fromkeys(people, opened))
    out = bench.bring(dict.fromkeys(people, closed))
    say(bench, "loke:1", True, 0)
    say(bench, "loke:2", True, 0)
    say(bench, "loke:2", False, 1)
    say(bench, "loke:3", True, 0)
    bench.want({"loke:1": opened, "loke:2": opened})
    report = take_back(bench, out.digest)
    left = {each.key for each in report.skipped if each.reason == "consent_not_given"}
    assert left == {"loke:0", "loke:2", "loke:3"}
    assert {each.fields for each in report.skipped} == {("email_opt_out",)}
    flags = {code: row["email_opt_out"] for code, row in bench.remote().items()}
    assert flags == {"loke:0": True, "loke:1": False, "loke:2": True, "loke:3": True}
    assert report.objects == 4
    assert report.plan is not None
    assert report.plan.consent_widened == 1


def test_a_wrong_opening_is_closed_again_and_first_of_all(bench: Workbench):
    bench.bring({"loke:1": contact()})
    opened = bench.bring({"loke:1": contact(email_opt_out=False)})
    report = take_back(bench, opened.digest)
    assert bench.remote()["loke:1"]["email_opt_out"] is True
    assert report.reasons == {}
    assert bench.apply(bench.plan(is_full=True)).reject_reasons == {"undone": 1}
    assert bench.remote()["loke:1"]["email_opt_out"] is True


def test_a_purchase_is_never_taken_back(bench: Workbench):
    bench.bring({"loke:here": contact()})
    want(bench, "purchase", {"loke:A": purchase("loke:A", "loke:here")})
    header = make_chosen_plan(bench.ws, ORGANISATION, bench.binding, "purchase", ["loke:A"])
    bench.apply(header)
    bench.forget()
    report = take_back(bench, header.digest)
    assert (report.reasons, report.plan) == ({"immutable": 1}, None)
    assert "void it" in REASONS["immutable"]
    assert bench.sandbox.crm_com.requests.count() == 0


def test_media_that_moved_move_back(bench: Workbench):
    bench.bring({"loke:1": contact(email="a@example.com"), "loke:2": contact()})
    moved = bench.bring({"loke:1": contact(), "loke:2": contact(email="a@example.com")})
    take_back(bench, moved.digest)
    remote = bench.remote()
    assert remote["loke:1"]["email"] == "a@example.com"
    assert remote["loke:2"].get("email") is None


# -- what was undone stays undone --------------------------------------------------------------


def test_no_later_plan_writes_again_what_was_undone(bench: Workbench, wrong: str):
    take_back(bench, wrong)
    for is_full in (False, True):
        assert bench.apply(bench.plan(is_full=is_full)).counts["applied"] == 0
    assert names(bench)["loke:1"] == right(1)
    rejects = bench.ws.ledger.rejects.list(ORGANISATION)
    assert {each.reject.reason for each in rejects} == {"undone"}
    assert len(rejects) == 5


def test_one_of_several_undone_values_is_not_written_again_either(bench: Workbench, wrong: str):
    take_back(bench, wrong)
    bench.want({"loke:1": contact("Wrong 1")})
    report = bench.apply(bench.plan(is_full=True))
    assert (report.counts["applied"], report.reject_reasons) == (0, {"undone": 5})
    assert names(bench)["loke:1"] == right(1)


def test_everybody_else_and_every_other_value_is_sent_as_always(bench: Workbench, wrong: str):
    take_back(bench, wrong)
    bench.want({"loke:1": contact("Third"), "loke:new": contact("New")})
    report = bench.apply(bench.plan(is_full=True))
    assert (report.counts["applied"], report.reject_reasons) == (2, {"undone": 4})
    assert names(bench)["loke:1"] == "Third"


def test_an_opt_out_goes_through_alone(bench: Workbench):
    bench.bring({"loke:1": contact("Name", email_opt_out=False)})
    wrong = bench.bring({"loke:1": contact("Wrong", email_opt_out=False)}).digest
    take_back(bench, wrong)
    report = bench.bring({"loke:1": contact("Wrong", email_opt_out=True)})
    assert report.counts["applied"] == 1
    remote = bench.remote()["loke:1"]
    assert (remote["first_name"], remote["email_opt_out"]) == ("Name", True)
    assert bench.apply(bench.plan(is_full=True)).reject_reasons == {"undone": 1}


def test_once_the_source_is_right_nothing_is_left_to_do(bench: Workbench, wrong: str):
    take_back(bench, wrong)
    bench.apply(bench.plan(is_full=True))
    bench.want(FIRST)
    bench.apply(bench.plan(is_full=True))
    assert bench.plan(is_full=True).size == 0


def test_an_undo_can_be_undone(bench: Workbench, wrong: str):
    first = take_back(bench, wrong)
    assert first.plan is not None
    second = take_back(bench, first.plan.digest)
    assert second.objects == 5
    assert names(bench)["loke:1"] == "Wrong 1"
    assert bench.plan(is_full=True).size == 0


# -- it is a plan like any other -----------------------------------------------------------------


def test_a_guard_stops_an_undo_until_its_digest_is_approved(bench: Workbench, wrong: str):
    bench.policy = replace(bench.policy, guards=replace(UNLIMITED, max_updates=3))
    bench.forget()
    with pytest.raises(PlanGuardedError, match="plan approve"):
        take_back(bench, wrong)
    assert bench.writes() == (0, 0)
    stored = bench.ws.ledger.plans.latest(ORGANISATION, "crm_com")
    assert stored is not None
    approve_plan(bench.ws, ORGANISATION, "crm_com", stored.header.digest, by="mina")
    report = take_back(bench, wrong)
    assert report.plan is not None
    assert report.plan.digest == stored.header.digest
    assert names(bench)["loke:1"] == right(1)


def test_an_approved_undo_that_is_applied_by_its_digest_is_held_as_well(
    bench: Workbench, wrong: str
):
    bench.policy = replace(bench.policy, guards=GuardRules(max_updates=3))
    with pytest.raises(PlanGuardedError):
        take_back(bench, wrong)
    stored = bench.ws.ledger.plans.latest(ORGANISATION, "crm_com")
    assert stored is not None
    approve_plan(bench.ws, ORGANISATION, "crm_com", stored.header.digest, by="mina")
    assert bench.apply(stored.header).counts["applied"] == 5
    bench.policy = replace(bench.policy, guards=UNLIMITED)
    assert bench.apply(bench.plan(is_full=True)).reject_reasons == {"undone": 5}


def test_who_undid_what_is_in_the_audit_log_without_a_value(bench: Workbench, wrong: str):
    report = take_back(bench, wrong)
    assert report.plan is not None
    applied, undone = bench.ws.ledger.audit.newest(ORGANISATION, 2)[::-1]
    assert (applied.who, applied.what) == ("mina", "plan_applied")
    assert (undone.who, undone.what) == ("mina", "undo")
    assert undone.details == {
        "undone": wrong,
        "digest": report.plan.digest,
        "objects": 5,
        "archived": 0,
        "fields": ["first_name", "gender"],
        "skipped": 0,
        "is_applied": True,
    }
    assert bench.ws.ledger.audit.verify(ORGANISATION) is None


def test_a_plan_that_nobody_knows_is_refused(bench: Workbench):
    with pytest.raises(PlanUnknownError):
        take_back(bench, "0123456789")


def test_a_change_that_was_refused_has_nothing_to_take_back(bench: Workbench):
    bench.bring(FIRST)
    bad = {"loke:1": contact(**{"custom.not_configured": "1"}), "loke:2": contact("Fine")}
    digest = bench.bring(bad).digest
    report = take_back(bench, digest)
    assert (report.objects, report.reasons) == (1, {"not_applied": 1})
    (kept,) = bench.ws.ledger.rejects.list(ORGANISATION)
    assert isinstance(kept.reject, Reject)


def test_an_undo_whose_answers_were_lost_is_done_once(bench: Workbench, wrong: str):
    bench.sandbox.crm_com.faults.add(FaultRule(kind="cut_after", method="PUT", times=2))
    bench.forget()
    report = take_back(bench, wrong)
    assert report.applied is not None
    assert report.applied.counts["applied"] == 5
    assert bench.writes() == (0, 5)
