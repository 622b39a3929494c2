"""An organisation's settings as the rules of the use cases. Pure: settings in, rules out."""

from decimal import Decimal

from crm_pipeline.core.mapping import DEFAULT_LOKE_CUSTOMER, FieldMapping, MappingContext, override
from crm_pipeline.core.pulling import ListRule, PullRules
from crm_pipeline.core.purchases import Place, PurchaseRules
from crm_pipeline.core.samples import ConsentRule
from crm_pipeline.settings.organisation import (
    LocationSettings,
    OrganisationSettings,
    SourceSettings,
)
from crm_pipeline.sync.resolve import (
    MembershipRules,
    ProductRules,
    PurchasingRules,
    ResolveRules,
    SampleRules,
)
from crm_pipeline.sync.resolve.sample_purchases import SamplePurchases

#: The source whose people, payments and lists an organisation has.
LOYALTY = "loke"
CATALOGUE = "catalogue"
SAMPLES = "sopost"
#: How our names of custom fields begin.
CUSTOM = "custom."
#: The custom fields of whoever ordered a sample (``sync.resolve.samples``), besides answers.
_SAMPLE_KEYS = (
    "sopost_identity",
    "sopost_last_order_id",
    "sopost_last_order_status",
    "sopost_last_activity_id",
)
#: The kinds of objects behind each word of ``sends``.
KINDS_OF = {
    "contacts": ("contact",),
    "memberships": ("membership",),
    "products": ("product",),
    "purchases": ("purchase", "refund"),
}


def resolve_rules(organisation: OrganisationSettings) -> ResolveRules:
    """Return how an organisation's people become contacts.

    Raises MappingInvalidError with every fault of its mapping, by field.
    """
    changes = {
        target: FieldMapping(
            source=each.from_,
            transform=each.transform,
            on_invalid=each.on_invalid,
            placeholder=each.placeholder,
        )
        for target, each in organisation.mapping.items()
    }
    return ResolveRules(
        source=LOYALTY,
        key_prefix=key_prefix(organisation),
        mapping=override(DEFAULT_LOKE_CUSTOMER, changes),
        context=MappingContext(currency=organisation.currency),
        samples=sample_rules(organisation),
    )


def custom_keys(organisation: OrganisationSettings) -> tuple[str, ...]:
    """Return the keys of the custom fields that an organisation's contacts have, sorted."""
    targets: set[str] = set()
    if reads(organisation, LOYALTY, "customers"):
        targets = {
            rule.target for rule in DEFAULT_LOKE_CUSTOMER.rules
        } | organisation.mapping.keys()
    keys = {each.removeprefix(CUSTOM) for each in targets if each.startswith(CUSTOM)}
    if reads(organisation, SAMPLES, "orders"):
        keys.update(_SAMPLE_KEYS, organisation.samples.questions.values())
    return tuple(sorted(keys))


def sample_rules(organisation: OrganisationSettings) -> SampleRules | None:
    """Return how sample orders become parts of contacts; None when there are none."""
    if not reads(organisation, SAMPLES, "orders"):
        return None
    chosen = organisation.samples
    return SampleRules(
        is_matching=chosen.match == "email",
        consents=tuple(
            ConsentRule(
                consent_id=each.consent_id,
                data_handler=each.data_handler,
                channels=each.channels,
            )
            for each in chosen.consents
        ),
        questions=chosen.questions,
        approved_states=chosen.approved_states,
        key_prefix=organisation.sources[SAMPLES].key_prefix,
    )


def key_prefix(organisation: OrganisationSettings) -> str:
    """Return how the keys of an organisation's customers begin."""
    loyalty = organisation.sources.get(LOYALTY)
    return loyalty.key_prefix if loyalty is not None else LOYALTY


def mapping_version(rules: ResolveRules) -> str:
    """Return a short name of the mapping: another one after every change to it."""
    return f"{rules.mapping.version}-{rules.context.currency}-{rules.key_prefix}"


def purchasing_rules(organisation: OrganisationSettings) -> PurchasingRules | None:
    """Return what makes purchases; None when nothing does."""
    payments, samples = purchase_rules(organisation), sample_purchases(organisation)
    if payments is None and samples is None:
        return None
    return PurchasingRules(payments=payments, samples=samples)


def sample_purchases(organisation: OrganisationSettings) -> SamplePurchases | None:
    """Return how samples become purchases; None unless the organisation asks for it."""
    chosen = organisation.samples
    if not chosen.purchase or not reads(organisation, SAMPLES, "orders"):
        return None
    return SamplePurchases(
        classification=chosen.classification,
        currency=organisation.currency,
        key_prefix=organisation.sources[SAMPLES].key_prefix,
        approved_states=chosen.approved_states,
    )


def purchase_rules(organisation: OrganisationSettings) -> PurchaseRules | None:
    """Return how payments become purchases; None when the organisation's are not sent."""
    chosen = organisation.purchases
    if chosen is None or not reads(organisation, LOYALTY, "payments"):
        return None
    return PurchaseRules(
        key_prefix=key_prefix(organisation),
        go_live=int(chosen.go_live.timestamp()),
        is_anonymous_sent=chosen.anonymous == "send",
        classification=chosen.classification,
        sku_prefix=chosen.sku_prefix,
        adjustment_sku=chosen.adjustment_sku,
        tax_rate=None if chosen.tax_rate is None else Decimal(str(chosen.tax_rate)),
        places={name: _place(each) for name, each in chosen.locations.items()},
        default_place=None if chosen.default_location is None else _place(chosen.default_location),
        is_default_for_unmapped=chosen.unmapped_location == "default",
        is_unknown_refund_whole=chosen.unknown_refund == "whole",
        participant=chosen.participant or "",
    )


def _place(settings: LocationSettings) -> Place:
    return Place(organisation_id=settings.organisation, tap_code=settings.tap)


def membership_rules(organisation: OrganisationSettings) -> MembershipRules | None:
    """Return which lists become tags; None when no list is opted in."""
    if not organisation.lists or not reads(organisation, LOYALTY, "list_members"):
        return None
    tags = {each.id: each.tag for each in organisation.lists}
    return MembershipRules(tags=tags, key_prefix=key_prefix(organisation))


def product_rules(organisation: OrganisationSettings) -> ProductRules | None:
    """Return where products come from; None when there is nowhere that they could."""
    chosen, purchases = organisation.products, organisation.purchases
    from_payments = chosen.from_payments and reads(organisation, LOYALTY, "payments")
    from_catalogue = reads(organisation, CATALOGUE, "products")
    if not (from_payments or from_catalogue):
        return None
    return ProductRules(
        is_from_payments=from_payments,
        is_from_catalogue=from_catalogue,
        sku_prefix=purchases.sku_prefix if purchases else "",
        extra={purchases.adjustment_sku: "Other charges"} if purchases else None,
    )


def pull_rules(
    organisation: OrganisationSettings, name: str, source: SourceSettings, overlap_seconds: float
) -> PullRules:
    """Return how a source is read."""
    overlap = source.overlap_seconds
    return PullRules(
        overlap_seconds=overlap_seconds if overlap is None else overlap,
        lists=tuple(
            ListRule(id=each.id, name=each.name, min_share=each.min_share)
            for each in organisation.lists
            if name == LOYALTY
        ),
    )


def reads(organisation: OrganisationSettings, source: str, dataset: str) -> bool:
    """Whether an organisation reads a dataset."""
    settings = organisation.sources.get(source)
    return settings is not None and dataset in settings.datasets
