"""Reads the newest desired objects of some keys: a keyed look into the lake."""

from collections.abc import Collection, Iterator
from typing import Any

from crm_pipeline.sync.plan.rows import Desired, decode_fields
from crm_pipeline.sync.workspace import Workspace

_COLUMNS = ("key", "fields", "fingerprint", "version_at", "batch")
_KEYS_A_SCAN = 1_000


def newest_desired(
    ws: Workspace, organisation: str, table: str, keys: Collection[str]
) -> dict[str, Desired]:
    """Return the newest desired version of some objects; what is not desired is left out."""
    if not keys or not ws.lake.exists(organisation, table):
        return {}
    return dict(_newest(ws, organisation, table, sorted(keys)))


def _newest(
    ws: Workspace, organisation: str, table: str, keys: list[str]
) -> Iterator[tuple[str, Desired]]:
    for start in range(0, len(keys), _KEYS_A_SCAN):
        some = keys[start : start + _KEYS_A_SCAN]
        newest: dict[str, dict[str, Any]] = {}
        where = f"key IN ({', '.join('?' * len(some))})"
        reader = ws.lake.scan(organisation, table, columns=_COLUMNS, where=where, parameters=some)
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
