"""``undo`` on the command line: dry run, doing it, and writing again what is wanted after all."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.sandbox import Sandbox, SandboxSettings
from crm_pipeline_tests.cli.conftest import Run
from crm_pipeline_tests.cli.vendors import ORGANISATIONS, secrets, write_organisation

KEY = "crm_test_blue"


@pytest.fixture
def sandbox(environ: dict[str, str]) -> Iterator[Sandbox]:
    environ.update(secrets())
    with Sandbox(SandboxSettings(organisations=ORGANISATIONS)) as running:
        write_organisation(Path(environ["CRM_PIPELINE_CONFIG"]), running, "blue")
        yield running


def names(sandbox: Sandbox) -> dict[str, str]:
    return {each["code"]: each["first_name"] for each in sandbox.crm_com.contacts(KEY)}


@pytest.fixture
def digest(sandbox: Sandbox, run: Run) -> str:
    """The digest of a plan that renamed four people."""
    assert run("sync", "--org", "blue").code == 0
    sandbox.loke.mutate("blue", count=4, fields={"firstName": "Wrong"})
    document = run("sync", "--org", "blue", "--json").document
    return str(document["organisations"]["blue"]["plans"]["crm_com"]["digest"])


def test_a_plan_is_looked_at_taken_back_and_written_again_only_when_a_person_says_so(
    run: Run, sandbox: Sandbox, digest: str
) -> None:
    assert list(names(sandbox).values()).count("Wrong") == 4
    looked = run("undo", "--org", "blue", digest[:12], "--dry-run")
    assert (looked.code, "4 objects would be taken back" in looked.out) == (0, True)
    assert list(names(sandbox).values()).count("Wrong") == 4
    assert run("orgs", "pause", "blue").code == 0
    done = run("undo", "--org", "blue", digest[:12], "--json")
    assert done.code == 0
    assert done.document["applied"]["counts"]["applied"] == 4
    assert "Wrong" not in names(sandbox).values()
    assert run("orgs", "resume", "blue").code == 0
    assert run("sync", "--org", "blue", "--full").code == 65
    assert "Wrong" not in names(sandbox).values()
    (key, *_) = (
        each["key"]
        for each in run("rejects", "list", "--org", "blue", "--json").document["rejects"]
    )
    assert run("rejects", "retry", "--org", "blue", key).code == 0
    assert [code for code, name in names(sandbox).items() if name == "Wrong"] == [key]
    assert run("rejects", "retry", "--org", "blue", "--reason", "undone").code == 0
    assert list(names(sandbox).values()).count("Wrong") == 4
    assert run("sync", "--org", "blue", "--full").code == 0


def test_what_was_left_is_listed_with_its_reason_and_nobody_s_data(
    run: Run, sandbox: Sandbox, digest: str
) -> None:
    changed = sandbox.crm_com.mutate(KEY, count=30)
    answer = run("undo", "--org", "blue", digest)
    assert answer.code == 0
    assert "changed_in_crm" in answer.out
    assert len(changed) == 30
    assert not set(names(sandbox).values()) & set(answer.out.split())
    assert run("undo", "--org", "blue", digest).code == 0
    assert run("undo", "--org", "blue", "0123456789").code == 78


def test_what_is_done_to_an_organisation_is_in_its_audit_log(
    run: Run, sandbox: Sandbox, digest: str, tmp_path: Path
) -> None:
    assert run("undo", "--org", "blue", digest).code == 0
    assert run("orgs", "pause", "blue").code == 0
    assert run("orgs", "resume", "blue").code == 0
    entries = run("audit", "list", "--org", "blue", "--json").document["entries"]
    assert [each["what"] for each in entries] == [
        "resumed", "paused", "undo", "plan_applied", "plan_applied", "plan_applied",
    ]  # fmt: skip
    assert entries[-1]["who"] == "crm-pipeline"
    assert entries[-1]["details"]["applied"] == 30
    listed = run("audit", "list")
    assert "(installation)" in listed.out
    exported = run("audit", "export")
    assert len(exported.out.splitlines()) == 7
    assert "Wrong" not in exported.out
