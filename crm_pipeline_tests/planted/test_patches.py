"""The planted bugs fit the code as it is now; running their tests is ``make planted``."""

import ast
import subprocess
from functools import cache
from pathlib import Path

import pytest

from crm_pipeline_tests.docs.reading import code_names, table
from crm_pipeline_tests.planted.reading import FOLDER, PAGE, ROOT, Patch, read_patch, read_patches
from crm_pipeline_tests.planted.witness import is_assertion
from crm_pipeline_tests.planted.writing import TABLE

PATCHES = read_patches()
GOOD = "Nobody is told.\nTests: crm_pipeline_tests/core/test_money.py\n\n--- a/crm_pipeline/a.py\n"


@cache
def functions_in(path: str) -> frozenset[str]:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    return frozenset(
        each.name
        for each in ast.walk(tree)
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
    )


def is_there(test: str) -> bool:
    path, _, name = test.partition("::")
    if not (ROOT / path).exists():
        return False
    return not name or name in functions_in(path)


def applies(patch: Patch) -> bool:
    command = ["git", "apply", "--check", str(patch.path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, check=False).returncode == 0


def test_there_are_at_least_thirty_bugs_each_with_its_number() -> None:
    numbers = [int(each.number) for each in PATCHES]
    assert len(numbers) >= 30
    assert numbers == sorted(set(numbers))


def test_every_bug_applies_to_the_code_as_it_is() -> None:
    assert [each.path.name for each in PATCHES if not applies(each)] == []


def test_a_bug_is_in_the_package_and_in_nothing_that_tests_it() -> None:
    names = {name for each in PATCHES for name in each.files}
    assert [name for name in names if not name.startswith("crm_pipeline/")] == []
    assert [each.number for each in PATCHES if not each.files] == []


def test_every_bug_names_tests_that_exist() -> None:
    missing = {each.number: [test for test in each.tests if not is_there(test)] for each in PATCHES}
    assert {number: tests for number, tests in missing.items() if tests} == {}


def test_the_page_lists_exactly_the_bugs_and_the_test_that_caught_each() -> None:
    rows = table(PAGE, TABLE)
    assert [row[:2] for row in rows] == [[each.number, each.bug] for each in PATCHES]
    caught = [code_names(row[2]) for row in rows]
    assert [names for names in caught if len(names) != 1] == []
    assert [name for (name,) in caught if not is_there(f"crm_pipeline_tests/{name}")] == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("7-short.patch", GOOD),
        ("07-Loud.patch", GOOD),
        ("07-no-tests.patch", GOOD.replace("Tests: ", "")),
        ("07-no-sentence.patch", GOOD.partition("\n")[2]),
        ("07-elsewhere.patch", GOOD.replace("a/crm_pipeline/", "a/crm_pipeline_tests/")),
    ],
)
def test_a_patch_without_a_proper_name_or_header_is_refused(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match="no planted bug"):
        read_patch(tmp_path / name)


def test_only_an_assertion_catches_a_bug() -> None:
    assert is_assertion(AssertionError("no"))
    assert is_assertion(pytest.fail.Exception("DID NOT RAISE"))
    assert is_assertion(ExceptionGroup("some", [AssertionError(), AssertionError()]))
    assert not is_assertion(ImportError("no such name"))
    assert not is_assertion(pytest.fail.Exception("Timeout (>120.0s) from pytest-timeout."))
    assert not is_assertion(ExceptionGroup("some", [AssertionError(), KeyError()]))


def test_the_patches_are_where_the_page_says() -> None:
    assert FOLDER.relative_to(ROOT).as_posix() in (ROOT / PAGE).read_text(encoding="utf-8")
