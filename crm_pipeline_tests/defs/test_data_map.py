"""The data map of the privacy page holds every place that the code writes to, and no other."""

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import dagster as dg
import pytest

from crm_pipeline.cli.failures import handle_failures
from crm_pipeline.cli.main import app
from crm_pipeline.destinations import load_destinations
from crm_pipeline.settings import load_settings
from crm_pipeline.sources import load_sources
from crm_pipeline.store.ledger.schema import metadata
from crm_pipeline_tests.docs.reading import code_names, table

PAGE = "docs/personal-data.md"
EACH = ("missing/<source>/<dataset>", "plan/<destination>", "drift/<destination>")


def mapped(kind: str) -> list[str]:
    """Return the stores of one kind that the map names."""
    rows = table(PAGE, "data map")
    return [name for row in rows if row[0].startswith(kind) for name in code_names(row[0])]


@pytest.fixture
def open_instance(tmp_path: Path) -> Callable[[], AbstractContextManager[dg.DagsterInstance]]:
    """Dagster's files, as it makes them by itself."""
    return lambda: dg.DagsterInstance.from_config(str(tmp_path / "dagster"))


def test_every_row_of_the_map_is_filled_in_and_nothing_is_named_twice():
    rows = table(PAGE, "data map")
    assert [row for row in rows if len(row) != 5 or not all(row)] == []
    for kind in ("ledger", "lake", "home", "Dagster"):
        assert len(set(mapped(kind))) == len(mapped(kind)) > 0


def test_the_map_has_every_table_of_the_ledger():
    assert sorted(mapped("ledger")) == sorted(metadata.tables)


def test_the_map_has_every_table_of_the_lake():
    landed = {
        f"landed/{source}/{dataset}"
        for source, spec in load_sources().items()
        for dataset in spec.datasets
    }
    desired = {kind.table for spec in load_destinations().values() for kind in spec.kinds}
    assert set(mapped("lake")) == {*landed, *desired, *EACH}


def test_what_a_full_run_and_an_erasure_leave_behind_is_in_the_map(shop):
    assert shop.run_job("sweep_job", "sweep", which="ALL", is_full=True).success
    assert shop.materialise("*", "alfa").success
    assert shop.run_job("verify_job", "read_back", which="ALL").success
    person = shop.sandbox.loke.customers("alfa")[0]["id"]
    assert handle_failures(
        app, ["erase", "--org", "alfa", "--subject", f"loke:{person}", "--yes"], os.environ
    ) == 0  # fmt: skip
    with shop.runtime() as runtime:
        tables = set(runtime.workspace.lake.eraser().tables("alfa"))
    assert {"landed/loke/customers", "plan/crm_com", "drift/crm_com"} <= tables
    assert {in_general(each) for each in tables} <= set(mapped("lake"))
    home = load_settings(os.environ).home
    names = {each.name.removesuffix("-wal").removesuffix("-shm") for each in home.iterdir()}
    assert names == set(mapped("home"))
    assert {each.name for each in shop.dagster_home.iterdir()} - {".telemetry", ".nux"} <= {
        *mapped("Dagster")
    }


def in_general(name: str) -> str:
    """Return how the map names a table of which there is one for each source or CRM."""
    area = name.partition("/")[0]
    return next((each for each in EACH if each.startswith(f"{area}/")), name)
