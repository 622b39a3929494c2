"""How a sync is shown: what each stage did, what went wrong, and the exit code of it."""

import dataclasses
import traceback
from typing import TYPE_CHECKING, Any

from crm_pipeline.cli.apply import exit_code_of as exit_code_of_apply
from crm_pipeline.cli.apply import report_json, show_outcomes
from crm_pipeline.cli.exits import worst
from crm_pipeline.cli.failures import error_json
from crm_pipeline.cli.plan_view import plan_document
from crm_pipeline.core.render import SHORT_DIGEST, summary
from crm_pipeline.errors import EXIT_BUG, EXIT_DATA, EXIT_OK

if TYPE_CHECKING:
    from crm_pipeline.cli.screen import Screen
    from crm_pipeline.store.ledger import StoredReject
    from crm_pipeline.sync.run import SyncReport

_WORDS = {0: "done", 65: "data set aside", 70: "BUG", 75: "try later", 78: "configuration"}


def exit_code_of(report: "SyncReport") -> int:
    """Return the exit code of one organisation's sync: its worst stage."""
    return worst(
        (
            *(error.exit_code for error in report.errors),
            *(exit_code_of_apply(each) for each in report.applied.values()),
            exit_code_of_pulls(report),
        )
    )


def exit_code_of_pulls(report: "SyncReport") -> int:
    """Return 65 when records were set aside while landing or resolving, 0 otherwise."""
    return EXIT_DATA if _set_aside_before_plan(report) else EXIT_OK


def sync_json(report: "SyncReport") -> dict[str, Any]:
    """Return one organisation's sync, for ``--json``."""
    return {
        "pulls": pulls_json(report),
        "drained": drained_json(report),
        "resolved": resolved_json(report),
        "plans": {name: plan_document(each) for name, each in report.plans.items()},
        "applied": {name: report_json(each) for name, each in report.applied.items()},
        "errors": [error_json(error) for error in report.errors],
        "exit_code": exit_code_of(report),
    }


def pulls_json(report: "SyncReport") -> dict[str, Any]:
    """Return what each dataset's pull did, for ``--json``."""
    return {name: dataclasses.asdict(each) for name, each in report.pulls.items()}


def drained_json(report: "SyncReport") -> dict[str, Any] | None:
    """Return what came out of the inbox, for ``--json``."""
    if report.drained is None:
        return None
    names = ("landed", "settled", "postponed", "failed", "reads", "is_complete")
    return {name: getattr(report.drained, name) for name in names}


def resolved_json(report: "SyncReport") -> dict[str, Any]:
    """Return what resolving did, by the name of the objects, for ``--json``."""
    return {name: dataclasses.asdict(each) for name, each in report.resolved.items()}


def reject_json(stored: "StoredReject", *, with_values: bool) -> dict[str, object]:
    """Return one reject; the record itself only when asked for."""
    reject = stored.reject
    document: dict[str, object] = {
        "party": stored.party,
        "stage": reject.stage,
        "dataset": reject.dataset,
        "key": reject.key,
        "reason": reject.reason,
        "detail": reject.detail,
        "rejected_at": stored.rejected_at.isoformat(),
        "times": stored.times,
    }
    return {**document, "payload": reject.payload} if with_values else document


def show_pulls(screen: "Screen", report: "SyncReport") -> None:
    """Write one line for each dataset that was pulled, and one for what was resolved."""
    for name, each in report.pulls.items():
        scan = "whole scan" if each.is_sweep else "newest pages"
        screen.line(f"{report.organisation}: {name}: {each.rows_landed:,} rows landed ({scan}).")
    if report.drained is not None and report.drained.settled:
        settled, rows = report.drained.settled, report.drained.landed
        screen.line(f"{report.organisation}: {settled:,} webhooks drained, {rows:,} rows landed.")
    for name, resolved in report.resolved.items():
        if resolved.rows or name == "contacts":
            screen.line(f"{report.organisation}: {resolved.rows:,} {name} worked out.")


def show_sync(screen: "Screen", report: "SyncReport", is_debug: bool) -> None:
    """Write what one organisation's sync did, then each failure on standard error."""
    show_pulls(screen, report)
    for name, header in report.plans.items():
        if not header.size and header.object_kind != "contact":
            continue
        digest = header.digest[:SHORT_DIGEST]
        screen.line(f"{report.organisation}: {name}: plan {digest}: {summary(header)}.")
    for name, applied in report.applied.items():
        if any(applied.counts.values()):
            show_outcomes(screen, report.organisation, name, applied)
    for error in report.errors:
        screen.note(f"Error: {report.organisation}: {error.happened}")
        for label, text in (("Not done", error.not_done), ("Next", error.remedy)):
            if text:
                screen.note(f"{label}: {text}")
        if is_debug and error.exit_code == EXIT_BUG and error.__cause__ is not None:
            traceback.print_exception(error.__cause__)


def summary_row(report: "SyncReport", seconds: float) -> list[object]:
    """Return one organisation's line of the table at the end."""
    code = exit_code_of(report)
    word = _WORDS.get(code, str(code))
    if report.error is not None:
        word = f"{word} ({report.error.code})"
    rejected = sum(each.counts.get("rejected", 0) for each in report.applied.values())
    return [
        report.organisation,
        word,
        sum(each.rows_landed for each in report.pulls.values()),
        report.changes,
        _applied(report),
        rejected + _set_aside_before_plan(report),
        f"{seconds:.1f}",
    ]


def _applied(report: "SyncReport") -> int | None:
    """Return how many changes were applied; None when an apply ended before it could count."""
    if any(header.size and name not in report.applied for name, header in report.plans.items()):
        return None
    return sum(each.counts.get("applied", 0) for each in report.applied.values())


def _set_aside_before_plan(report: "SyncReport") -> int:
    resolved = sum(each.rejects for each in report.resolved.values())
    drained = report.drained.failed if report.drained is not None else 0
    return resolved + drained + sum(each.rejects for each in report.pulls.values())
