"""A workbench for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.sandbox import Sandbox, SandboxOrganisation, SandboxSettings
from crm_pipeline_tests.sync.workbench import KEY, Workbench


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    organisation = SandboxOrganisation(
        id="01HWORKBENCH00000000000001", name="Acme", customers=0, crm_test_key=KEY
    )
    with Sandbox(SandboxSettings(organisations=(organisation,))) as running:
        yield running


@pytest.fixture
def bench(tmp_path: Path, sandbox: Sandbox) -> Iterator[Workbench]:
    made = Workbench(tmp_path, sandbox)
    yield made
    made.ws.ledger.close()
