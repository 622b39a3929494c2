"""Reads our Markdown: links, headings, tables that carry a name, lines to type."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md")))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_SECTION = re.compile(r"^#{2,3} (.+)$", re.MULTILINE)


def text_of(name: str) -> str:
    """Return a page by its path below the checkout."""
    return (ROOT / name).read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return _FENCE.sub("", text)


def links(page: Path) -> list[str]:
    """Return where the links of a page lead, pictures included."""
    return _LINK.findall(without_code(page.read_text(encoding="utf-8")))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = _HEADING.findall(without_code(page.read_text(encoding="utf-8")))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def table(page: str, name: str) -> list[list[str]]:
    """Return the rows of the table that follows ``<!-- table: name -->``, without its heading."""
    _, mark, rest = text_of(page).partition(f"<!-- table: {name} -->")
    assert mark, f"{page} has no table {name}"
    lines = rest.lstrip().splitlines()
    rows = [line for line in iter_until_blank(lines) if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in rows[2:]]


def iter_until_blank(lines: list[str]) -> Iterator[str]:
    for line in lines:
        if not line.strip():
            return
        yield line


def code_names(cell: str) -> list[str]:
    """Return what stands between backquotes.

    >>> code_names("`a`, or `b c`")
    ['a', 'b c']
    """
    return re.findall(r"`([^`]+)`", cell)


def names_in(page: str, name: str, column: int = 0) -> list[str]:
    """Return every name in backquotes in one column of a table."""
    return [each for row in table(page, name) for each in code_names(row[column])]


def sections(page: str) -> dict[str, str]:
    """Return the text below each heading of the second and third level."""
    parts = _SECTION.split(text_of(page))
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def whole_files(page: Path) -> list[str]:
    """Return the organisation files of a page: YAML blocks with sources and destinations."""
    blocks = [body for language, body in _FENCE.findall(page.read_text()) if language == "yaml"]
    return [each for each in blocks if "\ndestinations:" in each and "sources:" in each]


def typed_lines(page: Path) -> list[list[str]]:
    """Return the ``crm-pipeline`` commands of a page's console and sh blocks, as words."""
    found = []
    for language, body in _FENCE.findall(page.read_text(encoding="utf-8")):
        if language not in ("console", "sh"):
            continue
        for line in body.splitlines():
            plain = line.removeprefix("$ ").partition(" > ")[0]
            words = shlex.split(plain, comments=True)
            if words[:1] == ["crm-pipeline"]:
                found.append(words[1:])
    return found
