"""Apply: every change once, whatever the CRM and the network do."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import pyarrow as pa
import pytest

from crm_pipeline.core.guards import GuardRules
from crm_pipeline.core.policies import PlanPolicy
from crm_pipeline.core.records import Change, WriteResult
from crm_pipeline.errors import (
    CredentialsRefusedError,
    PlanGuardedError,
    PlanStaleError,
    TryLaterError,
    UnbalancedError,
)
from crm_pipeline.sandbox import FaultRule
from crm_pipeline.sync.apply import apply_plan, approve_plan
from crm_pipeline.sync.plan import PlanAlteredError, stage_of
from crm_pipeline.sync.plan.rows import PLAN_SCHEMA
from crm_pipeline_tests.sync.workbench import KEY, ORGANISATION, Workbench, contact

TEN = {f"loke:{number}": contact(f"Name {number}") for number in range(10)}


def test_the_crm_ends_with_what_is_desired_and_every_change_has_an_outcome(bench: Workbench):
    report = bench.bring(TEN)
    assert report.counts == {
        "applied": 10,
        "unchanged": 0,
        "rejected": 0,
        "withheld": 0,
        "superseded": 0,
    }
    assert {code: row["first_name"] for code, row in bench.remote().items()} == {
        key: fields["first_name"] for key, fields in TEN.items()
    }


def test_opt_outs_are_sent_on_every_create(bench: Workbench):
    bench.bring({"loke:1": contact(), "loke:2": contact(email_opt_out=False)})
    assert bench.remote()["loke:1"]["email_opt_out"] is True
    assert bench.remote()["loke:2"]["email_opt_out"] is False
    assert bench.remote()["loke:2"]["sms_opt_out"] is True


def test_an_update_sends_one_call_and_nothing_else(bench: Workbench):
    bench.bring(TEN)
    bench.forget()
    bench.bring({"loke:3": contact("Renamed")})
    assert bench.writes() == (0, 1)
    assert bench.remote()["loke:3"]["first_name"] == "Renamed"


class Watched:
    """The CRM's client; it notes which changes come before their intents, and how many at once."""

    def __init__(self, bench: Workbench) -> None:
        self.unannounced: list[str] = []
        self.sizes: list[int] = []
        self._api, self._ledger = bench.connect(), bench.ws.ledger
        self.find, self.close = self._api.find, self._api.close

    def write(self, changes: Sequence[Change]) -> Sequence[WriteResult]:
        self.sizes.append(len(changes))
        rows = self._ledger.outbox.unfinished(ORGANISATION, "crm_com")
        known = {row.key for row in rows if row.state == "sending"}
        self.unannounced += [change.key for change in changes if change.key not in known]
        return self._api.write(changes)


def test_every_intent_is_durable_before_its_call_leaves(bench: Workbench):
    bench.want(TEN)
    header = bench.plan()
    with closing(Watched(bench)) as api:
        report = apply_plan(bench.ws, ORGANISATION, bench.binding, api, header)  # type: ignore[arg-type]
    assert api.unannounced == []
    assert report.counts["applied"] == 10


def test_no_call_carries_more_changes_than_the_crm_takes(bench: Workbench):
    bench.want(TEN)
    header = bench.plan()
    spec = bench.binding.spec
    kinds = tuple(replace(kind, batch_size=3) for kind in spec.kinds)
    binding = replace(bench.binding, spec=replace(spec, kinds=kinds))
    with closing(Watched(bench)) as api:
        report = apply_plan(bench.ws, ORGANISATION, binding, api, header)  # type: ignore[arg-type]
    assert sorted(api.sizes) == [1, 3, 3, 3]
    assert report.counts["applied"] == 10


@pytest.mark.parametrize("kind", ["cut_before", "cut_after"])
def test_a_cut_connection_is_looked_up_and_never_posted_twice(bench: Workbench, kind: str):
    bench.sandbox.crm_com.faults.add(
        FaultRule(kind=kind, method="POST", path="/contacts", times=3)  # type: ignore[arg-type]
    )
    report = bench.bring(TEN)
    assert report.counts["applied"] == 10
    assert len(bench.remote()) == 10
    posts, _ = bench.writes()
    assert posts == (13 if kind == "cut_before" else 10)


def test_an_update_that_was_cut_off_before_it_was_sent_is_sent_by_the_next_run(bench: Workbench):
    """One of its two fields is as it should be: somebody typed it into the CRM."""
    bench.bring(TEN)
    bench.want({"loke:3": contact("Renamed", gender="FEMALE")})
    header = bench.plan()
    (found,) = (each for each in bench.remote().values() if each["code"] == "loke:3")
    typed = {"demographics": {"gender": "FEMALE"}}
    bench.sandbox.crm_com.mutate(KEY, ids=[found["id"]], fields=typed)
    bench.sandbox.crm_com.faults.add(FaultRule(kind="cut_before", times=None))
    with pytest.raises(TryLaterError):
        bench.apply(header)
    (left,) = bench.ws.ledger.outbox.unfinished(ORGANISATION, "crm_com")
    assert (left.key, left.state) == ("loke:3", "unknown")
    bench.sandbox.crm_com.faults.clear()
    assert bench.apply(header).counts["applied"] == 1
    assert bench.remote()["loke:3"]["first_name"] == "Renamed"


