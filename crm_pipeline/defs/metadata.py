"""What an analyst may want to know of a materialisation. Counts, times, digests: never people.

Pure: reports in, metadata out. Numbers are plotted over time by the UI, so each has a name of its
own. ``dagster/...`` names are those that the UI itself understands.
"""

import datetime as dt
from collections.abc import Mapping
from typing import Any

import dagster as dg

from crm_pipeline.core.records import CHANGE_KINDS, OUTCOME_KINDS, PlanHeader
from crm_pipeline.defs.shape import CONTACTS_TABLE
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


def desired_metadata(ws: Workspace, organisation: str, report: ResolveReport) -> Metadata:
    """Return how many contacts were written, what was set aside, and the issues found."""
    return {
        **table_metadata(ws, organisation, CONTACTS_TABLE),
        "changed": report.rows,
        "rejects": report.rejects,
        "consents_recorded": report.consents,
        "is_full": report.is_full,
        **count_table("issues", "issue", report.issues),
        "duration_seconds": round(report.seconds, 3),
    }


def plan_metadata(header: PlanHeader) -> Metadata:
    """Return a plan's size by kind, field and reason, its guards and what it will cost."""
    return {
        "plan_digest": header.digest,
        "changes": header.size,
        **{kind: header.counts.get(kind, 0) for kind in (*CHANGE_KINDS, "unchanged")},
        "consent_widened": header.consent_widened,
        "is_full": header.is_full,
        "is_guarded": header.is_guarded,
        "guards": guard_table(header),
        **count_table("fields", "field", header.field_counts),
        **count_table("reasons", "reason", header.reason_counts),
        "estimated_calls": header.estimated_calls,
        "estimated_seconds": round(header.estimated_seconds, 1),
        "mapping_version": header.mapping_version,
    }


def applied_metadata(report: ApplyReport) -> Metadata:
    """Return how a plan ended: one number for each outcome, calls, reject reasons."""
    return {
        "plan_digest": report.digest,
        "changes": sum(report.counts.values()),
        **{kind: report.counts.get(kind, 0) for kind in OUTCOME_KINDS},
        "calls": report.calls,
        "duration_seconds": round(report.seconds, 3),
        **count_table("reject_reasons", "reason", report.reject_reasons),
    }


def drift_metadata(ws: Workspace, organisation: str, name: str, report: DriftReport) -> Metadata:
    """Return what a read-back found, in objects."""
    return {
        **table_metadata(ws, organisation, f"drift/{name}"),
        "checked": report.checked,
        "changed": report.changed,
        "missing": report.missing,
        "foreign": report.foreign,
        "opted_out": report.opted_out,
        "is_clean": report.is_clean,
        **count_table("fields", "field", report.fields),
        "duration_seconds": round(report.seconds, 3),
    }


def moment(time: dt.datetime | None) -> dg.TimestampMetadataValue | None:
    """Return a time as the UI shows it, or nothing."""
    return None if time is None else dg.MetadataValue.timestamp(time)


def guard_table(header: PlanHeader) -> dg.TableMetadataValue:
    """Return one row for each guard with its figure and limit."""
    return dg.MetadataValue.table(
        records=[
            dg.TableRecord(
                {"guard": verdict.guard, "passed": verdict.passed, "message": verdict.message}
            )
            for verdict in header.guards
        ],
        schema=dg.TableSchema(
            [
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
