"""One sandbox for the whole folder, put back to its beginning before each test."""

from collections.abc import Iterator

import pytest

from crm_pipeline.sandbox import Sandbox, SandboxOrganisation, SandboxSettings

ORGANISATION = SandboxOrganisation(
    id="01HTEST0RGAN1SAT10N0000001", name="Test Cafe", slug="test-cafe", customers=25
)
OTHER = SandboxOrganisation(
    id="01HTEST0RGAN1SAT10N0000002", name="Other Cafe", slug="other-cafe", customers=3
)


@pytest.fixture(scope="session")
def running() -> Iterator[Sandbox]:
    with Sandbox(SandboxSettings(organisations=(ORGANISATION, OTHER), page_size=10)) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(running: Sandbox) -> Sandbox:
    running.loke.reset()
    running.crm_com.reset()
    running.sopost.reset()
    return running
