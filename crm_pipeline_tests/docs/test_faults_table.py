"""The page of faults names each of them once, with tests that exist or the reason for none."""

import ast
import re
from functools import cache

from crm_pipeline_tests.docs.reading import ROOT, code_names, sections, table

PAGE, OPEN = "docs/faults.md", "docs/not-covered.md"
COUNTS = {"W": 28, "P": 25, "D": 28, "C": 17, "T": 7, "O": 8, "S": 11}
SECTIONS = ("webhooks", "pulling", "delivery", "consent and privacy", "tenants", "operations",
            "storage")  # fmt: skip
EVERY_FAULT = [
    f"{letter}{number:02}" for letter, count in COUNTS.items() for number in range(1, count + 1)
]


@cache
def proofs_in(path: str) -> frozenset[str]:
    """Return the test functions of a file, classes looked into; none when there is no such file."""
    file = ROOT / "crm_pipeline_tests" / path
    if not re.fullmatch(r"(.*/)?test_\w+\.py", path) or not file.is_file():
        return frozenset()
    tree = ast.parse(file.read_text(encoding="utf-8"))
    bodies = [tree.body, *(each.body for each in tree.body if isinstance(each, ast.ClassDef))]
    return frozenset(
        each.name
        for body in bodies
        for each in body
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
        and each.name.startswith("test_")
        and not any("xfail" in ast.unparse(mark) for mark in each.decorator_list)
    )


def rows_of_faults() -> list[list[str]]:
    return [row for name in SECTIONS for row in table(PAGE, f"faults {name}")]


def missing(cell: str) -> list[str]:
    """Return the tests of a cell that do not exist or are expected to fail."""
    named = [each.partition("::") for each in code_names(cell) if "::" in each]
    return [f"{path}::{name}" for path, _, name in named if name not in proofs_in(path)]


def test_each_of_the_124_faults_has_one_line() -> None:
    assert [row[0] for row in rows_of_faults()] == EVERY_FAULT
    assert len(EVERY_FAULT) == 124
    assert [row for row in rows_of_faults() if len(row) != 4 or not all(row)] == []


def test_every_test_that_the_page_names_exists_and_passes_by_itself() -> None:
    proofs = [row[-1] for row in rows_of_faults()]
    proofs += [
        row[-1] for name in ("invariants", "security") for row in table(PAGE, f"faults {name}")
    ]
    assert [name for cell in proofs for name in missing(cell)] == []


def test_a_fault_is_either_proven_or_told_as_not_covered() -> None:
    proven = {row[0] for row in rows_of_faults() if "::" in row[-1]}
    told = [row[0] for row in table(OPEN, "not covered")]
    assert sorted([*proven, *told]) == sorted(EVERY_FAULT)
    assert {row[0] for row in rows_of_faults() if row[-1] == "not covered"} == set(told)
    assert all(row[1] for row in table(OPEN, "not covered"))
    assert "Faults" in sections(OPEN)


def test_each_invariant_and_each_row_of_the_checklist_has_a_proof_or_a_reason() -> None:
    for name, ids in (
        ("invariants", [f"I{number}" for number in range(1, 19)]),
        ("security", [str(number) for number in range(1, 31)]),
    ):
        rows = table(PAGE, f"faults {name}")
        assert [row[0] for row in rows] == ids
        assert [
            row
            for row in rows
            if not re.search(r"::|`make |^not covered: .{10}", row[-1]) or len(row) != 3
        ] == []
