"""One thing that is wrong in one configuration file, with the way out."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigProblem:
    """What is wrong, where, and what to do. Never holds the value that was refused.

    ``line`` counts from 1; ``field`` is a dotted path, empty when the whole file is meant.
    """

    file: Path
    line: int
    field: str
    problem: str
    remedy: str = ""

    def __str__(self) -> str:
        """Return ``file:line: field: problem remedy``, as compilers print it."""
        where = f"{self.file}:{self.line}: "
        field = f"{self.field}: " if self.field else ""
        return f"{where}{field}{self.problem}" + (f" {self.remedy}" if self.remedy else "")

    def as_json(self) -> dict[str, str | int]:
        """Return the problem for machine-readable reports."""
        return {
            "file": str(self.file),
            "line": self.line,
            "field": self.field,
            "problem": self.problem,
            "remedy": self.remedy,
        }
