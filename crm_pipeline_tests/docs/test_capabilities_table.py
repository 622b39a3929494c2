"""The table of capabilities names commands that are accepted and tests that exist."""

import ast
import re
import shlex
from functools import lru_cache

import pytest
import typer

from crm_pipeline.cli.main import app
from crm_pipeline_tests.docs.reading import ROOT, code_names, table

PAGE = "docs/capabilities.md"
NUMBERS = [
    f"{letter}{number}"
    for letter, count in (("L", 11), ("S", 5), ("C", 9), ("W", 5), ("P", 2))
    for number in range(1, count + 1)
]
ROWS = {row[0]: row[1:] for row in table(PAGE, "capabilities")}
Group = typer.core.TyperGroup


@lru_cache
def defined_in(path: str) -> frozenset[str]:
    """Return the names of the tests that a file defines."""
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    names = (each.name for each in tree.body if isinstance(each, ast.FunctionDef))
    return frozenset(name for name in names if name.startswith("test_"))


def test_every_required_capability_has_its_row() -> None:
    assert list(ROWS) == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_the_state_of_a_capability_is_one_of_three_and_says_what_is_missing(number: str) -> None:
    _, state, command, tests = ROWS[number]
    assert re.match(r"works(: .+)?$|partly: .+$|not built$", state)
    assert (tests == "none") is (state == "not built")
    assert command == "none" or state != "not built"


@pytest.mark.parametrize("number", NUMBERS)
def test_every_test_that_a_capability_names_exists(number: str) -> None:
    named = code_names(ROWS[number][3])
    missing = []
    for each in named:
        path, _, name = each.partition("::")
        if not (ROOT / path).is_file() or name not in defined_in(path):
            missing.append(each)
    assert missing == []


@pytest.mark.parametrize("number", NUMBERS)
def test_every_command_that_a_capability_names_is_accepted_as_it_stands(number: str) -> None:
    for typed in code_names(ROWS[number][2]):
        words = shlex.split(typed)
        if words[0] == "make":
            assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text(encoding="utf-8")
            continue
        assert words.pop(0) == "crm-pipeline"
        command = typer.main.get_command(app)
        while isinstance(command, Group) and words and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        if words != ["--help"]:
            command.make_context(typed, words)  # raises when it is refused
