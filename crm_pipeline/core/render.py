"""Plans as text for people and as JSON for programs. No personal data: counts, names, digests."""

from collections.abc import Mapping
from typing import TypedDict

from crm_pipeline.core.records import CHANGE_KINDS, PlanHeader

SHORT_DIGEST = 12


class GuardJson(TypedDict):
    """One guard in ``plan_json``."""

    guard: str
    passed: bool
    message: str


class PlanJson(TypedDict):
    """The JSON form of a plan; times in ISO 8601, UTC."""

    digest: str
    organisation: str
    destination: str
    object_kind: str
    created_at: str
    is_full: bool
    size: int
    counts: dict[str, int]
    fields: dict[str, int]
    reasons: dict[str, int]
    consent_widened: int
    is_guarded: bool
    guards: list[GuardJson]
    estimated_calls: int
    estimated_seconds: float
    mapping_version: str


def plan_json(header: PlanHeader) -> PlanJson:
    """Return the plan for ``--json`` and for other programs."""
    return PlanJson(
        digest=header.digest,
        organisation=header.organisation,
        destination=header.destination,
        object_kind=header.object_kind,
        created_at=header.created_at.isoformat(),
        is_full=header.is_full,
        size=header.size,
        counts=dict(header.counts),
        fields=dict(header.field_counts),
        reasons=dict(header.reason_counts),
        consent_widened=header.consent_widened,
        is_guarded=header.is_guarded,
        guards=[
            GuardJson(guard=verdict.guard, passed=verdict.passed, message=verdict.message)
            for verdict in header.guards
        ],
        estimated_calls=header.estimated_calls,
        estimated_seconds=header.estimated_seconds,
        mapping_version=header.mapping_version,
    )


def summary(header: PlanHeader) -> str:
    """Return the plan in one line.

    Example: ``3 to create, 25 to update, 0 to archive, 5,000 unchanged``.
    """
    kinds = ", ".join(f"{header.counts.get(kind, 0):,} to {kind}" for kind in CHANGE_KINDS)
    return f"{kinds}, {header.counts.get('unchanged', 0):,} unchanged"


def duration(seconds: float) -> str:
    """Return a duration that a person reads at a glance.

    >>> [duration(seconds) for seconds in (0, 12.4, 61, 3600, 7380)]
    ['under 1 s', '12 s', '1 min 1 s', '1 h', '2 h 3 min']
    """
    whole = round(seconds)
    if whole < 1:
        return "under 1 s"
    hours, rest = divmod(whole, 3600)
    minutes, left = divmod(rest, 60)
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    if minutes:
        return f"{minutes} min {left} s" if left else f"{minutes} min"
    return f"{left} s"


def plan_markdown(header: PlanHeader) -> str:
    """Return the plan as Markdown for Dagster's metadata panel."""
    title = f"Plan `{header.digest[:SHORT_DIGEST]}`"
    verdicts = {v.guard: _guard_cell(v.message, v.passed) for v in header.guards}
    blocks = [
        f"**{title}** for {header.organisation} in {header.destination}: {summary(header)}.",
        f"About {header.estimated_calls:,} calls, {duration(header.estimated_seconds)}.",
        _table("Guard", "Verdict", verdicts),
    ]
    if header.field_counts:
        blocks.append(_table("Field", "Objects changed", header.field_counts))
    if header.reason_counts:
        blocks.append(_table("Reason", "Changes", header.reason_counts))
    return "\n\n".join(blocks)


def _guard_cell(message: str, passed: bool) -> str:
    return f"{'passed' if passed else '**stopped**'}: {message}"


def _table(left: str, right: str, rows: Mapping[str, int | str]) -> str:
    lines = [f"| {left} | {right} |", "| --- | --- |"]
    lines += [
        f"| {name} | {value:,} |" if isinstance(value, int) else f"| {name} | {value} |"
        for name, value in rows.items()
    ]
    return "\n".join(lines)
