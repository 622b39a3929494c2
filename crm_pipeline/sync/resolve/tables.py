"""The tables of desired objects: one shape for every kind, so that one planner reads them all."""

import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from crm_pipeline.core.fingerprint import canonical_json, fingerprint_of_json
from crm_pipeline.core.records import Fields
from crm_pipeline.core.times import TIME_TYPE

DESIRED_SCHEMA = pa.schema(
    [
        ("key", pa.string()),
        ("source_id", pa.string()),
        ("version_at", TIME_TYPE),
        ("fingerprint", pa.string()),
        ("fields", pa.string()),
        ("issues", pa.list_(pa.string())),
        ("email", pa.string()),
        ("phone", pa.string()),
        ("email_opt_out", pa.bool_()),
        ("sms_opt_out", pa.bool_()),
        ("mapping_version", pa.string()),
        ("batch", pa.int64()),
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveReport:
    """What one pass did.

    ``rows`` are objects written, ``rejects`` records that the rules refuse, ``issues`` counts
    objects by code and records that make none by reason, ``consents`` answers that were new.
    """

    is_full: bool
    rows: int
    rejects: int
    consents: int
    issues: Mapping[str, int]
    batch: int
    size_bytes: int
    seconds: float


def merged(reports: Sequence[ResolveReport]) -> ResolveReport:
    """Return several stages of one table as one report."""
    issues: Counter[str] = Counter()
    for report in reports:
        issues.update(report.issues)
    return ResolveReport(
        is_full=any(report.is_full for report in reports),
        rows=sum(report.rows for report in reports),
        rejects=sum(report.rejects for report in reports),
        consents=sum(report.consents for report in reports),
        issues=dict(issues.most_common()),
        batch=max((report.batch for report in reports), default=0),
        size_bytes=max((report.size_bytes for report in reports), default=0),
        seconds=sum(report.seconds for report in reports),
    )


def desired_row(
    key: str,
    source_id: str,
    version_at: dt.datetime | None,
    fields: Fields,
    issues: Sequence[str] = (),
) -> dict[str, Any]:
    """Return one desired object as a row without its media, mapping version and batch."""
    text = canonical_json(fields)
    return {
        "key": key,
        "source_id": source_id,
        "version_at": version_at,
        "fingerprint": fingerprint_of_json(text),
        "fields": text,
        "issues": list(issues),
    }


def to_desired(rows: Sequence[dict[str, Any]], version: str, batch: int) -> pa.RecordBatch:
    """Return rows as one batch of a desired table, made by ``version`` of the rules."""
    stamped = [{**row, "mapping_version": version, "batch": batch} for row in rows]
    return pa.RecordBatch.from_pylist(stamped, schema=DESIRED_SCHEMA)
