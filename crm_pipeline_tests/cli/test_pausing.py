"""A paused organisation: commands that work refuse it, commands that look do not."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.sandbox import Sandbox, SandboxSettings
from crm_pipeline_tests.cli.conftest import Run
from crm_pipeline_tests.cli.vendors import ORGANISATIONS, secrets, write_organisation


@pytest.fixture
def sandbox(environ: dict[str, str]) -> Iterator[Sandbox]:
    environ.update(secrets())
    with Sandbox(SandboxSettings(organisations=ORGANISATIONS)) as running:
        write_organisation(Path(environ["CRM_PIPELINE_CONFIG"]), running, "blue")
        yield running


def test_every_command_that_works_refuses_a_paused_organisation_alike(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    assert run("pull", "--org", "blue").code == 0
    assert run("plan", "--org", "blue").code == 2
    assert run("orgs", "pause", "blue").code == 0
    sandbox.loke.requests.clear()
    sandbox.crm_com.requests.clear()
    for command in ("sync", "pull", "plan", "apply", "verify"):
        answer = run(command, "--org", "blue")
        assert answer.code == 78, command
        said = " ".join(answer.err.split())
        assert "blue is paused. Not done: Nothing was pulled or sent." in said, command
        assert "crm-pipeline orgs resume blue" in said, command
    assert sandbox.loke.requests.entries() == []
    assert sandbox.crm_com.requests.entries() == []
    for command in ("status", "plan show --org blue", "plan list --org blue", "orgs list"):
        assert run(*command.split()).code == 0, command
    assert run("orgs", "resume", "blue").code == 0
    assert run("apply", "--org", "blue").code == 0


def test_an_organisation_that_its_file_pauses_is_refused_as_well(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    folder = Path(environ["CRM_PIPELINE_CONFIG"])
    write_organisation(folder, sandbox, "blue", top_extra="paused: true")
    for command in ("sync", "pull", "plan", "apply", "verify"):
        assert run(command, "--org", "blue").code == 78, command