def test_a_write_that_nobody_can_tell_about_is_not_sent_again(bench: Workbench):
    bench.want({"loke:1": contact()})
    header = bench.plan()
    faults = bench.sandbox.crm_com.faults
    faults.add(FaultRule(kind="cut_after", method="POST", times=1))
    faults.add(FaultRule(kind="status", status=503, method="GET", times=None))
    for _ in range(2):
        with pytest.raises(TryLaterError):
            bench.apply(header)
    assert bench.writes() == (1, 0)
    faults.clear()
    assert bench.apply(header).counts["applied"] == 1
    assert bench.writes() == (1, 0)


def test_a_429_is_waited_for_and_tried_again(bench: Workbench):
    bench.sandbox.crm_com.faults.add(
        FaultRule(kind="status", status=429, method="POST", times=4, retry_after=0)
    )
    assert bench.bring(TEN).counts["applied"] == 10


def test_an_answer_that_is_not_json_is_looked_up(bench: Workbench):
    bench.sandbox.crm_com.faults.add(FaultRule(kind="not_json", method="POST", times=2))
    assert bench.bring(TEN).counts["applied"] == 10
    assert len(bench.remote()) == 10


def test_one_bad_record_never_stops_the_others(bench: Workbench):
    contacts = {**TEN, "loke:x": contact(**{"custom.not_configured": "1"})}
    report = bench.bring(contacts)
    assert (report.counts["applied"], report.counts["rejected"]) == (10, 1)
    assert list(report.reject_reasons) == ["invalid_value"]
    (stored,) = bench.ws.ledger.rejects.list(ORGANISATION)
    assert stored.reject.key == "loke:x"


def test_a_record_that_goes_through_later_is_no_longer_set_aside(bench: Workbench):
    bad = contact(**{"custom.not_configured": "1"})
    bench.bring({"loke:x": bad})
    bench.sandbox.crm_com.configure_custom_fields(["not_configured"])
    assert bench.apply(bench.plan(is_full=True)).counts["applied"] == 1
    assert bench.ws.ledger.rejects.list(ORGANISATION) == []


def test_a_name_that_goes_back_and_forth_is_written_each_time(bench: Workbench):
    for name in ("One", "Two", "One", "Two"):
        bench.bring({"loke:1": contact(name)})
        assert bench.remote()["loke:1"]["first_name"] == name


def test_a_refused_key_stops_everything_and_loses_nothing(bench: Workbench):
    bench.sandbox.crm_com.faults.add(FaultRule(kind="status", status=401, times=None, after=3))
    bench.want(TEN)
    header = bench.plan()
    with pytest.raises(CredentialsRefusedError):
        bench.apply(header)
    assert bench.ws.ledger.outbox.unfinished(ORGANISATION, "crm_com") == []
    bench.sandbox.crm_com.faults.clear()
    assert bench.apply(header).counts["applied"] == 10
    assert len(bench.remote()) == 10


def test_a_dead_crm_ends_the_run_and_the_next_one_finishes_it(bench: Workbench):
    bench.sandbox.crm_com.faults.add(FaultRule(kind="cut_before", times=None))
    bench.want(TEN)
    header = bench.plan()
    with pytest.raises(TryLaterError):
        bench.apply(header)
    status = bench.ws.ledger.organisations.status(ORGANISATION)
    assert status.outbox_pending == 10
    bench.sandbox.crm_com.faults.clear()
    assert bench.apply(header).counts["applied"] == 10
    assert len(bench.remote()) == 10


def test_what_a_dead_crm_left_is_in_the_next_incremental_plan(bench: Workbench):
    bench.bring(TEN)
    bench.sandbox.crm_com.faults.add(FaultRule(kind="status", status=503, times=None))
    bench.want({"loke:3": contact("Renamed")})
    with pytest.raises(TryLaterError):
        bench.apply(bench.plan())
    bench.sandbox.crm_com.faults.clear()
    bench.recover()
    header = bench.plan()
    assert (header.is_full, header.size) == (False, 1)
    assert bench.apply(header).counts["applied"] == 1
    assert bench.remote()["loke:3"]["first_name"] == "Renamed"


