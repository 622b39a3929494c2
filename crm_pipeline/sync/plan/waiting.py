"""Objects that were set aside because what they belong to was not in the CRM, and by now it is.

Such an object may have been resolved long ago, so no new row brings it back into an incremental
plan. What still waits costs one query of the ledger; the lake is asked only about what is free.
"""

from typing import Any

import msgspec

from crm_pipeline.core.ports import ObjectKind
from crm_pipeline.sync.plan.desired import newest_desired
from crm_pipeline.sync.plan.rows import Desired
from crm_pipeline.sync.workspace import Workspace

#: Looked at in one plan, newest first; a full plan looks at everything that is desired.
MOST_WAITING = 10_000


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
    return newest_desired(ws, organisation, kind.table, wanted)


def _references(kind: ObjectKind, payload: str) -> dict[str, str]:
    fields: dict[str, Any] = msgspec.json.decode(payload)
    return {name: str(fields[name]) for name in kind.references if fields.get(name)}
