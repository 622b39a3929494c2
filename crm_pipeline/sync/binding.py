"""One organisation with everything that its use cases need, already typed and wired.

Here: values that ``wiring`` builds. Not here: how they are read from files (``settings``).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from crm_pipeline.core.policies import PlanPolicy, VerifyPolicy
from crm_pipeline.core.ports import DestinationApi, DestinationSpec, SourceApi, SourceSpec
from crm_pipeline.core.pulling import PullRules

if TYPE_CHECKING:
    from crm_pipeline.sync.resolve import ResolveRules


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceBinding:
    """A source of one organisation. ``connect`` reads the secrets and opens the connection."""

    spec: SourceSpec
    connect: Callable[[], SourceApi]
    datasets: tuple[str, ...]
    rules: PullRules


@dataclass(frozen=True, slots=True, kw_only=True)
class DestinationBinding:
    """A destination of one organisation.

    ``account`` names the CRM account: its call budget, shared by all who use it, and whose
    acknowledgements the applied state holds.
    """

    spec: DestinationSpec
    connect: Callable[[], DestinationApi]
    account: str
    plan: PlanPolicy
    verify: VerifyPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganisationBinding:
    """One organisation, ready for the use cases."""

    slug: str
    name: str
    is_paused: bool
    sources: Mapping[str, SourceBinding]
    destinations: Mapping[str, DestinationBinding]
    resolve: "ResolveRules"