def test_a_run_in_which_a_change_got_lost_is_red(bench: Workbench):
    bench.want(TEN)
    header = bench.plan()
    rows = bench.ws.lake.scan(ORGANISATION, "plan/crm_com").read_all().to_pylist()
    rows[4]["lane"] = 9  # nobody sends from there
    bench.ws.lake.replace(
        ORGANISATION, "plan/crm_com", pa.Table.from_pylist(rows, PLAN_SCHEMA).to_reader()
    )
    with pytest.raises(UnbalancedError, match="10 changes and 9 outcomes"):
        bench.apply(header)
    assert bench.ws.ledger.plans.list(ORGANISATION, "crm_com")[0].status != "applied"


def test_a_plan_without_changes_is_closed_and_says_nothing_in_the_audit_log(bench: Workbench):
    bench.bring(TEN)
    told = len(list(bench.ws.ledger.audit.entries(ORGANISATION)))
    bench.want({"loke:3": TEN["loke:3"]})
    stage = stage_of("crm_com", bench.binding.spec.kind("contact"))
    header = bench.plan()
    assert (header.size, bench.ws.ledger.stages.position(ORGANISATION, stage)) == (0, 1)
    report = bench.apply(header)
    assert (report.calls, set(report.counts.values())) == (0, {0})
    assert bench.ws.ledger.plans.list(ORGANISATION, "crm_com")[0].status == "applied"
    assert bench.ws.ledger.stages.position(ORGANISATION, stage) == 2
    assert len(list(bench.ws.ledger.audit.entries(ORGANISATION))) == told


def test_a_plan_without_changes_closes_nothing_when_it_is_stale(bench: Workbench):
    bench.bring(TEN)
    bench.want({"loke:3": TEN["loke:3"]})
    empty = bench.plan()
    bench.want({"loke:3": contact("Renamed")})
    bench.plan()
    with pytest.raises(PlanStaleError):
        bench.apply(empty)


def test_an_older_plan_is_stale(bench: Workbench):
    bench.want(TEN)
    old = bench.plan()
    bench.want({"loke:new": contact()})
    bench.plan()
    with pytest.raises(PlanStaleError, match="is newer"):
        bench.apply(old)
    assert bench.writes() == (0, 0)


def test_a_stale_plan_that_was_approved_supersedes_what_has_moved_on(bench: Workbench):
    bench.bring({"loke:1": contact("One"), "loke:2": contact("Two")})
    bench.want({"loke:1": contact("Uno"), "loke:2": contact("Due")})
    old = bench.plan()
    bench.bring({"loke:1": contact("Eins"), "loke:2": contact("Two")})
    approve_plan(bench.ws, ORGANISATION, "crm_com", old.digest, by="operator")
    report = bench.apply(old)
    assert (report.counts["superseded"], report.counts["applied"]) == (1, 1)
    assert bench.remote()["loke:1"]["first_name"] == "Eins"


def test_a_guarded_plan_waits_for_the_approval_of_its_digest(bench: Workbench):
    bench.policy = PlanPolicy(guards=GuardRules(max_creates=5), limits=bench.policy.limits)
    bench.want(TEN)
    header = bench.plan()
    with pytest.raises(PlanGuardedError, match="plan approve"):
        bench.apply(header)
    assert bench.writes() == (0, 0)
    approve_plan(bench.ws, ORGANISATION, "crm_com", header.digest[:12], by="operator")
    assert bench.apply(header).counts["applied"] == 10


def test_nothing_is_sent_of_somebody_who_is_erased_since_it_was_planned(bench: Workbench):
    bench.bring({"loke:1": contact("One"), "loke:2": contact("Two")})
    bench.want({"loke:1": contact("Uno"), "loke:2": contact("Due")})
    header = bench.plan()
    bench.begin_erasure("1")
    report = bench.apply(header)
    assert (report.counts["superseded"], report.counts["applied"]) == (1, 1)
    assert [bench.remote()[key]["first_name"] for key in ("loke:1", "loke:2")] == ["One", "Due"]


@pytest.mark.parametrize(
    "alteration",
    [
        "SELECT * REPLACE (replace(after, 'Uno', 'Eve') AS after) FROM stored",
        "SELECT * REPLACE (reverse(crm_id) AS crm_id) FROM stored",
        "SELECT * REPLACE (list_append(changed, 'email') AS changed) FROM stored",
        "SELECT * REPLACE (['email'] AS withheld) FROM stored",
        "SELECT * FROM stored UNION ALL SELECT * FROM stored WHERE key = 'loke:1'",
    ],
    ids=["another value", "another contact", "a further field", "a withheld field", "a row twice"],
)
def test_an_approved_plan_that_somebody_altered_is_not_sent(bench: Workbench, alteration: str):
    bench.bring({"loke:1": contact("One"), "loke:2": contact("Two")})
    bench.policy = PlanPolicy(guards=GuardRules(max_updates=1), limits=bench.policy.limits)
    bench.want({"loke:1": contact("Uno"), "loke:2": contact("Due")})
    header, sent = bench.plan(), bench.writes()
    approve_plan(bench.ws, ORGANISATION, "crm_com", header.digest, by="operator")
    bench.ws.lake.keep(ORGANISATION, "plan/crm_com", alteration)
    with pytest.raises(PlanAlteredError, match="not stored as it was planned"):
        bench.apply(header)
    assert bench.writes() == sent


