"""The rows of a plan: their columns, and how a change becomes one and comes back."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import pyarrow as pa

from crm_pipeline.core.diff import archived, compare
from crm_pipeline.core.fingerprint import canonical_json, fingerprint
from crm_pipeline.core.policies import FieldPolicy
from crm_pipeline.core.ports import visible_fields
from crm_pipeline.core.records import AppliedObject, Change, Fields, FieldValue

TIME = pa.timestamp("us", tz="UTC")

#: A plan's rows before they have a place in the order.
DRAFT_SCHEMA = pa.schema(
    [
        ("lane", pa.int8()),
        ("kind", pa.string()),
        ("object_kind", pa.string()),
        ("key", pa.string()),
        ("crm_id", pa.string()),
        ("before", pa.string()),
        ("after", pa.string()),
        ("changed", pa.list_(pa.string())),
        ("withheld", pa.list_(pa.string())),
        ("reason", pa.string()),
        ("fingerprint", pa.string()),
        ("before_fingerprint", pa.string()),
        ("version_at", TIME),
    ]
)

#: A plan's rows as stored: ``plan/<destination>`` in the lake.
PLAN_SCHEMA = pa.schema([("plan_digest", pa.string()), ("seq", pa.int64()), *DRAFT_SCHEMA])

_fields_decoder = msgspec.json.Decoder(dict[str, FieldValue])


@dataclass(frozen=True, slots=True, kw_only=True)
class Desired:
    """One desired object as the planner reads it. ``withheld``: fields another contact owns."""

    key: str
    fields: Fields
    fingerprint: str
    version_at: dt.datetime | None
    withheld: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DraftRow:
    """One planned change before it has a place in the order."""

    values: Mapping[str, object]
    changed: tuple[str, ...]
    reason: str
    is_widening: bool


def decode_fields(text: str) -> Fields:
    """Return the fields of a stored object."""
    return _fields_decoder.decode(text)


def create_row(object_kind: str, desired: Desired) -> DraftRow:
    """Return the change that creates an object that the CRM does not have."""
    after = visible_fields(desired.fields, desired.withheld)
    return _row("create", object_kind, desired, applied=None, changed=tuple(sorted(after)))


def update_row(
    object_kind: str,
    desired: Desired,
    applied: AppliedObject,
    kept: Mapping[str, FieldValue],
    policies: Mapping[str, FieldPolicy],
) -> DraftRow:
    """Return the change that brings an acknowledged object to what is desired.

    ``kept`` holds the values that a person gave fields in the CRM, by name; ``policies`` say
    whether we may write over them. A protected field stays as it was acknowledged.
    """
    protected = protected_fields(desired.fields, kept, policies)
    untouched = {name: applied.fields[name] for name in protected if name in applied.fields}
    fields = {name: value for name, value in desired.fields.items() if name not in protected}
    effective = replace(desired, fields={**fields, **untouched})
    return _compared("update", object_kind, effective, applied)


def archive_row(object_kind: str, applied: AppliedObject) -> DraftRow:
    """Return the change that archives a person whom the source no longer has."""
    after = archived(applied.fields)
    gone = Desired(
        key=applied.key,
        fields=after,
        fingerprint=fingerprint(after),
        version_at=applied.version_at,
        withheld=applied.withheld,
    )
    return _compared("archive", object_kind, gone, applied)


def protected_fields(
    fields: Fields, kept: Mapping[str, FieldValue], policies: Mapping[str, FieldPolicy]
) -> tuple[str, ...]:
    """Return the fields that an update must leave as a person, or the policy, wants them."""
    return tuple(
        name
        for name, policy in policies.items()
        if name in fields and _is_protected(policy, name in kept, kept.get(name))
    )


def _is_protected(policy: FieldPolicy, is_kept: bool, found: FieldValue) -> bool:
    if policy == "never":
        return True
    if policy == "if-ours":
        return is_kept
    return policy == "if-empty" and is_kept and found not in (None, "")


def _compared(kind: str, object_kind: str, desired: Desired, applied: AppliedObject) -> DraftRow:
    difference = compare(applied, desired.fields, desired.withheld)
    reason = "source_missing" if kind == "archive" else difference.reason
    return _row(
        kind,
        object_kind,
        desired,
        applied=applied,
        changed=difference.changed,
        lane=difference.lane,
        reason=reason,
        is_widening=difference.is_widening,
    )


def _row(
    kind: str,
    object_kind: str,
    desired: Desired,
    *,
    applied: AppliedObject | None,
    changed: tuple[str, ...],
    lane: int = 1,
    reason: str = "new",
    is_widening: bool = False,
) -> DraftRow:
    before = visible_fields(applied.fields, applied.withheld) if applied else None
    values = {
        "lane": lane,
        "kind": kind,
        "object_kind": object_kind,
        "key": desired.key,
        "crm_id": applied.crm_id if applied else None,
        "before": None if before is None else canonical_json(before),
        "after": canonical_json(desired.fields),
        "changed": list(changed),
        "withheld": list(desired.withheld),
        "reason": reason,
        "fingerprint": desired.fingerprint,
        "before_fingerprint": applied.fingerprint if applied else None,
        "version_at": desired.version_at,
    }
    return DraftRow(values=values, changed=changed, reason=reason, is_widening=is_widening)


def to_batch(rows: Sequence[DraftRow]) -> pa.RecordBatch:
    """Return rows as one Arrow batch of ``DRAFT_SCHEMA``."""
    return pa.RecordBatch.from_pylist([dict(row.values) for row in rows], schema=DRAFT_SCHEMA)


def to_changes(batch: pa.RecordBatch) -> Iterator[Change]:
    """Give a stored batch back as changes."""
    for row in batch.to_pylist():
        yield to_change(row)


def to_change(row: Mapping[str, Any]) -> Change:
    """Return one stored row as a change. A create stores no list of changed fields: all are."""
    after = decode_fields(row["after"])
    withheld = tuple(row["withheld"] or ())
    changed = row["changed"] or ()
    if row["kind"] == "create":
        changed = sorted(visible_fields(after, withheld))
    return Change(
        seq=row["seq"],
        lane=row["lane"],
        kind=row["kind"],
        object_kind=row["object_kind"],
        key=row["key"],
        crm_id=row["crm_id"],
        before=None if row["before"] is None else decode_fields(row["before"]),
        after=after,
        changed=tuple(changed),
        withheld=withheld,
        reason=row["reason"],
        fingerprint=row["fingerprint"],
        version_at=row["version_at"],
    )
