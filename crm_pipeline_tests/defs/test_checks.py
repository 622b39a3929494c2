"""The checks: one sentence about all organisations, with a row for each offender."""

import dagster as dg

from crm_pipeline_tests.defs.support import check_of, failures_of


def judged(world) -> dg.ExecuteInProcessResult:
    result = world.run_job("checks_job", "")
    assert result.success, failures_of(result)
    return result


def test_after_a_good_sweep_every_check_passes_in_words(world):
    world.run_job("sweep_job", "sweep", which="ALL")
    evaluations = judged(world).get_asset_check_evaluations()
    assert {each.check_name: (each.passed, each.description) for each in evaluations} == {
        "freshness": (True, "None of 3 organisations is silent for more than a day."),
        "guards": (True, "None of 3 organisations is outside their guard."),
        "consent": (True, "None of 3 organisations is widening consent without proof."),
        "balance": (True, "None of 3 organisations is out of balance."),
        "uniqueness": (True, "None of 3 organisations is holding somebody twice."),
    }


def test_organisations_that_were_never_pulled_are_named_as_a_warning(world):
    world.run_job("sweep_job", "sweep", organisations=["alfa"])
    found = check_of(judged(world), "freshness")
    assert found.severity == dg.AssetCheckSeverity.WARN
    assert found.description == (
        "2 of 3 organisations are silent for more than a day: bravo, charlie."
    )


def test_a_plan_outside_its_guard_is_named_with_the_figure_and_the_limit(world):
    world.write("bravo", world.loke_id("bravo"), guards={"max_creates": 3})
    world.run_job("sweep_job", "sweep", which="ALL")
    found = check_of(judged(world), "guards")
    assert found.description == "1 of 3 organisations is outside their guard: bravo."
    (row,) = found.metadata["why"].records
    assert "12 of at most 3" in row.data["why"]


def test_outcomes_that_do_not_add_up_are_found(world):
    world.run_job("sweep_job", "sweep", which="ALL")
    with world.runtime() as runtime:
        (plan,) = runtime.ledger.plans.list("alfa", "crm_com", 1)
        counts = {**plan.header.counts, "create": plan.header.counts["create"] + 1}
        runtime.ledger.plans.save(
            type(plan.header)(**{**fields_of(plan.header), "counts": counts}), "applied"
        )
    found = check_of(judged(world), "balance")
    assert not found.passed
    assert found.description == "1 of 3 organisations is out of balance: alfa."


def test_a_run_of_one_organisation_judges_that_one_only_and_says_so(world):
    world.write("bravo", world.loke_id("bravo"), guards={"max_creates": 3})
    world.run_job("sweep_job", "sweep", organisations=["bravo"])
    result = world.materialise("*", "alfa")
    assert result.success, failures_of(result)
    assert check_of(result, "guards").description == (
        "None of 1 organisation (those of this run) is outside their guard."
    )


def fields_of(header) -> dict[str, object]:
    return {name: getattr(header, name) for name in type(header).__dataclass_fields__}
