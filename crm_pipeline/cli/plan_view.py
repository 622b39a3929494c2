"""How a plan looks: by kind, by field, guards, cost, and a sample of its changes.

Names of fields only; values are shown when a person asks for them with ``--values``.
"""

from collections.abc import Iterable
from typing import Any

from crm_pipeline.cli.screen import Screen
from crm_pipeline.core.records import CHANGE_KINDS, Change, PlanHeader
from crm_pipeline.core.render import SHORT_DIGEST, duration, plan_json

#: Fields listed before the rest becomes a number.
FIELDS_SHOWN = 20


def show_plan(screen: Screen, header: PlanHeader) -> None:
    """Write one plan for a person: no personal data."""
    scope = "everything compared" if header.is_full else "what changed since the last plan"
    screen.line(
        f"Plan {header.digest[:SHORT_DIGEST]} of {header.organisation} for {header.destination}"
        f" ({scope})",
        style="bold",
    )
    kinds = (*CHANGE_KINDS, "unchanged")
    screen.table("", ["Kind", "Objects"], [[kind, header.counts.get(kind, 0)] for kind in kinds])
    _show_counts(screen, "Field", "Objects changed", header.field_counts.items())
    _show_counts(screen, "Reason", "Changes", header.reason_counts.items())
    stopped = [[each.guard, each.message] for each in header.guards if not each.passed]
    if stopped:
        screen.table("", ["STOPPED by", "Why"], stopped)
    else:
        screen.line(f"All {len(header.guards)} guards passed.")
    if header.consent_widened:
        screen.line(f"{header.consent_widened:,} contacts would become mailable.")
    seconds = duration(header.estimated_seconds)
    screen.line(f"Estimate: {header.estimated_calls:,} calls, {seconds}.")


def show_changes(screen: Screen, changes: Iterable[Change], *, with_values: bool) -> None:
    """Write a sample of changes by key, with the names of their fields."""
    rows = [
        [change.kind, change.key, _changed(change, with_values=with_values), change.reason]
        for change in changes
    ]
    if rows:
        screen.table("", ["Kind", "Key", "Fields", "Reason"], rows)


def change_json(change: Change, *, with_values: bool) -> dict[str, Any]:
    """Return one change for ``--json``; values only when asked for."""
    document: dict[str, Any] = {
        "seq": change.seq,
        "kind": change.kind,
        "object_kind": change.object_kind,
        "key": change.key,
        "fields": list(change.changed),
        "withheld": list(change.withheld),
        "reason": change.reason,
    }
    if with_values:
        before, after = change.before, change.after
        document["before"] = None if before is None else {n: before.get(n) for n in change.changed}
        document["after"] = {name: after.get(name) for name in change.changed}
    return document


def plan_document(header: PlanHeader) -> dict[str, Any]:
    """Return one plan for ``--json``."""
    return dict(plan_json(header))


def _changed(change: Change, *, with_values: bool) -> str:
    if not with_values:
        return ", ".join(change.changed)
    before = change.before or {}
    return "\n".join(
        f"{name}: {before.get(name)!r} -> {change.after.get(name)!r}" for name in change.changed
    )


def _show_counts(screen: Screen, left: str, right: str, counts: Iterable[tuple[str, int]]) -> None:
    rows = sorted(counts, key=lambda each: (-each[1], each[0]))
    if not rows:
        return
    screen.table("", [left, right], [list(each) for each in rows[:FIELDS_SHOWN]])
    if len(rows) > FIELDS_SHOWN:
        screen.line(f"and {len(rows) - FIELDS_SHOWN} more.")
