"""The checks: one sentence about all organisations, with a row for each offender."""

import dagster as dg

from crm_pipeline_tests.defs.support import check_of, failures_of


def judged(world) -> dg.ExecuteInProcessResult:
    result = world.run_job("checks_job", "")
    assert result.success, failures_of(result)
    return result


def test_after_a_good_sweep_every_check_passes_in_words(world):
    world.run_job("sweep_job", "sweep", which="ALL")
    result = judged(world)
    names = ("freshness", "guards", "consent", "balance", "uniqueness")
    found = {name: check_of(result, name) for name in names}
    assert {name: (each.passed, each.description) for name, each in found.items()} == {
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
    result = world.materialise("*", "alfa")
    assert result.success, failures_of(result)
    assert check_of(result, "guards").description == (
        "None of 1 organisation (of this run, or found before) is outside their guard."
    )


def test_a_run_of_one_organisation_does_not_hide_what_was_found_of_another(world):
    world.write("bravo", world.loke_id("bravo"), guards={"max_creates": 3})
    world.run_job("sweep_job", "sweep", organisations=["bravo"])
    result = world.run_job("sweep_job", "sweep", organisations=["alfa"])
    assert result.success, failures_of(result)
    assert check_of(result, "guards").description == (
        "1 of 2 organisations (of this run, or found before) is outside their guard: bravo."
    )


def test_what_was_found_before_and_is_mended_passes(world):
    world.write("bravo", world.loke_id("bravo"), guards={"max_creates": 3})
    world.run_job("sweep_job", "sweep", organisations=["bravo"])
    world.write("bravo", world.loke_id("bravo"))
    result = world.run_job("sweep_job", "sweep", organisations=["bravo"])
    assert result.success, failures_of(result)
    assert check_of(result, "guards").passed


def test_a_sweep_judges_every_asset_that_it_has_materialised(world):
    result = world.run_job("sweep_job", "sweep", organisations=["alfa", "charlie"])
    judged_by_sweep = {
        (each.asset_key.to_user_string(), each.check_name)
        for each in result.get_asset_check_evaluations()
    }
    assert judged_by_sweep == {
        ("loke/customers", "freshness"),
        ("crm_com/plan", "guards"),
        ("crm_com/plan", "consent"),
        ("crm_com/applied", "balance"),
        ("crm_com/applied", "uniqueness"),
    }
    keys = [
        dg.AssetCheckKey(dg.AssetKey(asset.split("/")), name) for asset, name in judged_by_sweep
    ]
    stored = world.instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert {record.run_id for record in stored.values()} == {result.run_id}


def test_a_dataset_that_only_webhooks_name_is_never_called_silent(definitions):
    keys = {key.to_user_string() for key in definitions.resolve_asset_graph().asset_check_keys}
    assert "loke/list_members:freshness" in keys
    assert not [key for key in keys if key.startswith("sopost/orders")]


def test_a_check_of_what_no_organisation_has_says_so(world):
    (found,) = [
        each
        for each in judged(world).get_asset_check_evaluations()
        if each.asset_key == dg.AssetKey(["crm_com_classic", "plan"])
    ]
    assert (found.passed, found.description) == (True, "No organisation has it: nothing to judge.")


def fields_of(header) -> dict[str, object]:
    return {name: getattr(header, name) for name in type(header).__dataclass_fields__}
