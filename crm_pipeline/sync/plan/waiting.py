"""Objects that were set aside because what they belong to was not in the CRM, and by now it is.

Such an object may have been resolved long ago, so no new row brings it back into an incremental
plan. What still waits costs one query of the ledger; the lake is asked only about what is free.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from crm_pipeline.core.ports import ObjectKind
from crm_pipeline.sync.plan.rows import Desired, decode_fields
from crm_pipeline.sync.workspace import Workspace

#: Looked at in one plan, newest first; a full plan looks at everything that is desired.
MOST_WAITING = 10_000
_KEYS_A_SCAN = 1_000


def lacking_reason(object_kind: str) -> str:
    """Return why an object is set aside while an object of that kind is not in the CRM.

    >>> lacking_reason("contact")
    'contact_not_in_crm'
    """
    return f"{object_kind}_not_in_crm"


def freed(
    ws: Workspace, organisation: str, destination: str, kind: ObjectKind
) -> dict[str, Desired]:
    """Return, by key, what waited for other objects that the CRM has acknowledged since."""
    if not kind.references:
        return {}
    reasons = [lacking_reason(other) for other in set(kind.references.values())]
    waiting = ws.ledger.rejects.payloads(
        organisation, destination, "apply", kind.name, reasons, MOST_WAITING
    )
    wanted = {key: _references(kind, payload) for key, payload in waiting.items()}
    for field, other in kind.references.items():
        others = sorted({each[field] for each in wanted.values() if field in each})
        there = ws.ledger.applied.get_many(organisation, destination, other, others)
        wanted = {
            key: each for key, each in wanted.items() if field not in each or each[field] in there
        }
    return dict(_newest(ws, organisation, kind.table, sorted(wanted)))


def _references(kind: ObjectKind, payload: str) -> dict[str, str]:
    fields: dict[str, Any] = msgspec.json.decode(payload)
    return {name: str(fields[name]) for name in kind.references if fields.get(name)}


def _newest(
    ws: Workspace, organisation: str, table: str, keys: list[str]
) -> Iterator[tuple[str, Desired]]:
    """Return the newest desired version of some keys; one that is desired no more is left out."""
    for start in range(0, len(keys), _KEYS_A_SCAN):
        some = keys[start : start + _KEYS_A_SCAN]
        newest: dict[str, dict[str, Any]] = {}
        marks = ", ".join("?" * len(some))
        columns = ("key", "fields", "fingerprint", "version_at", "batch")
        where = f"key IN ({marks})"
        reader = ws.lake.scan(organisation, table, columns=columns, where=where, parameters=some)
        for batch in reader:
            for row in batch.to_pylist():
                known = newest.get(row["key"])
                if known is None or known["batch"] <= row["batch"]:
                    newest[row["key"]] = row
        for key, row in newest.items():
            yield (
                key,
                Desired(
                    key=key,
                    fields=decode_fields(row["fields"]),
                    fingerprint=row["fingerprint"],
                    version_at=row["version_at"],
                ),
            )
