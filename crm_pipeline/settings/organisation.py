"""The shape of one organisation file.

Here: fields, their limits and defaults, and the JSON Schema. Not here: files and lines
(``loading``), defaults that depend on the vendor or the slug (``vendors``).
"""

import contextlib
import datetime as dt
import json
import re
import zoneinfo
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from crm_pipeline.core.policies import FieldPolicy
from crm_pipeline.settings.addresses import Address
from crm_pipeline.settings.secrets import SecretReference
from crm_pipeline.settings.yamlfile import JsonValue

SLUG_PATTERN = "^[a-z0-9][a-z0-9-]{0,39}$"
_NAME_PATTERN = "^[a-z][a-z0-9_]{0,39}$"

Slug = Annotated[str, Field(pattern=SLUG_PATTERN)]
VendorName = Annotated[str, Field(pattern=_NAME_PATTERN)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(ge=0)]


def _check_sample(value: object) -> object:
    if value == "all":
        return None
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    raise PydanticCustomError("sample", "Expected `all` or a number of objects, at least 1.")


Sample = Annotated[
    int | None,
    BeforeValidator(_check_sample),
    WithJsonSchema({"anyOf": [{"const": "all"}, {"type": "integer", "minimum": 1}]}),
]

_CRON_PART = re.compile(r"(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:/([1-9]\d?))?")
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def _check_cron(value: object) -> object:
    if isinstance(value, str):
        parts = value.split()
        if len(parts) == len(_CRON_RANGES) and all(
            _is_cron_field(part, low, high)
            for part, (low, high) in zip(parts, _CRON_RANGES, strict=True)
        ):
            return " ".join(parts)
    raise PydanticCustomError(
        "cron",
        'Expected five cron fields in quotes, such as "0 3 * * *" (minute, hour, day, month,'
        " day of the week).",
    )


def _is_cron_field(field: str, low: int, high: int) -> bool:
    for part in field.split(","):
        found = _CRON_PART.fullmatch(part)
        if found is None:
            return False
        first, last = int(found[1] or low), int(found[2] or found[1] or high)
        if not low <= first <= last <= high:
            return False
    return True


Cron = Annotated[str, BeforeValidator(_check_cron)]


def _check_aware(value: object) -> object:
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            moment = dt.datetime.fromisoformat(value)
            if moment.tzinfo is not None:
                return moment.astimezone(dt.UTC)
    raise PydanticCustomError(
        "aware_time", 'Expected a time with its zone, in quotes, such as "2026-01-31T00:00:00Z".'
    )


AwareTime = Annotated[
    dt.datetime,
    BeforeValidator(_check_aware),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]


def _check_time_zone(value: object) -> object:
    if isinstance(value, str) and value in zoneinfo.available_timezones():
        return value
    raise PydanticCustomError(
        "time_zone", 'Expected the name of a time zone, such as "Australia/Melbourne" or "UTC".'
    )


TimeZone = Annotated[str, BeforeValidator(_check_time_zone)]


_FILLED_BY_EVERY_SAMPLE = {
    "sopost_identity",
    "sopost_last_order_id",
    "sopost_last_order_status",
    "sopost_last_activity_id",
}


def _check_question_field(value: str) -> str:
    if value in _FILLED_BY_EVERY_SAMPLE:
        raise PydanticCustomError("question_field", "Every sample fills this field: take another.")
    return value


QuestionField = Annotated[
    str, Field(pattern="^[a-z][a-z0-9_]{0,63}$"), AfterValidator(_check_question_field)
]


