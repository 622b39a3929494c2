"""What people typed over our values in the CRM, as the last verification found it."""

from collections.abc import Mapping

import msgspec

from crm_pipeline.core.policies import PlanPolicy
from crm_pipeline.core.records import FieldValue
from crm_pipeline.sync.workspace import Workspace

_NOTHING: Mapping[str, FieldValue] = {}


class KeptValues:
    """Looks up, by key, the fields that a person changed in the CRM and the values found there.

    The drift table is read on the first question, and only when a policy asks for it.
    """

    def __init__(
        self, ws: Workspace, organisation: str, destination: str, policy: PlanPolicy
    ) -> None:
        self._ws = ws
        self._organisation = organisation
        self._table = f"drift/{destination}"
        self._is_needed = bool({"if-ours", "if-empty"} & set(policy.field_policies.values()))
        self._found: dict[str, dict[str, FieldValue]] | None = None

    def of(self, key: str) -> Mapping[str, FieldValue]:
        """Return the kept fields of one object with the values that the CRM holds."""
        if not self._is_needed:
            return _NOTHING
        if self._found is None:
            self._found = self._read()
        return self._found.get(key, _NOTHING)

    def _read(self) -> dict[str, dict[str, FieldValue]]:
        found: dict[str, dict[str, FieldValue]] = {}
        if not self._ws.lake.exists(self._organisation, self._table):
            return found
        reader = self._ws.lake.scan(
            self._organisation,
            self._table,
            columns=("key", "field", "found"),
            where="kind = 'changed' AND object_kind = 'contact'",
        )
        for batch in reader:
            for row in batch.to_pylist():
                value = msgspec.json.decode(row["found"], type=FieldValue)
                found.setdefault(row["key"], {})[row["field"]] = value
        return found
