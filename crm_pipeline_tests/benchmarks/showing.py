"""Figures as a Markdown table for people; the JSON is for programs."""

from collections.abc import Sequence
from statistics import median
from typing import Any

from crm_pipeline_tests.benchmarks.cases import SUITE


def ratios(figures: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return case divided by baseline, pair by pair, in wall and processor time."""
    sides = {(each["case"], each["rows"], each["side"]): each["runs"] for each in figures}
    found = []
    for (case, rows, side), runs in sides.items():
        base = sides.get((case, rows, "baseline"))
        if side != "case" or base is None:
            continue
        pairs = list(zip(runs, base, strict=True))
        ratio = {"case": case, "rows": rows}
        for name in ("wall_s", "cpu_s"):
            values = [mine[name] / theirs[name] for mine, theirs in pairs]
            ratio[name] = {"median": median(values), "min": min(values), "max": max(values)}
        found.append(ratio)
    return found


def table(document: dict[str, Any]) -> str:
    """Return all figures: median, and minimum to maximum in brackets."""
    lines = [
        "| case | rows | wall s | CPU s | peak MB | target |",
        "| --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for each in document["figures"]:
        name = each["case"] if each["side"] == "case" else f"{each['case']}: baseline"
        target = SUITE[each["case"]].target if each["side"] == "case" else ""
        cells = [_cell(each[column]) for column in ("wall_s", "cpu_s", "peak_mb")]
        lines.append(f"| {name} | {each['rows']:,} | {' | '.join(cells)} | {target} |")
    for each in document["ratios"]:
        cells = [_cell(each[column]) for column in ("wall_s", "cpu_s")]
        lines.append(f"| {each['case']}: ratio | {each['rows']:,} | {' | '.join(cells)} | | |")
    return "\n".join(lines)


def _cell(value: dict[str, float]) -> str:
    return f"{value['median']:.4g} ({value['min']:.4g}-{value['max']:.4g})"
