"""Another CRM account: nothing that the old one acknowledged is taken for the new one's."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.sandbox import FaultRule, Sandbox, SandboxSettings
from crm_pipeline_tests.cli.conftest import Run
from crm_pipeline_tests.cli.vendors import ORGANISATIONS, secrets, write_organisation

TEST_KEY, LIVE_KEY = "crm_test_blue", "crm_live_blue"
MOVE = ("orgs", "move-account", "--org", "blue", "--destination", "crm_com")


@pytest.fixture
def sandbox(environ: dict[str, str]) -> Iterator[Sandbox]:
    environ.update(secrets(), CRM_COM_LIVE_KEY_BLUE=LIVE_KEY)
    with Sandbox(SandboxSettings(organisations=ORGANISATIONS)) as running:
        write_organisation(Path(environ["CRM_PIPELINE_CONFIG"]), running, "blue")
        yield running


def go_live(environ: dict[str, str], sandbox: Sandbox) -> None:
    extra = "mode: live\napi_key: {env: CRM_COM_LIVE_KEY_BLUE}"
    folder = Path(environ["CRM_PIPELINE_CONFIG"])
    write_organisation(folder, sandbox, "blue", crm_extra=extra)


def test_a_switch_from_test_to_live_is_refused_by_every_command_that_uses_the_state(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    assert run("sync", "--org", "blue").code == 0
    go_live(environ, sandbox)
    for command in ("sync", "plan", "apply", "verify"):
        answer = run(command, "--org", "blue")
        assert answer.code == 78, command
        assert "Nothing was sent." in answer.err, command
        assert "orgs move-account --org blue --destination crm_com --yes" in (
            answer.err.replace("\n", " ")
        ), command
    assert sandbox.crm_com.count(LIVE_KEY) == 0
    assert sandbox.crm_com.count(TEST_KEY) == 30


def test_after_the_move_everybody_is_created_in_the_live_account_and_then_it_is_quiet(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    assert run("sync", "--org", "blue").code == 0
    sandbox.crm_com.mutate(TEST_KEY, count=3)
    assert run("verify", "--org", "blue").code == 65
    go_live(environ, sandbox)
    moved = run(*MOVE, "--yes", "--json")
    assert moved.code == 0
    assert moved.document["forgotten"]["objects"] == 30
    first = run("sync", "--org", "blue", "--json").document["organisations"]["blue"]
    assert first["applied"]["crm_com"]["counts"]["applied"] == 30
    assert sandbox.crm_com.count(LIVE_KEY) == 30
    sandbox.crm_com.requests.clear()
    second = run("sync", "--org", "blue", "--json")
    assert second.code == 0
    assert second.document["organisations"]["blue"]["plans"]["crm_com"]["size"] == 0
    assert sandbox.crm_com.requests.count("POST", "/contacts") == 0
    assert run("verify", "--org", "blue").code == 0


def test_a_plan_of_the_old_account_is_never_applied_to_the_new_one(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    assert run("sync", "--org", "blue").code == 0
    sandbox.loke.mutate("blue", count=4)
    assert run("pull", "--org", "blue").code == 0
    digest = run("plan", "--org", "blue", "--json").document["plans"][0]["digest"]
    assert run("plan", "approve", "--org", "blue", digest).code == 0
    go_live(environ, sandbox)
    assert run(*MOVE, "--yes", "--json").document["forgotten"]["plans"] == 1
    assert run("apply", "--org", "blue").code == 75
    assert run("apply", "--org", "blue", digest).code == 75
    assert sandbox.crm_com.count(LIVE_KEY) == 0
    assert run("sync", "--org", "blue").code == 0
    assert sandbox.crm_com.count(LIVE_KEY) == 30


def test_a_move_that_was_stopped_half_way_into_the_new_account_is_finished_by_the_next_sync(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    assert run("sync", "--org", "blue").code == 0
    go_live(environ, sandbox)
    assert run(*MOVE, "--yes").code == 0
    sandbox.crm_com.faults.add(
        FaultRule(kind="status", status=503, method="POST", times=None, after=10)
    )
    assert run("sync", "--org", "blue").code == 75
    sandbox.crm_com.faults.clear()
    assert run("sync", "--org", "blue").code == 0
    assert sandbox.crm_com.count(LIVE_KEY) == 30


def test_a_move_needs_a_yes_and_says_what_it_would_forget(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    assert run("sync", "--org", "blue").code == 0
    answer = run(*MOVE)
    assert answer.code == 78
    assert "30 objects" in answer.err
    assert "--yes" in answer.err
    assert run("plan", "--org", "blue").code == 0


def test_a_new_key_in_the_same_place_is_the_same_account(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    assert run("sync", "--org", "blue").code == 0
    environ["CRM_COM_KEY_BLUE"] = LIVE_KEY
    assert run("plan", "--org", "blue").code == 0


def test_until_something_was_sent_the_account_may_change_without_a_move(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    assert run("pull", "--org", "blue").code == 0
    assert run("plan", "--org", "blue").code == 2
    environ["CRM_COM_KEY_BLUE"] = "wrong"
    assert run("apply", "--org", "blue").code == 78
    go_live(environ, sandbox)
    assert run("sync", "--org", "blue").code == 0
    assert sandbox.crm_com.count(LIVE_KEY) == 30


def test_going_back_to_the_old_settings_needs_no_command(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    assert run("sync", "--org", "blue").code == 0
    go_live(environ, sandbox)
    assert run("sync", "--org", "blue").code == 78
    write_organisation(Path(environ["CRM_PIPELINE_CONFIG"]), sandbox, "blue")
    assert run("sync", "--org", "blue").code == 0
