"""What a command writes: tables and lines for people, one JSON document for programs.

Results go to standard output, everything else to standard error. Text from outside is shown as
it is, without markup, and control characters are made visible.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def visible(value: object) -> str:
    r"""Return a value as text in which no character can steer the terminal.

    >>> print(visible("a\x1b[31mb\n"))
    a\x1b[31mb\n
    """
    text = str(value)
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in text
    )


class Screen:
    """Where a command writes to. With ``is_json`` only ``result`` writes to standard output."""

    def __init__(self, *, is_json: bool = False) -> None:
        self.is_json = is_json
        width = None if sys.stdout.isatty() else 120
        self._out = Console(
            file=sys.stdout, width=width, markup=False, highlight=False, soft_wrap=False
        )

    def line(self, text: str = "", style: str | None = None) -> None:
        """Write one line for a person."""
        if not self.is_json:
            self._out.print(text, style=style, markup=False, soft_wrap=True)

    def table(self, title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Write a table for a person; numbers to the right, with thousands separators."""
        if self.is_json:
            return
        if title:
            self.line(title, style="bold")
        table = Table()
        for index, column in enumerate(columns):
            is_number = bool(rows) and all(isinstance(row[index], int | float) for row in rows)
            table.add_column(column, justify="right" if is_number else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(_cell(value)) for value in row))
        self._out.print(table)

    def result(self, document: Mapping[str, Any]) -> None:
        """Write the JSON document, when JSON was asked for."""
        if self.is_json:
            sys.stdout.write(json.dumps(document, default=str) + "\n")

    def note(self, text: str) -> None:
        """Write one line to standard error: not part of the result."""
        sys.stderr.write(visible(text) + "\n")


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return visible(value)
