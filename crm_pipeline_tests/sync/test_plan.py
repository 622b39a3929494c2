"""Plans: what is compared, what is found, how it is named."""

from dataclasses import replace

import pytest

from crm_pipeline.core.records import PlanHeader
from crm_pipeline.errors import PlanUnknownError
from crm_pipeline.sync.plan import iter_changes, load_plan, make_chosen_plan
from crm_pipeline_tests.sync.workbench import ORGANISATION, Workbench, contact


def test_everything_is_new_in_a_first_plan(bench: Workbench):
    bench.want({"loke:1": contact(), "loke:2": contact("Zoë")})
    header = bench.plan()
    assert dict(header.counts) == {"create": 2, "update": 0, "archive": 0, "unchanged": 0}
    assert header.is_full
    changes = {change.key: change for change in iter_changes(bench.ws, header)}
    assert changes["loke:2"].after["first_name"] == "Zoë"
    assert changes["loke:1"].changed == ("email_opt_out", "first_name", "last_name", "sms_opt_out")


def test_nothing_desired_is_an_empty_plan(bench: Workbench):
    assert bench.plan().size == 0


def test_the_same_inputs_give_the_same_digest(bench: Workbench):
    bench.want({"loke:1": contact(), "loke:2": contact("Zoë")})
    first = bench.plan()
    again = bench.plan(is_full=True)
    assert first.digest == again.digest
    assert len(list(iter_changes(bench.ws, again))) == 2


def test_another_input_gives_another_digest(bench: Workbench):
    bench.want({"loke:1": contact()})
    first = bench.plan()
    bench.want({"loke:1": contact("Minna")})
    assert bench.plan().digest != first.digest


def test_a_full_and_an_incremental_plan_of_the_same_change_have_the_same_digest(bench: Workbench):
    bench.bring({"loke:1": contact(), "loke:2": contact("Zoë")})
    bench.want({"loke:2": contact("Zoe", email="zoe@example.com")})
    incremental = bench.plan()
    full = bench.plan(is_full=True)
    assert (incremental.is_full, full.is_full) == (False, True)
    assert incremental.digest == full.digest
    assert dict(incremental.field_counts) == {"email": 1, "first_name": 1}


def test_an_applied_plan_leaves_nothing_to_plan(bench: Workbench):
    bench.bring({f"loke:{number}": contact(f"Name {number}") for number in range(40)})
    assert bench.plan().size == 0
    full = bench.plan(is_full=True)
    assert (full.size, full.counts["unchanged"]) == (0, 40)


def test_a_plan_is_named_by_eight_letters_of_its_digest_or_more(bench: Workbench):
    bench.want({"loke:1": contact()})
    digest = bench.plan().digest
    assert load_plan(bench.ws, ORGANISATION, "crm_com", digest[:8]).digest == digest
    for beginning in (digest[:7], digest[:1], ""):
        with pytest.raises(PlanUnknownError, match="begin with"):
            load_plan(bench.ws, ORGANISATION, "crm_com", beginning)


def test_a_plan_that_was_not_applied_is_covered_by_the_next_one(bench: Workbench):
    bench.bring({"loke:1": contact(), "loke:2": contact()})
    bench.want({"loke:1": contact("One")})
    bench.plan()
    bench.want({"loke:2": contact("Two")})
    keys = {change.key for change in iter_changes(bench.ws, bench.plan())}
    assert keys == {"loke:1", "loke:2"}


def test_only_the_newest_desired_version_of_a_contact_counts(bench: Workbench):
    bench.bring({"loke:1": contact()})
    bench.want({"loke:1": contact("Second")})
    bench.want({"loke:1": contact("Third")})
    for is_full in (False, True):
        (change,) = iter_changes(bench.ws, bench.plan(is_full=is_full))
        assert change.after["first_name"] == "Third"
        assert change.before is not None
        assert change.before["first_name"] == "Mina"


def test_a_shared_email_goes_to_the_oldest_customer_in_both_kinds_of_plan(bench: Workbench):
    bench.bring({"loke:1": contact(), "loke:3": contact(email="shared@example.com")})
    bench.want({"loke:2": contact(email="Shared@Example.com")})
    for is_full in (False, True):
        changes = {
            change.key: change for change in iter_changes(bench.ws, bench.plan(is_full=is_full))
        }
        assert changes["loke:3"].withheld == ("email",)
        assert changes["loke:3"].lane == 0
        assert changes["loke:2"].withheld == ()


def test_a_freed_email_returns_to_the_one_who_waited(bench: Workbench):
    bench.bring(
        {"loke:1": contact(email="a@example.com"), "loke:2": contact(email="a@example.com")}
    )
    assert bench.remote()["loke:2"].get("email") is None
    bench.bring({"loke:1": contact(email="b@example.com")})
    assert bench.remote()["loke:1"]["email"] == "b@example.com"
    assert bench.remote()["loke:2"]["email"] == "a@example.com"
    assert bench.plan(is_full=True).size == 0


def test_a_person_missing_from_the_source_is_kept_unless_the_organisation_archives(
    bench: Workbench,
):
    bench.bring({"loke:1": contact(email_opt_out=False), "loke:2": contact()})
    bench.want({"loke:2": contact()}, is_whole=True)
    assert bench.plan(is_full=True).size == 0
    bench.policy = bench.policy.__class__(
        guards=bench.policy.guards, limits=bench.policy.limits, on_missing="archive"
    )
    header = bench.plan(is_full=True)
    assert header.counts["archive"] == 1
    bench.apply(header)
    assert bench.remote()["loke:1"]["email_opt_out"] is True
    assert bench.plan(is_full=True).size == 0


def keys_of(bench: Workbench, header: PlanHeader) -> set[str]:
    return {change.key for change in iter_changes(bench.ws, header)}


def test_no_kind_of_plan_makes_an_erased_person_anew(bench: Workbench):
    bench.begin_erasure("gone")
    bench.want({"loke:gone": contact(), "loke:1": contact()})
    first = bench.plan(is_full=True)
    assert keys_of(bench, first) == {"loke:1"}
    bench.apply(first)
    bench.want({"loke:gone": contact("Back"), "loke:2": contact()})
    incremental = bench.plan()
    assert not incremental.is_full
    assert keys_of(bench, incremental) == {"loke:2"}


@pytest.mark.parametrize("is_full", [True, False])
def test_no_plan_changes_or_archives_whose_erasure_is_under_way(bench: Workbench, is_full: bool):
    mail = "shared@example.com"
    open_ones = {"email": mail, "email_opt_out": False}
    bench.bring({f"loke:{who}": contact(**open_ones) for who in ("gone", "gone2", "kin")})
    bench.policy = replace(bench.policy, on_missing="archive")
    bench.begin_erasure("gone")
    bench.want({"loke:gone": contact("Back"), "loke:kin": contact("Kin", email=mail)})
    assert keys_of(bench, bench.plan(is_full=is_full)) == {"loke:kin", "loke:gone2"}
    bench.want({"loke:gone2": contact(), "loke:kin": contact("Kim")}, is_whole=True)
    assert keys_of(bench, bench.plan(is_full=is_full)) == {"loke:kin", "loke:gone2"}
    chosen = make_chosen_plan(
        bench.ws, ORGANISATION, bench.binding, "contact", ["loke:gone", "loke:kin"]
    )
    assert keys_of(bench, chosen) == {"loke:kin", "loke:gone2"}