class _Frozen(BaseModel):
    """Immutable, exact types, no field that is not named here."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class GuardSettings(_Frozen):
    """Limits that stop a plan; null switches one off. See ``core.guards.GuardRules``."""

    max_creates: Count | None = None
    max_updates: Count | None = None
    max_update_share: Share | None = 0.5
    max_archives: Count | None = 100
    max_archive_share: Share | None = 0.05
    max_consent_widened: Count | None = 1_000
    max_consent_widened_share: Share | None = 0.2
    min_source_share: Share | None = 0.8
    floor: Count = 50


class LimitSettings(_Frozen):
    """The call budget of one CRM account, shared by all processes."""

    calls_per_second: float = Field(default=20.0, gt=0, le=10_000)
    concurrency: int = Field(default=6, ge=1, le=64)


class VerifySettings(_Frozen):
    """How much is read back: ``all``, or a number of objects."""

    sample: Sample = None


class FieldMapping(_Frozen):
    """How one CRM field is made. What is not given stays as in the default mapping."""

    from_: str | None = Field(default=None, alias="from", min_length=1, max_length=100)
    transform: str | None = Field(default=None, pattern=_NAME_PATTERN)
    on_invalid: Literal["drop", "placeholder", "reject"] | None = None
    placeholder: str | None = Field(default=None, max_length=200)


class WebhookSettings(_Frozen):
    """Webhooks of one source: where our receiver is reached from outside, and what proves them.

    ``secret`` signs LOKE's; the old one is accepted besides it while it is being replaced. For a
    source that signs nothing, ``secret`` is the unguessable last part of the address.
    """

    url: Address
    secret: SecretReference
    old_secret: SecretReference | None = None
    ref: str = Field(default="crm-pipeline", pattern="^[A-Za-z0-9._-]{1,64}$")
    events: tuple[str, ...] | None = None


class SourceSettings(_Frozen):
    """One source: where it is, what is ours there, and what is read.

    Which of these a source needs, it says itself; the others stay away from its section.
    """

    base_url: Address | None = None
    token_url: Address | None = None
    organisation_id: str | None = Field(default=None, pattern="^[A-Za-z0-9._-]{1,100}$")
    client_id: SecretReference | None = None
    client_secret: SecretReference | None = None
    user_id: SecretReference | None = None
    password: SecretReference | None = None
    api_key: SecretReference | None = None
    location: str | None = Field(default=None, min_length=1, max_length=1_000)
    format: Literal["csv", "json", "parquet"] | None = None
    entity_type: Literal["Organisation", "Campaign"] | None = None
    entity_id: str | None = Field(default=None, pattern="^[A-Za-z0-9-]{1,100}$")
    datasets: tuple[VendorName, ...]
    key_prefix: str = Field(pattern="^[a-z0-9][a-z0-9_-]{0,19}$")
    overlap_seconds: float | None = Field(default=None, ge=0, le=86_400)
    webhooks: WebhookSettings | None = None


class LocationSettings(_Frozen):
    """Where a purchase happened, as the CRM calls it: an organisation's id, or a TAP's code."""

    organisation: str | None = Field(default=None, max_length=100)
    tap: str | None = Field(default=None, max_length=100)


class PurchaseSettings(_Frozen):
    """How payments become purchases. Purchases make the CRM award its own rewards.

    Payments completed before ``go_live`` are kept and never sent. ``unmapped_location`` says what
    becomes of a payment at a place that is not listed, ``unknown_refund`` what of a refund whose
    amount nobody told. ``participant`` names the customer's field by which a CRM without our
    contacts knows people (first generation of CRM.COM).
    """

    go_live: AwareTime
    anonymous: Literal["skip", "send"] = "skip"
    classification: str = Field(default="LOKE", min_length=1, max_length=100)
    sku_prefix: str = Field(default="", pattern="^[A-Za-z0-9:_-]{0,20}$")
    adjustment_sku: str = Field(default="LOKE-ADJUSTMENT", pattern="^[A-Za-z0-9:._-]{1,60}$")
    tax_rate: Share | None = None
    locations: dict[str, LocationSettings] = Field(default_factory=dict)
    default_location: LocationSettings | None = None
    unmapped_location: Literal["reject", "default"] = "reject"
    unknown_refund: Literal["review", "whole"] = "review"
    participant: Literal["email", "phoneNumber", "id"] | None = None


class ListSettings(_Frozen):
    """One list of people that becomes a tag in the CRM. ``name`` is shown, and checked."""

    id: str = Field(pattern="^[A-Za-z0-9._-]{1,100}$")
    name: str = Field(min_length=1, max_length=200)
    tag: str = Field(min_length=1, max_length=200)
    min_share: Share = 0.5


class ConsentSettings(_Frozen):
    """One consent of a sample order that counts as ours."""

    consent_id: str = Field(min_length=1, max_length=100)
    data_handler: str = Field(min_length=1, max_length=200)
    channels: tuple[Literal["email", "sms"], ...] = Field(default=("email",), min_length=1)


class SampleSettings(_Frozen):
    """How sample orders become contacts: who they are, what counts as consent, what is kept."""

    match: Literal["email", "none"] = "email"
    consents: tuple[ConsentSettings, ...] = ()
    questions: dict[str, QuestionField] = Field(default_factory=dict)
    approved_states: tuple[str, ...] = ("APPROVED", "DISPATCHED", "DELIVERED")
    purchase: bool = False
    classification: str = Field(default="SoPost sample", min_length=1, max_length=100)


class ProductSettings(_Frozen):
    """Where products come from besides a catalogue source, which is used when there is one."""

    from_payments: bool = True


class DestinationSettings(_Frozen):
    """One CRM account: where it is, how fast, and what may be written to it.

    ``unit``, ``product_definition`` and ``time_zone`` (of the unit) are for CRM.COM's first
    generation only.
    """

    base_url: Address
    api_key: SecretReference
    sends: tuple[Literal["contacts", "memberships", "products", "purchases"], ...] = Field(
        default=("contacts",), min_length=1
    )
    unit: str | None = Field(default=None, max_length=100)
    product_definition: str | None = Field(default=None, max_length=100)
    time_zone: TimeZone = "UTC"
    mode: Literal["test", "live"] = "test"
    limits: LimitSettings = LimitSettings()
    conflict: Literal["withhold", "link", "reject"] = "withhold"
    on_missing: Literal["keep", "archive"] = "keep"
    guards: GuardSettings = GuardSettings()
    field_policies: dict[str, FieldPolicy] = Field(default_factory=dict)
    verify: VerifySettings = VerifySettings()
    shared_account: bool = False


class ScheduleSettings(_Frozen):
    """When what runs by itself, in UTC."""

    full_scan: Cron = "0 3 * * *"
    lists: Cron = "15 * * * *"
    products: Cron = "0 2 * * *"


class RetentionSettings(_Frozen):
    """How many days things are kept; null is for ever. See ``core.retention.RetentionRules``."""

    landed_days: int | None = Field(default=365, ge=7, le=36_500)
    webhooks_days: int | None = Field(default=30, ge=2, le=36_500)
    plans_days: int | None = Field(default=90, ge=7, le=36_500)


class OrganisationSettings(_Frozen):
    """One tenant: its sources, its destinations and its rules."""

    slug: Slug
    name: str = Field(min_length=1, max_length=200)
    paused: bool = False
    currency: str = Field(default="AUD", pattern="^[A-Z]{3}$")
    sources: dict[VendorName, SourceSettings] = Field(min_length=1)
    destinations: dict[VendorName, DestinationSettings] = Field(min_length=1)
    mapping: dict[str, FieldMapping] = Field(default_factory=dict)
    purchases: PurchaseSettings | None = None
    lists: tuple[ListSettings, ...] = ()
    products: ProductSettings = ProductSettings()
    samples: SampleSettings = SampleSettings()
    schedules: ScheduleSettings = ScheduleSettings()
    retention: RetentionSettings = RetentionSettings()

    @classmethod
    def from_plain(cls, data: Mapping[str, JsonValue]) -> "OrganisationSettings":
        """Check plain data with JSON's rules: exact types, a list where a tuple is kept."""
        return cls.model_validate_json(json.dumps(data))


#: Fields that a file may leave out because a default is filled in before it is checked.
_FILLED_IN = {
    "OrganisationSettings": {"slug", "name"},
    "SourceSettings": {"datasets", "key_prefix"},
    "DestinationSettings": {"base_url", "api_key"},
}


def organisation_schema() -> dict[str, Any]:
    """Return the JSON Schema of an organisation file, for editors."""
    schema = OrganisationSettings.model_json_schema(by_alias=True)
    for name, part in (("OrganisationSettings", schema), *schema["$defs"].items()):
        filled = _FILLED_IN.get(name, set())
        part["required"] = [each for each in part.get("required", []) if each not in filled]
    schema["$defs"]["SecretReference"].update(_SECRET_SCHEMA)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


_SECRET_SCHEMA = {
    "minProperties": 1,
    "maxProperties": 1,
    "properties": {
        "env": {"type": "string", "pattern": "^[A-Z][A-Z0-9_]{0,99}$"},
        "file": {"type": "string", "pattern": "^/"},
    },
}
