"""Jobs that an operator starts: subscribing to webhooks, reading lists, looking after the lake."""

import pytest

from crm_pipeline_tests.defs.support import failures_of, metadata_of


def subscribed(world) -> list[str]:
    """Return where the fake LOKE sends webhooks."""
    return [each.url for each in world.sandbox.loke.tenant("alfa").subscriptions.all()]


def test_resetting_webhooks_subscribes_once_however_often_it_is_done(shop):
    for _ in range(2):
        result = shop.run_job("reset_webhooks_job", "reset_webhooks", organisations=["alfa"])
        assert result.success, failures_of(result)
    assert subscribed(shop) == ["http://127.0.0.1:9/webhooks/loke/alfa"]


def test_resetting_the_webhooks_of_all_passes_over_who_has_none(world):
    world.write_whole("bravo")
    result = world.run_job("reset_webhooks_job", "reset_webhooks", which="ALL")
    assert result.success, failures_of(result)


def test_resetting_names_who_failed_and_does_the_others(world):
    world.write_whole("alfa")
    world.write_whole("bravo")
    world.sandbox.loke.uninstall("bravo")
    result = world.run_job("reset_webhooks_job", "reset_webhooks", which="ALL")
    (message,) = failures_of(result).values()
    assert "1 of 3 organisations failed: bravo (" in message
    assert subscribed(world) == ["http://127.0.0.1:9/webhooks/loke/alfa"]


def test_resetting_the_webhooks_of_somebody_without_any_says_what_to_do(world):
    result = world.run_job("reset_webhooks_job", "reset_webhooks", organisations=["alfa"])
    assert "alfa has no webhooks configured" in "".join(failures_of(result).values())


def test_a_misspelt_dataset_is_refused_with_those_that_there_are(world):
    result = world.run_job("sweep_job", "sweep", which="ALL", datasets=["loke/lists"])
    message = "".join(failures_of(result).values())
    assert "No source has the dataset loke/lists" in message
    assert "loke/list_members" in message


@pytest.mark.parametrize("job", ["lists_job", "products_job"])
def test_a_job_started_by_hand_without_configuration_serves_all_who_have_such(shop, job):
    shop.write_whole("alfa")
    result = shop.definitions.resolve_job_def(job).execute_in_process(
        instance=shop.instance, raise_on_error=False
    )
    assert result.success, failures_of(result)
    landed = {"lists_job": "loke/list_members", "products_job": "catalogue/products"}[job]
    assert shop.materialised(landed) == {"alfa"}


def swept_often(world, times: int) -> None:
    for number in range(times):
        world.sandbox.loke.mutate("bravo", count=1, seed=number)
        assert world.run_job("sweep_job", "sweep", organisations=["bravo"]).success


def test_compaction_folds_many_small_files_and_nothing_is_sent_afterwards(world):
    swept_often(world, 4)
    result = world.run_job("compaction_job", "compact", which="ALL", least_files=2)
    assert result.success, failures_of(result)
    seen = {
        (event.asset_key.to_user_string(), event.partition): dict(observed(event))
        for event in result.all_events
        if event.event_type_value == "ASSET_OBSERVATION"
    }
    landed = seen["loke/customers", "bravo"]
    assert (landed["files_before"], landed["files_after"]) == (4, 1)
    assert landed["bytes_after"] < landed["bytes_before"]
    assert ("contacts", "bravo") in seen
    with world.runtime() as runtime:
        assert runtime.workspace.lake.row_count("bravo", "landed/loke/customers") == 15
        assert runtime.workspace.lake.row_count("bravo", "desired/contacts") == 12
    world.sandbox.crm_com.requests.clear()
    assert world.run_job("sweep_job", "sweep", organisations=["bravo"], is_full=True).success
    assert world.writes() == 0


def observed(event):
    observation = event.event_specific_data.asset_observation
    return {name: each.value for name, each in observation.metadata.items()}


def test_compaction_names_who_failed_and_does_the_others(world):
    swept_often(world, 3)
    world.run_job("sweep_job", "sweep", organisations=["alfa"])
    (log,) = (world.root / "home").rglob("alfa/landed/loke/customers/_delta_log")
    (log / f"{1:020}.json").write_text("{")
    result = world.run_job("compaction_job", "compact", which="ALL", least_files=2)
    assert "1 of 3 organisations failed: alfa (" in "".join(failures_of(result).values())
    with world.runtime() as runtime:
        assert runtime.workspace.lake.file_count("bravo", "landed/loke/customers") == 1


def test_an_organisation_at_work_is_passed_over_by_compaction(world):
    from crm_pipeline.store.ledger import this_process

    with (
        world.runtime() as runtime,
        runtime.ledger.leases.hold("sync:bravo", this_process(), 60),
    ):
        result = world.run_job("compaction_job", "compact", which="ALL")
        assert result.success, failures_of(result)
        assert runtime.ledger.organisations.status("bravo").failed_at is None


def test_everything_for_everybody_is_green_where_an_organisation_has_not_opted_in(world):
    result = world.materialise("*", *world.slugs)
    assert result.success, failures_of(result)
    for key in ("crm_com_classic/plan", "crm_com_classic/applied", "purchases", "sopost/orders"):
        assert world.materialised(key) == set(world.slugs)
        assert "alfa" in metadata_of(world.instance, key, "alfa")["note"]
