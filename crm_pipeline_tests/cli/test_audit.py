"""``audit`` on the command line: a broken chain is named, a noted head finds what is missing."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from crm_pipeline_tests.cli.conftest import MINIMAL, Run

Tamper = Callable[[str], None]


@pytest.fixture
def acted(run: Run, environ: dict[str, str]) -> None:
    """Two organisations, paused and resumed twice."""
    for slug in ("blue", "red"):
        (Path(environ["CRM_PIPELINE_CONFIG"]) / f"{slug}.yaml").write_text(MINIMAL)
        for _ in range(2):
            assert run("orgs", "pause", slug).code == 0
            assert run("orgs", "resume", slug).code == 0


@pytest.fixture
def tamper(environ: dict[str, str]) -> Tamper:
    def work(statement: str) -> None:
        (file,) = Path(environ["CRM_PIPELINE_HOME"]).glob("*.sqlite3")
        connection = sqlite3.connect(file)
        with connection:
            for name in ("audit_no_update", "audit_no_delete"):
                connection.execute(f"DROP TRIGGER IF EXISTS {name}")
            connection.execute(statement)
        connection.close()

    return work


def test_whole_chains_are_checked_and_a_broken_one_is_named(
    run: Run, acted: None, tamper: Tamper
) -> None:
    fine = run("audit", "verify")
    assert (fine.code, "3 chains were checked; 0 are broken." in fine.out) == (0, True)
    tamper("UPDATE audit SET who = 'nobody' WHERE chain = 'blue' AND seq = 2")
    broken = run("audit", "verify")
    assert broken.code == 65
    assert "blue: entry 2: It was changed after it was written." in broken.out
    document = run("audit", "verify", "--json").document
    assert [(each["chain"], each["seq"]) for each in document["broken"]] == [("blue", 2)]
    assert run("audit", "verify", "--org", "red").code == 0
    assert run("audit", "verify", "--org", "blue").code == 65


def test_what_was_taken_off_the_end_is_found_with_a_head_kept_elsewhere(
    run: Run, acted: None, tamper: Tamper, tmp_path: Path
) -> None:
    kept = tmp_path / "head.json"
    kept.write_text(run("audit", "head", "--json").out)
    assert run("audit", "verify", "--against", str(kept)).code == 0
    tamper("DELETE FROM audit WHERE chain = 'red' AND seq > 2")
    assert run("audit", "verify").code == 0
    answer = run("audit", "verify", "--against", str(kept))
    assert answer.code == 65
    assert "red: entry 3: Entries are missing at the end: there were 4 of them." in answer.out
    tamper("DELETE FROM audit WHERE chain = 'red'")
    assert "(installation): entry 2: The chain of red" in run("audit", "verify").out
    assert run("audit", "verify", "--org", "red", "--against", str(kept)).code == 65


def test_a_file_that_is_no_head_is_refused(run: Run, acted: None, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    for text in ("{}", "[]", "nonsense", '{"heads": [{"chain": "blue"}]}'):
        other.write_text(text)
        assert run("audit", "verify", "--against", str(other)).code == 78


def test_the_export_has_every_entry_with_its_hashes(run: Run, acted: None) -> None:
    lines = [json.loads(line) for line in run("audit", "export", "--org", "blue").out.splitlines()]
    assert [(each["seq"], each["what"]) for each in lines] == [
        (1, "paused"), (2, "resumed"), (3, "paused"), (4, "resumed"),
    ]  # fmt: skip
    assert [each["prev_hash"] for each in lines[1:]] == [each["hash"] for each in lines[:-1]]
    (head,) = run("audit", "head", "--org", "blue", "--json").document["heads"]
    assert (head["seq"], head["hash"]) == (4, lines[-1]["hash"])
    assert run("audit", "list", "--limit", "1").code == 0


@pytest.mark.parametrize(
    "command",
    [
        "undo", "audit", "audit list", "audit verify", "audit export", "audit head",
        "rejects show", "rejects retry", "rejects discard",
    ],
)  # fmt: skip
def test_every_command_has_help_with_an_example(run: Run, command: str) -> None:
    answer = run(*command.split(), "--help")
    assert answer.code == 0
    assert f"crm-pipeline {command}" in answer.out.partition("Examples:")[2]
