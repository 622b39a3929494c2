"""The project's own promises about its files: size, honesty, the lock file, what loads when."""

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "crm_pipeline"
DAGSTER_DECORATORS = {
    "asset", "asset_check", "asset_sensor", "failure_hook", "graph", "graph_asset", "job",
    "multi_asset", "multi_asset_check", "multi_asset_sensor", "multi_observable_source_asset",
    "observable_source_asset", "op", "run_failure_sensor", "run_status_sensor", "schedule",
    "sensor", "success_hook",
}  # fmt: skip


def decorator_name(node: ast.expr) -> str:
    """Return ``asset`` for ``@asset``, ``@dg.asset`` and ``@dg.asset(...)``."""
    if isinstance(node, ast.Call):
        return decorator_name(node.func)
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def dagster_bodies(source: str) -> Iterator[tuple[str, int]]:
    """Yield name and body lines, docstring left out, of every function that Dagster calls."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        if not any(decorator_name(each) in DAGSTER_DECORATORS for each in node.decorator_list):
            continue
        body = node.body[1:] if ast.get_docstring(node) is not None else node.body
        yield node.name, (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def grep_tracked(pattern: str, *left_out: str) -> list[str]:
    """Return the lines of tracked text files that match, as ``file:line:text``."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("not a Git checkout: there are no tracked files to look at")
    done = subprocess.run(
        ["git", "grep", "-nIP", pattern, "--", ".", *(f":!{path}" for path in left_out)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


def locked_requirements() -> list[str]:
    """Return each entry of the lock file on one line, its hashes included."""
    joined = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    return [line for line in joined.splitlines() if line.strip() and not line.startswith("#")]


def test_a_module_has_at_most_400_lines():
    modules = list(PACKAGE.rglob("*.py"))
    assert modules
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in modules}
    assert {path: lines for path, lines in lengths.items() if lines > 400} == {}


@pytest.mark.parametrize("decorator", ["@dg.asset(key='a')", "@asset", "@dg.op", "@sensor()"])
def test_the_count_of_body_lines_sees_every_spelling_and_leaves_the_docstring_out(decorator):
    lines = [decorator, "def landed(context):", '    """Two', '    lines."""', *["    work()"] * 16]
    assert list(dagster_bodies("\n".join(lines))) == [("landed", 16)]


def test_a_function_that_dagster_calls_has_at_most_15_lines():
    too_long = {
        f"{path.relative_to(ROOT)}:{name}": lines
        for path in [*PACKAGE.glob("defs/**/*.py"), *PACKAGE.glob("definitions.py")]
        for name, lines in dagster_bodies(path.read_text())
        if lines > 15
    }
    assert too_long == {}


def test_no_work_is_left_as_a_note_in_the_code():
    assert grep_tracked(r"\b(TO" r"DO|FIX" r"ME)\b", "*.lock") == []


def test_no_path_of_a_developers_machine_is_in_a_tracked_file():
    assert grep_tracked(r"(?<![\w.~}-])/(work|farm|root|home/\w+|Users/\w+)/", "*.lock") == []


def test_every_locked_package_has_its_version_and_hashes():
    entries = locked_requirements()
    assert len(entries) > 50
    wrong = [
        entry.split(" ")[0]
        for entry in entries
        if not re.match(r"^[a-z0-9-]+==\S+ .*--hash=sha256:[0-9a-f]{64}", entry)
    ]
    assert wrong == []


def test_the_lock_file_names_no_place_to_fetch_from():
    text = (ROOT / "requirements.lock").read_text()
    assert (
        re.findall(r".*(?:://| @ |--index|--extra-index|--find-links|--trusted-host).*", text) == []
    )


def test_the_dagster_family_is_locked_on_one_release():
    family = ("dagster==", "dagster-webserver==", "dagster-graphql==", "dagster-shared==")
    versions = {
        entry.split("==")[1].split(" ")[0]
        for entry in locked_requirements()
        if entry.startswith(family)
    }
    assert len(versions) == 1


@pytest.mark.parametrize("name", ["dagster.yaml", "deploy/dagster.postgres.yaml"])
def test_each_instance_file_runs_an_organisation_once_at_a_time_and_sends_no_telemetry(name):
    instance = yaml.safe_load((ROOT / name).read_text())
    assert instance["telemetry"] == {"enabled": False}
    assert instance["concurrency"]["runs"]["tag_concurrency_limits"] == [
        {
            "key": "dagster/partition",
            "limit": 1,
            "value": {"applyLimitPerUniqueValue": True},
        }
    ]
    assert instance["run_monitoring"]["max_runtime_seconds"] > 0


def opened_instance(home: Path) -> str:
    """Open the instance file in ``home`` in a process of its own; return what came of it."""
    program = (
        "import sys, dagster; instance = dagster.DagsterInstance.from_config(sys.argv[1]);"
        "print(type(instance.run_storage).__name__, instance.telemetry_enabled);"
        "instance.dispose()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, home], capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else done.stderr


def test_dagster_accepts_the_instance_file_of_one_machine(tmp_path):
    shutil.copy(ROOT / "dagster.yaml", tmp_path)
    assert opened_instance(tmp_path) == "SqliteRunStorage False"


@pytest.mark.postgres
def test_dagster_accepts_the_instance_file_of_several_machines(
    tmp_path, empty_postgres_url, monkeypatch
):
    shutil.copy(ROOT / "deploy" / "dagster.postgres.yaml", tmp_path / "dagster.yaml")
    url = empty_postgres_url.replace("postgresql+psycopg://", "postgresql://")
    monkeypatch.setenv("CRM_PIPELINE_DAGSTER_DATABASE_URL", url)
    assert opened_instance(tmp_path) == "PostgresRunStorage False"


def test_the_command_line_starts_without_importing_dagster():
    if not (PACKAGE / "cli" / "main.py").exists():
        pytest.skip("crm_pipeline.cli.main does not exist yet")
    program = "import sys, crm_pipeline.cli.main; print([m for m in sys.modules if m == 'dagster'])"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
