"""One organisation of the simulation as the use cases get it: real sources and destination, wired
to fake vendors, without waits and without guards.
"""

import json
from collections.abc import Callable

from crm_pipeline.core.guards import GuardRules
from crm_pipeline.core.policies import PlanPolicy, VerifyPolicy
from crm_pipeline.core.ports import DestinationConnection, SourceConnection
from crm_pipeline.core.pulling import ListRule, PullRules
from crm_pipeline.core.purchases import PurchaseRules
from crm_pipeline.core.records import Limits, Waits
from crm_pipeline.core.retention import RetentionRules
from crm_pipeline.core.samples import ConsentRule
from crm_pipeline.destinations.crm_com import DESTINATION
from crm_pipeline.destinations.crm_com.api import CrmComApi
from crm_pipeline.http import Seams
from crm_pipeline.sandbox import SandboxOrganisation
from crm_pipeline.sandbox.crm_com.routes import PREFIX as CRM_PREFIX
from crm_pipeline.sandbox.sopost.brands import Brand
from crm_pipeline.sandbox.sopost.routes import PREFIX as SOPOST_PREFIX
from crm_pipeline.sources.loke import SOURCE as LOKE
from crm_pipeline.sources.loke.api import LokeApi
from crm_pipeline.sources.sopost import SOURCE as SOPOST
from crm_pipeline.sources.sopost.api import SopostApi
from crm_pipeline.sync.binding import DestinationBinding, OrganisationBinding, SourceBinding
from crm_pipeline.sync.resolve import (
    MembershipRules,
    PurchasingRules,
    ResolveRules,
    SampleRules,
)
from crm_pipeline_tests.simulation.parts import Parts

#: Nobody listens there; the wire goes to the fakes in the process.
NOWHERE = "http://127.0.0.1:1"
#: Lists at LOKE and the tags that they become.
LISTS = {"LST-LOYAL": "LOKE: Loyal Customers", "LST-VIP": "LOKE: VIP breakfast"}
UNLIMITED = GuardRules(
    max_update_share=None,
    max_archives=None,
    max_archive_share=None,
    max_consent_widened=None,
    max_consent_widened_share=None,
    min_source_share=None,
)
AT_ONCE = RetentionRules(landed_days=0, webhooks_days=0, plans_days=0)
WAITS = Waits(
    retry_base_seconds=0.0001,
    retry_max_seconds=0.001,
    attempts=3,
    settle_seconds=0.0,
    lease_seconds=60.0,
    overlap_seconds=5.0,
)
_LIMITS = Limits(calls_per_second=100_000, concurrency=1)


def bind(
    organisation: SandboxOrganisation, parts: Parts, seams: Callable[[str], Seams]
) -> OrganisationBinding:
    """Return an organisation with its parts; ``seams`` gives those of a vendor by its name."""
    brand = Brand(organisation) if parts.samples else None
    sources = {"loke": _loke(organisation, parts, seams)}
    if brand is not None:
        sources["sopost"] = _sopost(brand, seams)
    return OrganisationBinding(
        slug=organisation.slug,
        name=organisation.name,
        is_paused=False,
        sources=sources,
        destinations={"crm_com": _crm_com(organisation, parts, seams)},
        resolve=ResolveRules(samples=_samples(brand) if brand is not None else None),
        memberships=MembershipRules(tags=LISTS) if parts.lists else None,
        purchases=PurchasingRules(payments=PurchaseRules()),
        retention=AT_ONCE if parts.housekeeping else RetentionRules(),
    )


def _loke(
    organisation: SandboxOrganisation, parts: Parts, seams: Callable[[str], Seams]
) -> SourceBinding:
    connection = SourceConnection(
        organisation=organisation.slug,
        base_url=NOWHERE,
        token_url=f"{NOWHERE}/token",
        organisation_id=organisation.id,
        secrets={
            "client_id": lambda: "sandbox-client",
            "client_secret": lambda: "sandbox-secret",
        },
        waits=WAITS,
    )
    lists = tuple(ListRule(id=each, name=tag) for each, tag in LISTS.items())
    return SourceBinding(
        spec=LOKE,
        connect=lambda: LokeApi(connection, seams=seams("loke")),
        datasets=("customers", "payments", *(("list_members",) if parts.lists else ())),
        rules=PullRules(overlap_seconds=5.0, clean_sweeps=1, lists=lists if parts.lists else ()),
    )


def _sopost(brand: Brand, seams: Callable[[str], Seams]) -> SourceBinding:
    connection = SourceConnection(
        organisation=brand.organisation.slug,
        base_url=f"{NOWHERE}{SOPOST_PREFIX}",
        token_url="",
        organisation_id="",
        secrets={"user_id": lambda: "sandbox-user", "password": lambda: "sandbox-password"},
        options={"entity_type": "Organisation", "entity_id": brand.id, "datasets": "orders"},
        waits=WAITS,
    )
    return SourceBinding(
        spec=SOPOST,
        connect=lambda: SopostApi(connection, seams=seams("sopost")),
        datasets=("orders",),
        rules=PullRules(overlap_seconds=5.0),
    )


def _samples(brand: Brand) -> SampleRules:
    ours = ConsentRule(
        consent_id=brand.newsletter_id, data_handler=brand.data_handler, channels=("email",)
    )
    return SampleRules(consents=(ours,))


def _crm_com(
    organisation: SandboxOrganisation, parts: Parts, seams: Callable[[str], Seams]
) -> DestinationBinding:
    options = {"key_prefix": "loke:"}
    if parts.lists:
        options["tags"] = json.dumps(sorted(LISTS.values()))
    if parts.samples:
        options["sample_key_prefix"] = "sopost:"
    connection = DestinationConnection(
        organisation=organisation.slug,
        base_url=f"{NOWHERE}{CRM_PREFIX}",
        api_key=lambda: organisation.crm_test_key,
        limits=_LIMITS,
        waits=WAITS,
        conflict="withhold",
        options=options,
    )
    memberships = ("membership",) if parts.lists else ()
    return DestinationBinding(
        spec=DESTINATION,
        connect=lambda: CrmComApi(connection, seams=seams("crm")),
        account=f"sandbox-{organisation.slug}",
        plan=PlanPolicy(guards=UNLIMITED, limits=_LIMITS),
        verify=VerifyPolicy(),
        kinds=("contact", *memberships, "purchase", "refund"),
    )
