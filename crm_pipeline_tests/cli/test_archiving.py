"""People who vanish from LOKE: archived once when the organisation wants it, never brought back by
an old yes."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.sandbox import FaultRule, Sandbox, SandboxSettings
from crm_pipeline_tests.cli.conftest import Run
from crm_pipeline_tests.cli.vendors import ORGANISATIONS, secrets, write_organisation

KEY = "crm_test_blue"
FULL = ("sync", "--org", "blue", "--full", "--json")


@pytest.fixture
def sandbox(environ: dict[str, str]) -> Iterator[Sandbox]:
    environ.update(secrets())
    with Sandbox(SandboxSettings(organisations=ORGANISATIONS)) as running:
        write_file(environ, running)
        yield running


def write_file(environ: dict[str, str], sandbox: Sandbox, extra: str = "") -> None:
    folder = Path(environ["CRM_PIPELINE_CONFIG"])
    extra = extra or "on_missing: archive"
    write_organisation(folder, sandbox, "blue", crm_extra=extra)


def contact(sandbox: Sandbox, person: dict[str, Any]) -> dict[str, Any]:
    found = {each["code"]: each for each in sandbox.crm_com.contacts(KEY)}
    return found[f"loke:{person['id']}"]


def flags(sandbox: Sandbox, person: dict[str, Any]) -> tuple[bool, bool]:
    found = contact(sandbox, person)
    return found["email_opt_out"], found["sms_opt_out"]


def sync(run: Run, *more: str) -> dict[str, Any]:
    answer = run("sync", "--org", "blue", "--json", *more)
    assert answer.code == 0, answer.err
    counts: dict[str, Any] = answer.document["organisations"]["blue"]["plans"]["crm_com"]["counts"]
    return counts


def willing(sandbox: Sandbox) -> dict[str, Any]:
    """A customer who may be contacted: LOKE said yes."""
    return next(each for each in sandbox.loke.customers("blue") if each["hasAgreedToMarketing"])


def vanish(run: Run, sandbox: Sandbox, person: dict[str, Any]) -> None:
    """Load everybody, let one person go, and scan until that is believed."""
    sync(run)
    assert flags(sandbox, person) == (False, False)
    sandbox.loke.delete("blue", ids=[person["id"]])
    for _ in range(2):
        assert sync(run, "--full")["archive"] == 0
    assert flags(sandbox, person) == (False, False)


def test_who_vanished_is_archived_once_after_three_full_scans(run: Run, sandbox: Sandbox) -> None:
    person = willing(sandbox)
    vanish(run, sandbox, person)
    assert sync(run, "--full")["archive"] == 1
    assert flags(sandbox, person) == (True, True)
    assert contact(sandbox, person)["first_name"]
    assert sandbox.crm_com.count(KEY) == 30
    sandbox.crm_com.requests.clear()
    fourth = sync(run, "--full")
    assert (fourth["archive"], fourth["update"], fourth["create"]) == (0, 0, 0)
    assert sandbox.crm_com.requests.count("PUT") == 0
    assert run("verify", "--org", "blue").code == 0


def test_who_vanished_is_left_alone_unless_the_file_says_archive(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    write_file(environ, sandbox, "on_missing: keep")
    person = willing(sandbox)
    vanish(run, sandbox, person)
    assert sync(run, "--full")["archive"] == 0
    assert flags(sandbox, person) == (False, False)


def test_nobody_is_archived_because_of_a_scan_that_broke_off(
    run: Run, environ: dict[str, str]
) -> None:
    """32 pages land together, so that the others are not there when the scan breaks off."""
    environ.update(secrets())
    organisations = tuple(replace(each, customers=40) for each in ORGANISATIONS)
    with Sandbox(SandboxSettings(organisations=organisations, page_size=1)) as sandbox:
        write_file(environ, sandbox)
        sync(run)
        shutil.rmtree(Path(environ["CRM_PIPELINE_HOME"]) / "lake")
        sandbox.loke.faults.add(FaultRule(kind="status", page=36, times=None, status=500))
        answer = run(*FULL)
    assert answer.code == 75
    assert answer.document["organisations"]["blue"]["resolved"]["contacts"]["rows"] == 32
    counts = answer.document["organisations"]["blue"]["plans"]["crm_com"]["counts"]
    assert counts["archive"] == 0


def test_too_many_archives_wait_for_an_approval(
    run: Run, sandbox: Sandbox, environ: dict[str, str]
) -> None:
    write_file(environ, sandbox, "on_missing: archive\nguards: {max_archives: 0}")
    person = willing(sandbox)
    vanish(run, sandbox, person)
    stopped = run(*FULL)
    assert stopped.code == 65
    error = stopped.document["organisations"]["blue"]["errors"][0]
    assert error["code"] == "plan_guarded"
    assert flags(sandbox, person) == (False, False)


def test_who_comes_back_is_updated_and_an_old_yes_opens_nothing(run: Run, sandbox: Sandbox) -> None:
    person = willing(sandbox)
    vanish(run, sandbox, person)
    sync(run, "--full")
    sandbox.loke.add("blue", [{**person, "firstName": "Returned"}])
    assert sync(run, "--full")["update"] == 1
    assert contact(sandbox, person)["first_name"] == "Returned"
    assert flags(sandbox, person) == (True, True)
    sandbox.loke.mutate("blue", ids=[person["id"]], fields={"firstName": "Again"})
    sync(run)
    assert flags(sandbox, person) == (True, True)


def test_a_no_and_then_a_yes_after_the_return_open_the_channels_again(
    run: Run, sandbox: Sandbox
) -> None:
    person = willing(sandbox)
    vanish(run, sandbox, person)
    sync(run, "--full")
    sandbox.loke.add("blue", [{**person, "firstName": "Returned"}])
    sync(run, "--full")
    for answer in (False, True):
        change = {"hasAgreedToMarketing": answer}
        sandbox.loke.mutate("blue", ids=[person["id"]], fields=change)
        sync(run)
    assert flags(sandbox, person) == (False, False)
