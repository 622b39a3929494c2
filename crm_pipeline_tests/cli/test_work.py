"""Pull, plan, apply, sync, verify and doctor against the sandbox: what operators rely on."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.sandbox import FaultRule, Sandbox, SandboxSettings
from crm_pipeline_tests.cli.conftest import Run
from crm_pipeline_tests.cli.vendors import ORGANISATIONS, secrets, write_organisation


@pytest.fixture
def sandbox(environ: dict[str, str]) -> Iterator[Sandbox]:
    """Two organisations at a fake LOKE and a fake CRM.COM, with their files and secrets."""
    environ.update(secrets())
    with Sandbox(SandboxSettings(organisations=ORGANISATIONS)) as running:
        for slug in ("blue", "red"):
            write_organisation(Path(environ["CRM_PIPELINE_CONFIG"]), running, slug)
        yield running


def rewrite(environ: dict[str, str], sandbox: Sandbox, slug: str, **extras: str) -> Path:
    return write_organisation(Path(environ["CRM_PIPELINE_CONFIG"]), sandbox, slug, **extras)


def test_a_sync_brings_the_crm_up_to_date_and_a_second_one_writes_nothing(
    run: Run, sandbox: Sandbox
) -> None:
    first = run("sync", "--org", "blue", "--json")
    assert first.code == 0
    report = first.document["organisations"]["blue"]
    assert report["pulls"]["loke/customers"]["rows_landed"] == 30
    assert report["applied"]["crm_com"]["counts"]["applied"] == 30
    assert sandbox.crm_com.count("crm_test_blue") == 30
    sandbox.crm_com.requests.clear()
    second = run("sync", "--org", "blue", "--json")
    assert second.code == 0
    assert second.document["organisations"]["blue"]["plans"]["crm_com"]["size"] == 0
    assert sandbox.crm_com.requests.count("POST", "/contacts") == 0
    assert run("status", "--json").document["organisations"]["blue"]["last_success"]


def test_the_steps_by_hand_pull_plan_apply_and_then_there_is_nothing_to_plan(
    run: Run, sandbox: Sandbox
) -> None:
    assert run("pull", "--org", "blue").code == 0
    planned = run("plan", "--org", "blue", "--json")
    assert planned.code == 2
    assert planned.document["plans"][0]["counts"]["create"] == 30
    assert sandbox.crm_com.count("crm_test_blue") == 0
    applied = run("apply", "--org", "blue", "--json")
    assert applied.code == 0
    assert applied.document["applied"]["crm_com"]["counts"]["applied"] == 30
    again = run("plan", "--org", "blue")
    assert again.code == 0
    assert "Nothing to change." in again.out


def test_a_plan_shows_keys_and_names_of_fields_and_values_only_when_asked(
    run: Run, sandbox: Sandbox
) -> None:
    run("pull", "--org", "blue")
    run("plan", "--org", "blue")
    person = next(each for each in sandbox.loke.customers("blue") if each.get("email"))
    plain = run("plan", "show", "--org", "blue", "--limit", "100")
    assert f"loke:{person['id']}" in plain.out.replace("\n", "")
    assert "email" in plain.out
    assert person["email"].lower() not in plain.out.lower()
    whole = run("plan", "show", "--org", "blue", "--limit", "100", "--values", "--json")
    after = {each["key"]: each["after"] for each in whole.document["changes"]}
    assert after[f"loke:{person['id']}"]["email"].lower() == person["email"].lower()
    assert "email" in run("plan", "show", "--org", "blue", "--values").out
    listed = run("plan", "list", "--org", "blue", "--json").document["plans"]
    assert [each["status"] for each in listed] == ["planned"]
    assert "30 to create" in run("plan", "list", "--org", "blue").out


def test_a_guard_stops_a_sync_until_exactly_that_plan_is_approved(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    rewrite(environ, sandbox, "blue", crm_extra="guards: {max_creates: 10}")
    stopped = run("sync", "--org", "blue", "--json")
    assert stopped.code == 65
    error = stopped.document["organisations"]["blue"]["errors"][0]
    assert error["code"] == "plan_guarded"
    assert sandbox.crm_com.count("crm_test_blue") == 0
    shown = run("plan", "show", "--org", "blue", "--json").document["plan"]
    assert shown["is_guarded"] is True
    assert "STOPPED" in run("plan", "show", "--org", "blue").out
    assert run("apply", "--org", "blue").code == 65
    approved = run("plan", "approve", "--org", "blue", shown["digest"][:12])
    assert approved.code == 0
    assert run("apply", "--org", "blue").code == 0
    assert sandbox.crm_com.count("crm_test_blue") == 30


def test_a_plan_can_be_approved_and_applied_in_one_breath_by_its_digest(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    rewrite(environ, sandbox, "blue", crm_extra="guards: {max_creates: 10}")
    run("pull", "--org", "blue")
    digest = run("plan", "--org", "blue", "--json").document["plans"][0]["digest"]
    assert run("apply", "--org", "blue", "0123456789ab", "--approve").code == 78
    assert run("apply", "--org", "blue", digest, "--approve").code == 0
    assert sandbox.crm_com.count("crm_test_blue") == 30


def test_one_organisation_that_fails_does_not_stop_the_others_and_the_worst_code_wins(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    environ["CRM_COM_KEY_BLUE"] = "canary-wrong-key"
    answer = run("sync", "--all", "--json")
    assert answer.code == 78
    blue, red = (answer.document["organisations"][slug] for slug in ("blue", "red"))
    assert blue["errors"][0]["code"] == "credentials_refused"
    assert red["exit_code"] == 0
    assert sandbox.crm_com.count("crm_test_red") == 20
    assert "canary" not in answer.out + answer.err
    state = run("status", "--json").document["organisations"]
    assert state["blue"]["failure_code"] == "credentials_refused"
    assert "FAILED: credentials_refused" in run("status").out


def test_a_broken_file_is_told_and_the_others_are_synced(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    rewrite(environ, sandbox, "blue", crm_extra="mode: canary")
    answer = run("sync", "--all")
    assert answer.code == 78
    assert "blue.yaml:9: destinations.crm_com.mode" in answer.err
    assert sandbox.crm_com.count("crm_test_red") == 20
    assert run("sync", "--org", "blue").code == 78


def test_a_paused_organisation_is_left_out_of_all_and_refused_by_name(
    run: Run, sandbox: Sandbox
) -> None:
    run("orgs", "pause", "blue")
    assert run("sync", "--all", "--json").document["organisations"].keys() == {"red"}
    assert run("sync", "--org", "blue").code == 78
    assert sandbox.crm_com.count("crm_test_blue") == 0


def test_a_source_that_does_not_answer_is_something_to_try_later(
    run: Run, sandbox: Sandbox
) -> None:
    sandbox.loke.faults.add(FaultRule(kind="status", status=503, path="customers", times=None))
    answer = run("sync", "--org", "blue", "--json")
    assert answer.code == 75
    assert answer.document["organisations"]["blue"]["errors"][0]["next_step"] == "retry"


def test_a_refused_record_is_set_aside_with_a_reason_and_exit_code_65(
    run: Run, sandbox: Sandbox
) -> None:
    sandbox.crm_com.faults.add(FaultRule(kind="status", status=422, method="POST", times=1))
    answer = run("sync", "--org", "blue")
    assert answer.code == 65
    assert "rejects list" in answer.out
    document = run("rejects", "list", "--org", "blue", "--json").document
    assert sum(document["counts"].values()) == 1
    assert "payload" not in document["rejects"][0]


def test_only_the_named_source_and_destination_are_worked_on(run: Run, sandbox: Sandbox) -> None:
    assert run("sync", "--org", "blue", "--source", "nope").code == 78
    assert run("sync", "--org", "blue", "--destination", "nope").code == 78
    assert run("pull", "--org", "blue", "--source", "nope").code == 78
    assert run("plan", "--org", "blue", "--destination", "nope").code == 78
    both = ("--source", "loke", "--destination", "crm_com")
    assert run("sync", "--org", "blue", *both).code == 0


def test_verify_finds_what_somebody_changed_in_the_crm(run: Run, sandbox: Sandbox) -> None:
    run("sync", "--org", "blue")
    assert run("verify", "--org", "blue").code == 0
    sandbox.crm_com.mutate("crm_test_blue", count=3)
    drifted = run("verify", "--org", "blue", "--json")
    assert drifted.code == 65
    assert drifted.document["drift"]["crm_com"]["changed"] > 0
    assert "There is drift." in run("verify", "--org", "blue", "--sample", "all").out
    assert run("verify", "--org", "blue", "--sample", "1").code in (0, 65)


def test_verify_does_not_vouch_for_what_was_written_a_moment_ago(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    run("sync", "--org", "blue")
    assert "The CRM holds what it acknowledged." in run("verify", "--org", "blue").out
    environ["CRM_PIPELINE_SETTLE_MS"] = "60000"
    early = run("verify", "--org", "blue")
    assert early.code == 0
    assert "just written, not compared" in early.out
    assert "Nothing of what was compared has drifted." in early.out
    document = run("verify", "--org", "blue", "--json").document["drift"]["crm_com"]
    assert document["moving"] == document["checked"] > 0


def test_the_doctor_finds_nothing_wrong_and_changes_nothing(run: Run, sandbox: Sandbox) -> None:
    answer = run("doctor", "blue", "--json")
    assert (answer.code, answer.document["is_ok"]) == (0, True)
    assert sandbox.crm_com.count("crm_test_blue") == 0
    assert "Next: `crm-pipeline sync --org blue`." in run("doctor", "blue").out


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("CRM_COM_KEY_BLUE", "", "CRM_COM_KEY_BLUE"),
        ("LOKE_CLIENT_SECRET", "", "LOKE_CLIENT_SECRET"),
        ("LOKE_CLIENT_SECRET", "canary-wrong", "client secret"),
        ("CRM_COM_KEY_BLUE", "canary-wrong", "key"),
    ],
)
def test_the_doctor_names_a_secret_that_is_missing_or_refused_and_not_its_value(
    run: Run, sandbox: Sandbox, environ: dict[str, str], variable: str, value: str, says: str
) -> None:
    environ[variable] = value
    answer = run("doctor", "blue", "--json")
    assert answer.code == 78
    bad = [each for each in answer.document["findings"] if not each["is_ok"]]
    assert says in f"{bad}"
    assert "canary" not in answer.out + answer.err


def test_the_doctor_sees_a_live_mode_at_a_test_address(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    file = rewrite(environ, sandbox, "blue", crm_extra="mode: live")
    file.write_text(file.read_text().replace(sandbox.crm_com_url, "https://sandbox.crm.com/b"))
    environ["CRM_COM_KEY_BLUE"] = ""
    bad = [each for each in run("doctor", "blue", "--json").document["findings"]
           if not each["is_ok"]]  # fmt: skip
    assert bad[0]["check"] == "destination crm_com: mode"


def test_no_command_writes_a_person_or_a_secret_anywhere(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    rewrite(environ, sandbox, "blue", crm_extra="guards: {max_updates: 0}")
    sandbox.crm_com.faults.add(FaultRule(kind="status", status=422, method="POST", times=2))
    answers = [run("sync", "--org", "blue")]
    sandbox.loke.mutate("blue", count=10)
    for command in ("sync --org blue", "plan --org blue", "plan show --org blue --limit 99",
                    "plan list --org blue", "apply --org blue", "rejects list --org blue",
                    "verify --org blue", "status", "doctor blue", "orgs list"):  # fmt: skip
        answers += [run(*command.split()), run(*command.split(), "--json")]
    said = "".join(answer.out + answer.err for answer in answers).lower()
    people = [*sandbox.loke.customers("blue")]
    personal = {str(each[name]).lower() for each in people for name in ("email", "phoneNumber")
                if each.get(name)}  # fmt: skip
    assert len(personal) > 20
    assert [value for value in personal if value in said] == []
    assert [value for value in secrets().values() if value in said] == []


def test_a_loop_goes_on_until_it_is_told_to_stop(sandbox: Sandbox, environ: dict[str, str]) -> None:
    command = ["sync", "--all", "--loop", "--every", "0.1", "--json"]
    with subprocess.Popen(
        [sys.executable, "-m", "crm_pipeline", *command],
        env={**os.environ, **environ},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        rounds = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGTERM)
        process.stdout.read()
    assert process.returncode == 0
    assert all('"exit_code": 0' in each for each in rounds)


def test_an_unexpected_failure_of_a_stage_is_a_bug_with_a_traceback_only_when_asked(
    run: Run, sandbox: Sandbox, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise ValueError("canary")

    monkeypatch.setattr("crm_pipeline.sync.run.make_kind_plan", explode)
    plain = run("sync", "--org", "blue")
    assert plain.code == 70
    assert "canary" not in plain.err + plain.out
    environ["CRM_PIPELINE_DEBUG"] = "1"
    assert "canary" in run("sync", "--org", "blue").err
