"""Writes the table of planted bugs into the documents."""

import datetime as dt
import os
import platform
import re
from collections.abc import Sequence

from crm_pipeline_tests.planted.reading import PAGE, ROOT
from crm_pipeline_tests.planted.running import Verdict

TABLE = "planted bugs"


def write_page(verdicts: Sequence[Verdict], seconds: float, today: dt.date) -> None:
    """Put a whole run into the page: when and where it was, then a line for each bug."""
    path = ROOT / PAGE
    text = path.read_text(encoding="utf-8")
    text = _between(text, "last run", _sentence(verdicts, seconds, today))
    path.write_text(_between(text, f"table: {TABLE}", _table(verdicts)), encoding="utf-8")


def _between(text: str, mark: str, content: str) -> str:
    """Replace the paragraph that follows a mark."""
    pattern = re.compile(rf"(<!-- {re.escape(mark)} -->\n\n).*?(?=\n\n|\Z)", re.DOTALL)
    changed, count = pattern.subn(lambda found: found[1] + content, text)
    if count != 1:
        raise ValueError(f"{PAGE} has no place for {mark!r}")
    return changed if changed.endswith("\n") else changed + "\n"


def _sentence(verdicts: Sequence[Verdict], seconds: float, today: dt.date) -> str:
    caught = sum(bool(each.caught_by) for each in verdicts)
    return (
        f"Last run: {today.isoformat()}, {platform.system()} on {platform.machine()},"
        f" {os.cpu_count()} processors, Python {platform.python_version()}:"
        f" **{caught} of {len(verdicts)} caught**, in {seconds:.0f} s."
    )


def _table(verdicts: Sequence[Verdict]) -> str:
    lines = ["| number | what a user would see | caught by |", "| --- | --- | --- |"]
    for each in verdicts:
        name = each.caught_by.partition("[")[0].removeprefix("crm_pipeline_tests/")
        lines.append(f"| {each.number} | {each.bug} | {f'`{name}`' if name else 'MISSED'} |")
    return "\n".join(lines)
