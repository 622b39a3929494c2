"""``erase`` as it is typed: what it asks, what it shows, how it ends."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from crm_pipeline.sandbox import FaultRule, Sandbox, SandboxSettings
from crm_pipeline_tests.cli.conftest import Run
from crm_pipeline_tests.cli.vendors import ORGANISATIONS, secrets, write_organisation

SMALL = ORGANISATIONS[1]


@pytest.fixture
def red(environ: dict[str, str], run: Run) -> Iterator[Sandbox]:
    with Sandbox(SandboxSettings(organisations=(SMALL,))) as sandbox:
        write_organisation(Path(environ["CRM_PIPELINE_CONFIG"]), sandbox, "red")
        environ |= secrets()
        assert run("sync", "--org", "red").code == 0
        yield sandbox


def somebody(sandbox: Sandbox) -> dict[str, str]:
    return next(each for each in sandbox.loke.customers(SMALL.id) if each.get("email"))


def test_it_wants_to_be_told_whom_and_only_one_thing_at_once(red: Sandbox, run: Run):
    assert run("erase", "--org", "red").code == 78
    assert run("erase", "--org", "red", "--resume", "--subject", "loke:1").code == 78


def test_nobody_is_erased_without_a_yes(red: Sandbox, run: Run):
    key = f"loke:{somebody(red)['id']}"
    answer = run("erase", "--org", "red", "--subject", key)
    assert answer.code == 78
    assert "--yes" in answer.err
    assert red.crm_com.contact(SMALL.crm_test_key, key)["first_name"] != "Erased"


def test_a_dry_run_counts_and_shows_no_value(red: Sandbox, run: Run):
    person = somebody(red)
    answer = run("erase", "--org", "red", "--subject", person["email"], "--dry-run")
    assert answer.code == 0
    assert "landed/loke/customers" in answer.out
    for name in ("email", "lastName", "phoneNumber", "id"):
        assert person[name] not in answer.out + answer.err
    counts = run("erase", "--org", "red", "--subject", person["id"], "--dry-run", "--json")
    assert counts.document["crm"] == {"crm_com": 1}
    assert counts.document["ledger"]["applied"] == 1


def test_an_unknown_subject_is_nobody(red: Sandbox, run: Run):
    for whom in ("loke:unknown", "nobody@example.com", "+61400000999", "", "0000"):
        answer = run("erase", "--org", "red", "--subject", whom, "--yes", "--json")
        assert answer.code == 65, whom
        assert answer.document["erasures"] == []


def test_an_erasure_is_complete_with_a_receipt_and_an_entry_in_the_audit_log(
    red: Sandbox, run: Run, environ: dict[str, str]
):
    person = somebody(red)
    answer = run("erase", "--org", "red", "--subject", person["phoneNumber"], "--yes")
    assert answer.code == 0, answer.err
    assert "Complete. Receipt: " in answer.out
    assert person["email"] not in answer.out + answer.err
    home = Path(environ["CRM_PIPELINE_HOME"])
    assert (home / "tombstone.key").stat().st_mode & 0o777 == 0o600
    assert len(list((home / "receipts").iterdir())) == 1
    assert run("erase", "--org", "red", "--resume").code == 0
    assert run("erase", "--org", "red", "--subject", person["phoneNumber"], "--yes").code == 65


def test_an_open_erasure_goes_on_when_it_is_asked_for_again(
    red: Sandbox, run: Run, environ: dict[str, str]
):
    email = somebody(red)["email"]
    red.crm_com.faults.add(FaultRule(kind="status", status=503, method="PUT", times=None))
    answer = run("erase", "--org", "red", "--subject", email, "--yes")
    assert (answer.code, "Still open" in answer.err) == (75, True)
    looked = run("erase", "--org", "red", "--subject", email, "--dry-run", "--json")
    assert (looked.code, looked.document["is_open"]) == (0, True)
    assert run("erase", "--org", "red", "--subject", "other@example.com", "--yes").code == 65
    red.crm_com.faults.clear()
    answer = run("erase", "--org", "red", "--subject", email, "--yes")
    assert answer.code == 0, answer.err
    assert len(list((Path(environ["CRM_PIPELINE_HOME"]) / "receipts").iterdir())) == 1
    assert run("erase", "--org", "red", "--resume").out.startswith("No erasure is open")


def test_without_its_key_nothing_is_read_for_who_has_tombstones(
    red: Sandbox, run: Run, environ: dict[str, str]
):
    assert run("erase", "--org", "red", "--subject", somebody(red)["id"], "--yes").code == 0
    key = Path(environ["CRM_PIPELINE_HOME"]) / "tombstone.key"
    held = key.read_text()
    key.write_text("0" * 64)
    answer = run("sync", "--org", "red", "--full")
    assert answer.code == 78
    assert "tombstone.key" in answer.err
    key.unlink()
    assert run("sync", "--org", "red", "--full").code == 78
    key.write_text(held)
    key.chmod(0o644)
    assert run("sync", "--org", "red", "--full").code == 78
    key.chmod(0o600)
    assert run("sync", "--org", "red", "--full").code == 0
