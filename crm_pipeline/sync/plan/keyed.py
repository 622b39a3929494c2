"""The incremental draft: only what was resolved since the last applied plan, or was freed.

Never reads the lake as a whole: desired rows of the new batches, keyed reads from the ledger for
what the CRM acknowledged and for who else carries the same e-mail or phone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from crm_pipeline.core.media import MEDIUM_FIELD_NAMES, media_digests, withheld_fields
from crm_pipeline.core.policies import PlanPolicy
from crm_pipeline.core.ports import ObjectKind
from crm_pipeline.core.records import AppliedObject, Fields
from crm_pipeline.sync.erase.checking import erased_of
from crm_pipeline.sync.plan.draft import Draft, Identity, Tally
from crm_pipeline.sync.plan.kept import KeptValues
from crm_pipeline.sync.plan.rows import (
    Desired,
    DraftRow,
    create_row,
    decode_fields,
    to_batch,
    update_row,
)
from crm_pipeline.sync.workspace import Workspace

DESIRED_COLUMNS = ("key", "fields", "fingerprint", "version_at", "batch")


def keyed_draft(
    ws: Workspace,
    organisation: str,
    destination: str,
    kind: ObjectKind,
    policy: PlanPolicy,
    since_batch: int,
    freed: Mapping[str, Desired],
) -> Draft:
    """Return the draft for the desired objects of the batches after ``since_batch``.

    ``freed`` holds older ones that waited for another object.
    """
    object_kind = kind.name
    fresh, newest_batch = _newest(ws, organisation, kind.table, since_batch)
    desired = {**freed, **fresh}
    applied = ws.ledger.applied.get_many(organisation, destination, object_kind, list(desired))
    moved = {
        key: wanted
        for key, wanted in desired.items()
        if key not in applied
        or (not kind.is_immutable and applied[key].fingerprint != wanted.fingerprint)
    }
    rows = rows_of(ws, organisation, destination, object_kind, policy, moved, applied)
    unchanged = len(desired) - sum(1 for row in rows if row.values["key"] in desired)
    return draft_of_rows(rows, unchanged=unchanged, desired_batch=newest_batch)


def draft_of_rows(rows: Sequence[DraftRow], *, unchanged: int, desired_batch: int) -> Draft:
    """Return the draft that consists of some changes, worked out by keys."""
    tally = Tally()
    tally.add(rows)
    return Draft(
        counts={**tally.kinds, "unchanged": unchanged},
        field_counts=dict(tally.fields.most_common()),
        reason_counts=dict(tally.reasons.most_common()),
        consent_widened=tally.widened,
        desired=None,
        desired_batch=desired_batch,
        identities=lambda: _identities(rows),
        batches=lambda: _batches(rows),
    )


def rows_of(
    ws: Workspace,
    organisation: str,
    destination: str,
    object_kind: str,
    policy: PlanPolicy,
    moved: Mapping[str, Desired],
    applied: Mapping[str, AppliedObject],
) -> list[DraftRow]:
    """Return what brings some objects to what is desired, and moves shared media along.

    Nothing of erased people, whose erasure may still be under way.
    """
    erased = erased_of(ws, organisation)
    moved = {key: wanted for key, wanted in moved.items() if not erased.has_object(key)}
    others = {
        key: other
        for key, other in _others(
            ws, organisation, destination, object_kind, moved, applied
        ).items()
        if not erased.has_object(key)
    }
    return _rows(ws, organisation, destination, object_kind, policy, moved, applied, others)


def _newest(
    ws: Workspace, organisation: str, table: str, since_batch: int
) -> tuple[dict[str, Desired], int]:
    reader = ws.lake.scan(organisation, table, columns=DESIRED_COLUMNS, since_batch=since_batch)
    newest: dict[str, tuple[int, Desired]] = {}
    for batch in reader:
        for row in batch.to_pylist():
            wanted = Desired(
                key=row["key"],
                fields=decode_fields(row["fields"]),
                fingerprint=row["fingerprint"],
                version_at=row["version_at"],
            )
            known = newest.get(wanted.key)
            if known is None or known[0] <= row["batch"]:
                newest[wanted.key] = (row["batch"], wanted)
    newest_batch = max((batch for batch, _ in newest.values()), default=since_batch)
    return {key: wanted for key, (_, wanted) in newest.items()}, newest_batch


def _others(
    ws: Workspace,
    organisation: str,
    destination: str,
    object_kind: str,
    moved: Mapping[str, Desired],
    applied: Mapping[str, AppliedObject],
) -> dict[str, AppliedObject]:
    """Contacts outside the draft that carry a medium which a moved contact takes or gives up."""
    digests = {
        digest for wanted in moved.values() for digest in media_digests(wanted.fields).values()
    }
    for key in moved.keys() & applied.keys():
        digests.update(media_digests(applied[key].fields).values())
    members = ws.ledger.applied.by_media(organisation, destination, object_kind, digests)
    keys = {member.key for member in members} - moved.keys()
    return dict(ws.ledger.applied.get_many(organisation, destination, object_kind, sorted(keys)))


def _rows(
    ws: Workspace,
    organisation: str,
    destination: str,
    object_kind: str,
    policy: PlanPolicy,
    moved: Mapping[str, Desired],
    applied: Mapping[str, AppliedObject],
    others: Mapping[str, AppliedObject],
) -> list[DraftRow]:
    contacts: dict[str, Fields] = {key: other.fields for key, other in others.items()}
    contacts |= {key: wanted.fields for key, wanted in moved.items()}
    withheld = withheld_fields(contacts)
    kept = KeptValues(ws, organisation, destination, policy)
    rows = []
    for key, wanted in sorted(moved.items()):
        placed = _placed(wanted, withheld.get(key, ()))
        if key in applied:
            values = kept.of(key)
            rows.append(
                update_row(object_kind, placed, applied[key], values, policy.field_policies)
            )
        else:
            rows.append(create_row(object_kind, placed))
    for key, other in sorted(others.items()):
        if _is_owner_moved(other, withheld.get(key, ())):
            placed = _placed(_as_desired(other), withheld.get(key, ()))
            rows.append(update_row(object_kind, placed, other, kept.of(key), policy.field_policies))
    return rows


def _is_owner_moved(other: AppliedObject, withheld: Sequence[str]) -> bool:
    return set(withheld) != set(other.withheld) & MEDIUM_FIELD_NAMES


def _as_desired(other: AppliedObject) -> Desired:
    return Desired(
        key=other.key,
        fields=other.fields,
        fingerprint=other.fingerprint,
        version_at=other.version_at,
    )


def _placed(wanted: Desired, withheld: Sequence[str]) -> Desired:
    return replace(wanted, withheld=tuple(withheld))


def _identities(rows: Sequence[DraftRow]) -> Iterator[Identity]:
    for row in sorted(rows, key=lambda row: (str(row.values["kind"]), str(row.values["key"]))):
        yield Identity.of(row.values)


def _batches(rows: Sequence[DraftRow]) -> Iterator[pa.RecordBatch]:
    if rows:
        yield to_batch(sorted(rows, key=_send_order))


def _send_order(row: DraftRow) -> tuple[object, ...]:
    return (row.values["lane"], row.values["kind"] == "create", row.values["key"])
