"""What an analyst may want to know of a materialisation. Counts, times, digests: never people.

Pure: reports in, metadata out. Numbers are plotted over time by the UI, so each has a name of its
own. ``dagster/...`` names are those that the UI itself understands.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from crm_pipeline.core.records import CHANGE_KINDS, OUTCOME_KINDS, PlanHeader
from crm_pipeline.sync.apply import ApplyReport
from crm_pipeline.sync.land import PullReport
from crm_pipeline.sync.resolve import ResolveReport
from crm_pipeline.sync.verify import DriftReport
from crm_pipeline.sync.workspace import Workspace

Metadata = Mapping[str, Any]

#: Reasons shown of each table, the most frequent first.
REASONS_SHOWN = 10


def table_metadata(ws: Workspace, organisation: str, table: str) -> Metadata:
    """Return size and place of one organisation's dataset in the lake."""
    if not ws.lake.exists(organisation, table):
        return {"dagster/partition_row_count": 0, "size_bytes": 0}
    return {
        "dagster/partition_row_count": ws.lake.row_count(organisation, table),
        "size_bytes": ws.lake.size_bytes(organisation, table),
        "dagster/table_name": f"{organisation}/{table}",
    }


def landed_metadata(ws: Workspace, organisation: str, table: str, report: PullReport) -> Metadata:
    """Return what a pull read and landed, how far it got, and why rows were set aside."""
    return {
        **table_metadata(ws, organisation, table),
        "rows_read": report.rows_read,
        "rows_landed": report.rows_landed,
        "rows_late": report.rows_late,
        "rejects": report.rejects,
        "pages": report.pages,
        "passes": report.passes,
        "times_unreadable": report.times_unreadable,
        "times_in_future": report.times_in_future,
        "is_sweep": report.is_sweep,
        "is_first": report.is_first,
        "watermark": moment(report.watermark_at),
        "duration_seconds": round(report.seconds, 3),
        **count_table("reject_reasons", "reason", ws.ledger.rejects.counts(organisation)),
    }


def not_used(note: str) -> Metadata:
    """Return what is told of an asset that an organisation has not opted in to."""
    return {"note": note, "dagster/partition_row_count": 0}


def desired_metadata(
    ws: Workspace, organisation: str, name: str, report: ResolveReport
) -> Metadata:
    """Return how many objects were written, what was set aside, and the issues found."""
    return {
        **table_metadata(ws, organisation, f"desired/{name}"),
        "changed": report.rows,
        "rejects": report.rejects,
        "consents_recorded": report.consents,
        "is_full": report.is_full,
        **count_table("issues", "issue", report.issues),
        "duration_seconds": round(report.seconds, 3),
    }


def plan_metadata(headers: Sequence[PlanHeader]) -> Metadata:
    """Return the size of the plans of all kinds, their guards and what they will cost.

    Sums first; then a line for each kind of object; fields and reasons of all together.
    """
    kinds = (*CHANGE_KINDS, "unchanged")
    return {
        "changes": sum(header.size for header in headers),
        **{kind: sum(header.counts.get(kind, 0) for header in headers) for kind in kinds},
        "consent_widened": sum(header.consent_widened for header in headers),
        "is_full": all(header.is_full for header in headers),
        "stopped_by_guard": any(header.is_guarded for header in headers),
        "plans": plan_table(headers),
        "guards": guard_table(headers),
        **count_table("fields", "field", _summed(header.field_counts for header in headers)),
        **count_table("reasons", "reason", _summed(header.reason_counts for header in headers)),
        "estimated_calls": sum(header.estimated_calls for header in headers),
        "estimated_seconds": round(sum(header.estimated_seconds for header in headers), 1),
        "mapping_version": headers[0].mapping_version if headers else "",
    }


def plan_table(headers: Sequence[PlanHeader]) -> dg.TableMetadataValue:
    """Return one row for each kind of object: its plan's digest and counts."""
    kinds = (*CHANGE_KINDS, "unchanged")
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord(
                {
                    "objects": header.object_kind,
                    **{kind: header.counts.get(kind, 0) for kind in kinds},
                    "digest": header.digest,
                }
            )
            for header in headers
        ],
        schema=dg.TableSchema(
            [
                dg.TableColumn("objects"),
                *(dg.TableColumn(kind, "int") for kind in kinds),
                dg.TableColumn("digest"),
            ]
        ),
    )


def applied_metadata(reports: Mapping[str, ApplyReport]) -> Metadata:
    """Return how plans ended, by kind of object: outcomes, calls, reject reasons."""
    all_reports = reports.values()
    return {
        "changes": sum(sum(report.counts.values()) for report in all_reports),
        **{
            kind: sum(report.counts.get(kind, 0) for report in all_reports)
            for kind in OUTCOME_KINDS
        },
        "outcomes": outcome_table(reports),
        "calls": sum(report.calls for report in all_reports),
        "duration_seconds": round(sum(report.seconds for report in all_reports), 3),
        **count_table(
            "reject_reasons", "reason", _summed(report.reject_reasons for report in all_reports)
        ),
    }


def outcome_table(reports: Mapping[str, ApplyReport]) -> dg.TableMetadataValue:
    """Return one row for each kind of object: its plan's digest and outcomes."""
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord(
                {
                    "objects": kind,
                    **{outcome: report.counts.get(outcome, 0) for outcome in OUTCOME_KINDS},
                    "digest": report.digest,
                }
            )
            for kind, report in reports.items()
        ],
        schema=dg.TableSchema(
            [
                dg.TableColumn("objects"),
                *(dg.TableColumn(outcome, "int") for outcome in OUTCOME_KINDS),
                dg.TableColumn("digest"),
            ]
        ),
    )


def _summed(counts: Iterable[Mapping[str, int]]) -> Mapping[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return total


def drift_metadata(ws: Workspace, organisation: str, name: str, report: DriftReport) -> Metadata:
    """Return what a read-back found, in objects."""
    return {
        **table_metadata(ws, organisation, f"drift/{name}"),
        "checked": report.checked,
        "changed": report.changed,
        "missing": report.missing,
        "foreign": report.foreign,
        "opted_out": report.opted_out,
        "moving": report.moving,
        "is_clean": report.is_clean,
        **count_table("fields", "field", report.fields),
        "duration_seconds": round(report.seconds, 3),
    }


def moment(time: dt.datetime | None) -> dg.TimestampMetadataValue | None:
    """Return a time as the UI shows it, or nothing."""
    return None if time is None else dg.MetadataValue.timestamp(time)


def guard_table(headers: Sequence[PlanHeader]) -> dg.TableMetadataValue:
    """Return one row for each guard of each kind of object, with its figure and limit."""
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord(
                {
                    "objects": header.object_kind,
                    "guard": verdict.guard,
                    "passed": verdict.passed,
                    "message": verdict.message,
                }
            )
            for header in headers
            for verdict in header.guards
        ],
        schema=dg.TableSchema(
            [
                dg.TableColumn("objects"),
                dg.TableColumn("guard"),
                dg.TableColumn("passed", "bool"),
                dg.TableColumn("message"),
            ]
        ),
    )


def count_table(name: str, column: str, counts: Mapping[str, int]) -> Metadata:
    """Return a table of counts, the largest first, at most ``REASONS_SHOWN``; none when empty."""
    if not counts:
        return {}
    top = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:REASONS_SHOWN]
    table = dg.MetadataValue.table(
        records=[dg.TableRecord({column: each, "rows": count}) for each, count in top],
        schema=dg.TableSchema([dg.TableColumn(column), dg.TableColumn("rows", "int")]),
    )
    return {name: table}
