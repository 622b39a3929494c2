"""Rejects on the command line: what is shown, what is tried again, what is struck off."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.sandbox import FaultRule, Sandbox, SandboxSettings
from crm_pipeline_tests.cli.conftest import Run
from crm_pipeline_tests.cli.vendors import ORGANISATIONS, secrets, write_organisation

RETRY = ("rejects", "retry", "--org", "blue")
DISCARD = ("rejects", "discard", "--org", "blue")


@pytest.fixture
def sandbox(environ: dict[str, str]) -> Iterator[Sandbox]:
    environ.update(secrets())
    with Sandbox(SandboxSettings(organisations=ORGANISATIONS)) as running:
        write_organisation(Path(environ["CRM_PIPELINE_CONFIG"]), running, "blue")
        yield running


@pytest.fixture
def key(sandbox: Sandbox, run: Run) -> str:
    """The key of the one contact that the CRM refused."""
    sandbox.crm_com.faults.add(FaultRule(kind="status", status=422, method="POST", times=1))
    assert run("sync", "--org", "blue").code == 65
    document = run("rejects", "list", "--org", "blue", "--json").document
    (reject,) = document["rejects"]
    return str(reject["key"])


def test_a_reject_is_shown_with_what_to_do_and_its_record_only_when_asked_for(
    run: Run, key: str
) -> None:
    plain = run("rejects", "show", "--org", "blue", key)
    assert plain.code == 0
    assert "fix the data" in plain.out
    assert "invalid_value" in plain.out
    document = run("rejects", "show", "--org", "blue", key, "--values", "--json").document
    (shown,) = document["rejects"]
    assert shown["next_step"] == "fix_data"
    assert "first_name" in shown["payload"]
    assert str(shown["payload"])[:40] not in plain.out
    assert run("rejects", "show", "--org", "blue", "loke:nobody").code == 78


def test_a_retry_tells_what_became_of_each_and_ends_with_65_while_some_stay(
    run: Run, key: str, sandbox: Sandbox
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="status", status=422, method="POST", times=1))
    again = run(*RETRY, key)
    assert (again.code, "set aside again" in again.out) == (65, True)
    through = run(*RETRY, "--reason", "invalid_value", "--json")
    assert through.code == 0
    (retried,) = through.document["retried"]
    assert (retried["key"], retried["ending"]) == (key, "done")
    assert run("rejects", "list", "--org", "blue", "--json").document["counts"] == {}
    nothing = run(*RETRY, "--all")
    assert (nothing.code, "Nothing is set aside." in nothing.out) == (0, True)


def test_a_retry_needs_to_know_which_and_a_paused_organisation_is_left_alone(
    run: Run, key: str
) -> None:
    assert run(*RETRY).code == 78
    assert run(*RETRY, key, "--all").code == 78
    assert run("orgs", "pause", "blue").code == 0
    assert run(*RETRY, key).code == 78


def test_what_is_struck_off_is_in_the_audit_log_and_gone_from_the_list(run: Run, key: str) -> None:
    assert run(*DISCARD, key, "--reason", "told to mina@example.com").code == 78
    assert run(*DISCARD, key).code == 78
    done = run(*DISCARD, key, "--reason", "test account", "--json")
    assert done.document["discarded"] == 1
    assert run("rejects", "list", "--org", "blue", "--json").document["counts"] == {}
