"""Guards stop plans that are too large or too strange."""

import pytest

from crm_pipeline.core.guards import GuardRules, PlanFigures, judge


def figures(**changes: int | None) -> PlanFigures:
    values: dict[str, int | None] = {
        "creates": 0,
        "updates": 0,
        "archives": 0,
        "known": 1_000,
        "desired": 1_000,
        "consent_widened": 0,
    }
    return PlanFigures(**(values | changes))  # type: ignore[arg-type]


def stopped(found: PlanFigures, rules: GuardRules | None = None) -> set[str]:
    return {verdict.guard for verdict in judge(found, rules or GuardRules()) if not verdict.passed}


def test_a_quiet_plan_passes_every_guard():
    assert stopped(figures()) == set()


def test_a_first_load_of_any_size_passes():
    assert stopped(figures(creates=1_000_000, known=0, desired=1_000_000)) == set()


@pytest.mark.parametrize(
    ("changes", "guard"),
    [
        ({"updates": 501}, "update_share"),
        ({"archives": 101}, "archives"),
        ({"archives": 51}, "archive_share"),
        ({"consent_widened": 1_001, "known": 100_000}, "consent_widened"),
        ({"consent_widened": 201}, "consent_widened_share"),
        ({"desired": 799}, "source"),
        ({"desired": 0}, "source"),
    ],
)
def test_one_figure_over_its_limit_stops_the_plan(changes: dict[str, int], guard: str):
    assert guard in stopped(figures(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"updates": 500},
        {"archives": 50},
        {"consent_widened": 200},
        {"desired": 800},
        {"desired": None},
    ],
)
def test_a_figure_at_its_limit_passes(changes: dict[str, int | None]):
    assert stopped(figures(**changes)) == set()


def test_few_changes_in_a_small_organisation_are_not_judged_by_share():
    assert stopped(figures(updates=3, known=4, desired=4)) == set()


def test_a_small_organisation_is_judged_by_share_from_the_floor_on():
    rules = GuardRules(floor=5)
    assert stopped(figures(updates=4, known=6, desired=6), rules) == set()
    assert stopped(figures(updates=5, known=6, desired=6), rules) == {"update_share"}


def test_a_limit_on_creates_holds_when_it_is_set():
    assert stopped(figures(creates=11), GuardRules(max_creates=10)) == {"creates"}


def test_limits_can_be_switched_off():
    rules = GuardRules(
        max_update_share=None,
        max_archives=None,
        max_archive_share=None,
        max_consent_widened=None,
        max_consent_widened_share=None,
        min_source_share=None,
    )
    wild = figures(updates=1_000, archives=1_000, desired=0, consent_widened=1_000)
    assert stopped(wild, rules) == set()


def test_a_stopped_guard_says_the_figure_the_limit_and_the_way_out():
    verdicts = {
        verdict.guard: verdict.message for verdict in judge(figures(updates=600), GuardRules())
    }
    assert verdicts["update_share"] == (
        "60.0% of 1,000 known objects, at most 50.0%."
        " Look at the plan; approve it by its digest if it is right."
    )
