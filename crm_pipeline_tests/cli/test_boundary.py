"""Help, usage and unexpected failures: what a person sees, what a program gets."""

import subprocess
import sys

import pytest
import typer

from crm_pipeline.cli.failures import handle_failures
from crm_pipeline.cli.main import app
from crm_pipeline.errors import PlanGuardedError
from crm_pipeline_tests.cli.conftest import Run

COMMANDS = [
    ["demo"], ["sync"], ["status"], ["pull"], ["plan"], ["plan", "show"], ["plan", "list"],
    ["plan", "approve"], ["apply"], ["verify"], ["doctor"], ["orgs"], ["orgs", "list"],
    ["orgs", "add"], ["orgs", "check"], ["orgs", "pause"], ["orgs", "resume"], ["orgs", "schema"],
    ["rejects"], ["rejects", "list"], ["ledger"], ["ledger", "migrate"], ["sandbox"],
    ["receiver"], ["webhooks"], ["webhooks", "reset"], ["webhooks", "list"],
    ["webhooks", "delete"],
]  # fmt: skip
HEAVY = {
    "dagster", "pyarrow", "duckdb", "deltalake", "pandas", "phonenumbers", "httpx", "sqlalchemy",
}  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(run: Run, command: list[str]) -> None:
    answer = run(*command, "--help")
    assert answer.code == 0
    assert "Examples:" in answer.out
    assert f"crm-pipeline {' '.join(command)}" in answer.out


def test_the_help_documents_every_exit_code(run: Run) -> None:
    answer = run("--help")
    for code in ("0 ", "2 ", "65", "70", "75", "78"):
        assert f" {code}" in answer.out


def test_the_version_is_the_package_s(run: Run) -> None:
    from crm_pipeline import __version__

    assert run("--version").out == f"crm-pipeline {__version__}\n"


def modules_after(*arguments: str, environ: dict[str, str]) -> set[str]:
    code = (
        "import sys\n"
        "from crm_pipeline.cli.main import run\n"
        "try:\n"
        "    run(sys.argv[1:])\n"
        "finally:\n"
        "    sys.stderr.write('\\n' + ' '.join(sorted(sys.modules)))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env=environ, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return set(result.stderr.splitlines()[-1].split())


def test_help_loads_nothing_heavy(environ: dict[str, str]) -> None:
    loaded = modules_after("--help", environ=environ)
    assert "crm_pipeline.cli.main" in loaded
    assert loaded & (HEAVY | {"pydantic", "yaml"}) == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["apply"], ["plan"], ["pull"], ["verify"], ["plan", "approve", "0123456789"],
        ["plan", "show"], ["rejects", "list"], ["sync"], ["sync", "--all", "--org", "x"],
        ["doctor"], ["orgs", "pause"], ["apply", "--org", "x", "--approve"],
        ["bogus"], ["sync", "--bogus"], ["verify", "--org", "x", "--sample", "some"],
        ["sync", "--all", "--loop", "--every", "0"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_what_was_typed_wrong_is_refused_and_nothing_is_done(
    run: Run, environ: dict[str, str], arguments: list[str]
) -> None:
    answer = run(*arguments, "--json")
    assert answer.code == 78
    assert answer.document["error"]["exit_code"] == 78
    assert "Not done: Nothing was" in answer.err
    assert "Traceback" not in answer.err


def failing(error: Exception) -> typer.Typer:
    broken = typer.Typer()

    @broken.command()
    def fail(*, as_json: bool = typer.Option(False, "--json")) -> None:
        raise error

    return broken


def test_an_error_of_ours_says_what_happened_what_was_not_done_and_what_is_next(
    capsys: pytest.CaptureFixture[str],
) -> None:
    error = PlanGuardedError("A guard stopped it.", not_done="Nothing was sent.", remedy="Look.")
    assert handle_failures(failing(error), ["--json"], {}) == 65
    captured = capsys.readouterr()
    assert captured.err == "Error: A guard stopped it.\nNot done: Nothing was sent.\nNext: Look.\n"
    assert '"code": "plan_guarded"' in captured.out


def test_an_unexpected_error_shows_its_type_and_nothing_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert handle_failures(failing(ValueError("canary@example.com")), ["--json"], {}) == 70
    captured = capsys.readouterr()
    assert "ValueError" in captured.err
    assert "canary" not in captured.err + captured.out
    assert "Traceback" not in captured.err


def test_the_traceback_is_for_those_who_ask(capsys: pytest.CaptureFixture[str]) -> None:
    debug = {"CRM_PIPELINE_DEBUG": "1"}
    assert handle_failures(failing(ValueError("canary")), [], debug) == 70
    assert "Traceback" in capsys.readouterr().err


def test_an_interrupt_is_told_without_a_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert handle_failures(failing(KeyboardInterrupt()), [], {}) == 130  # type: ignore[arg-type]
    assert capsys.readouterr().err.startswith("Interrupted.")


def test_a_bad_variable_is_a_configuration_error(run: Run, environ: dict[str, str]) -> None:
    environ["CRM_PIPELINE_LEASE_S"] = "long"
    answer = run("status", "--json")
    assert answer.code == 78
    assert "CRM_PIPELINE_LEASE_S" in answer.document["error"]["happened"]


def test_colour_is_left_out_when_the_person_says_so(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run("--help").out


def test_the_application_is_what_the_console_script_starts() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "crm_pipeline", "--version"], capture_output=True, check=False
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert app.info.name == "crm-pipeline"
