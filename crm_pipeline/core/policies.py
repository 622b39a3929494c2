"""What one organisation has decided about its plans, its calls and its read-backs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from crm_pipeline.core.guards import GuardRules
from crm_pipeline.core.records import Limits

#: What a later plan may do with a field that somebody changed in the CRM: ``always`` write ours,
#: ``if-ours`` only over our own value, ``if-empty`` only over nothing, ``never`` write it.
FieldPolicy = Literal["always", "if-ours", "if-empty", "never"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanPolicy:
    """How plans of one destination are made.

    ``on_missing`` says what to do with a person that the source no longer has: nothing, or
    archive (both opt-outs set; nothing is deleted).
    """

    guards: GuardRules = field(default_factory=GuardRules)
    limits: Limits = field(default_factory=Limits)
    mapping_version: str = ""
    on_missing: Literal["keep", "archive"] = "keep"
    field_policies: Mapping[str, FieldPolicy] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyPolicy:
    """How much is read back: ``sample`` objects, or all when None."""

    sample: int | None = None
