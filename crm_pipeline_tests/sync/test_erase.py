"""One person is erased everywhere, for ever; nobody else is touched."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.sandbox import Sandbox, SandboxSettings
from crm_pipeline_tests.sync.erasing import ORGANISATION, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Sandbox(SandboxSettings(organisations=(ORGANISATION,), page_size=5)) as sandbox:
        made = World(tmp_path, sandbox)
        made.install()
        yield made


@pytest.mark.slow
def test_nothing_of_an_erased_person_is_found_in_any_file(world: World):
    world.live()
    assert world.hits() != []
    print(
        world.run(
            "erase",
            "--org",
            "corner-shop",
            "--subject",
            "loke:01HCANARYCUST0MER000000001",
            "--dry-run",
        )
    )
    print(world.erase("--subject", "loke:01HCANARYCUST0MER000000001", "--yes"))
    assert world.hits() == []
    print(world.contact())
