"""One organisation with everything that its use cases need, already typed and wired.

Here: values that ``wiring`` builds. Not here: how they are read from files (``settings``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from crm_pipeline.core.policies import PlanPolicy, VerifyPolicy
from crm_pipeline.core.ports import DestinationApi, DestinationSpec, SourceApi, SourceSpec
from crm_pipeline.core.pulling import PullRules
from crm_pipeline.core.retention import RetentionRules

if TYPE_CHECKING:
    from crm_pipeline.sync.resolve import (
        MembershipRules,
        ProductRules,
        PurchasingRules,
        ResolveRules,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBinding:
    """A source of one organisation. ``connect`` reads the secrets and opens the connection.

    ``owner`` is the source's own id of the organisation; None where the source has none.
    """

    spec: SourceSpec
    connect: Callable[[], SourceApi]
    datasets: tuple[str, ...]
    rules: PullRules
    owner: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationBinding:
    """A destination of one organisation.

    ``account`` names the CRM account: its call budget, shared by all who use it, and whose
    acknowledgements the applied state holds. ``kinds`` names the kinds of objects that are sent,
    in the order of the destination.
    """

    spec: DestinationSpec
    connect: Callable[[], DestinationApi]
    account: str
    plan: PlanPolicy
    verify: VerifyPolicy
    kinds: tuple[str, ...] = ("contact",)

    def policy_of(self, object_kind: str) -> PlanPolicy:
        """Return how plans of a kind are made: what is about people holds for contacts only."""
        if object_kind == "contact":
            return self.plan
        return replace(self.plan, on_missing="keep", field_policies={})


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationBinding:
    """One organisation, ready for the use cases. Rules that are None: not for this one."""

    slug: str
    name: str
    is_paused: bool
    sources: Mapping[str, SourceBinding]
    destinations: Mapping[str, DestinationBinding]
    resolve: "ResolveRules"
    purchases: "PurchasingRules | None" = None
    memberships: "MembershipRules | None" = None
    products: "ProductRules | None" = None
    retention: RetentionRules = field(default_factory=RetentionRules)
