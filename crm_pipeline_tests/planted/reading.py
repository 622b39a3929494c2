"""Reads the planted bugs: patches of the package, each with what it does to a user."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDER = Path(__file__).resolve().parent / "patches"
PAGE = "docs/planted-bugs.md"

_NAME = re.compile(r"(\d{2,})-[a-z0-9]+(-[a-z0-9]+)*\.patch")
_HEADER = re.compile(
    r"(?P<bug>[A-Z].+?\.)\n(?:Tests: )(?P<tests>.+?)\n\n(?=--- a/crm_pipeline/)", re.DOTALL
)
_CHANGED = re.compile(r"^\+\+\+ b/(\S+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Patch:
    """One planted bug. ``tests`` are what pytest is given; ``files`` are those that it changes."""

    number: str
    path: Path
    bug: str
    tests: tuple[str, ...]
    files: tuple[str, ...]


def read_patch(path: Path) -> Patch:
    """Return one patch. Raises ValueError when its name or its header is not as it should be.

    The header is a sentence about what a user would see, then ``Tests:`` and the tests that should
    catch it, then an empty line.
    """
    text = path.read_text(encoding="utf-8")
    header, name = _HEADER.match(text), _NAME.fullmatch(path.name)
    if name is None or header is None:
        raise ValueError(f"{path.name} is no planted bug: see `read_patch`")
    return Patch(
        number=name[1],
        path=path,
        bug=" ".join(header["bug"].split()),
        tests=tuple(header["tests"].split()),
        files=tuple(_CHANGED.findall(text)),
    )


def read_patches(folder: Path = FOLDER) -> list[Patch]:
    """Return every planted bug, in the order of their numbers."""
    return sorted(map(read_patch, folder.glob("*.patch")), key=lambda patch: int(patch.number))
