"""Old runs go; what the UI shows of today stays."""

import datetime as dt

from crm_pipeline.defs.retention import remove_old_runs


def removed_after(world, days: int) -> int:
    now = dt.datetime.now(dt.UTC) + dt.timedelta(days=days)
    return remove_old_runs(world.instance, days=90, limit=100, now=now)


def test_a_run_that_holds_the_newest_materialisation_of_an_organisation_stays(world):
    world.materialise("loke/customers", "alfa")
    world.materialise("loke/customers", "bravo")
    world.materialise("loke/customers", "bravo")
    world.sandbox.loke.uninstall("charlie")
    world.materialise("loke/customers", "charlie")
    assert world.instance.get_runs_count() == 4
    assert removed_after(world, 91) == 2
    assert world.instance.get_runs_count() == 2
    assert world.materialised("loke/customers") == {"alfa", "bravo"}


def test_nothing_young_is_removed(world):
    world.materialise("loke/customers", "bravo")
    world.materialise("loke/customers", "bravo")
    assert removed_after(world, 89) == 0
    assert world.run_job("retention_job", "clean_runs", days=30).success
    assert world.instance.get_runs_count() == 3