@pytest.mark.parametrize("is_full", [True, False])
def test_an_approved_plan_of_every_kind_of_change_is_sent(bench: Workbench, is_full: bool):
    bench.bring({"loke:1": contact("One"), "loke:2": contact("Two", sms_opt_out=False)})
    bench.policy = replace(
        bench.policy,
        guards=GuardRules(max_updates=0),
        on_missing="archive",
        field_policies={"last_name": "never"},
    )
    bench.want({"loke:1": contact("Uno", last_name="New"), "loke:3": contact("Tre")}, is_whole=True)
    header = bench.plan(is_full=is_full)
    assert [header.counts[kind] for kind in ("create", "update", "archive")] == [1, 1, is_full]
    approve_plan(bench.ws, ORGANISATION, "crm_com", header.digest, by="operator")
    assert bench.apply(header).counts["applied"] == header.size


def test_an_approval_ends(bench: Workbench):
    bench.policy = PlanPolicy(guards=GuardRules(max_creates=5), limits=bench.policy.limits)
    bench.want(TEN)
    header = bench.plan()
    approve_plan(bench.ws, ORGANISATION, "crm_com", header.digest, by="operator", hours=0)
    with pytest.raises(PlanGuardedError):
        bench.apply(header)


def test_emails_that_swap_owners_end_right(bench: Workbench):
    bench.bring(
        {"loke:1": contact(email="a@example.com"), "loke:2": contact(email="b@example.com")}
    )
    bench.bring(
        {"loke:1": contact(email="b@example.com"), "loke:2": contact(email="a@example.com")}
    )
    remote = bench.remote()
    assert (remote["loke:1"]["email"], remote["loke:2"]["email"]) == (
        "b@example.com",
        "a@example.com",
    )
    assert bench.plan(is_full=True).size == 0


def test_a_medium_that_was_refused_is_planned_again_when_its_second_try_is_lost(bench: Workbench):
    bench.policy = replace(
        bench.policy, limits=replace(bench.policy.limits, calls_per_second=10_000, concurrency=1)
    )
    bench.bring(
        {"loke:1": contact(email="a@example.com"), "loke:2": contact(email="b@example.com")}
    )
    bench.want({"loke:1": contact(email="b@example.com"), "loke:2": contact(email="a@example.com")})
    # The first is refused, then written without the e-mail; the second takes what it gave up.
    dead = FaultRule(kind="status", status=503, method="PUT", after=3, times=None)
    bench.sandbox.crm_com.faults.add(dead)
    with pytest.raises(TryLaterError):
        bench.apply(bench.plan())
    assert bench.remote()["loke:1"].get("email") is None
    bench.sandbox.crm_com.faults.clear()
    bench.recover()
    header = bench.plan()
    assert (header.is_full, header.size) == (False, 1)
    bench.apply(header)
    assert bench.remote()["loke:1"]["email"] == "b@example.com"
    assert bench.remote()["loke:2"]["email"] == "a@example.com"
    assert bench.plan(is_full=True).size == 0


def test_an_email_that_moves_to_another_customer_ends_right(bench: Workbench):
    bench.bring({"loke:1": contact(), "loke:2": contact(email="a@example.com")})
    bench.bring({"loke:1": contact(email="a@example.com"), "loke:2": contact()})
    assert bench.remote()["loke:1"]["email"] == "a@example.com"
    assert bench.remote()["loke:2"].get("email") is None


def test_a_foreign_contact_with_the_same_email_keeps_it(bench: Workbench):
    bench.sandbox.crm_com.add(
        "crm_test_acme",
        [
            {
                "type": "PERSON",
                "person_name": {"first_name": "F", "last_name": "G"},
                "email_address": "a@example.com",
            }
        ],
    )
    report = bench.bring({"loke:1": contact(email="a@example.com")})
    assert report.counts["applied"] == 1
    assert bench.remote()["loke:1"].get("email") is None
    assert bench.plan(is_full=True).size == 0


def test_a_contact_deleted_in_the_crm_is_rejected_not_recreated(bench: Workbench):
    bench.bring(TEN)
    bench.sandbox.crm_com.delete("crm_test_acme", count=10)
    report = bench.bring({"loke:3": contact("Renamed")})
    assert report.reject_reasons == {"gone_from_crm": 1}
    assert bench.remote() == {}
