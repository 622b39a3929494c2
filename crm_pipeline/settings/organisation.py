"""The shape of one organisation file.

Here: fields, their limits and defaults, and the JSON Schema. Not here: files and lines
(``loading``), defaults that depend on the vendor or the slug (``vendors``).
"""

import json
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
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


class SourceSettings(_Frozen):
    """One source: where it is, which organisation there is ours, and what is read."""

    base_url: Address
    token_url: Address
    organisation_id: str = Field(pattern="^[A-Za-z0-9._-]{1,100}$")
    client_id: SecretReference
    client_secret: SecretReference
    datasets: tuple[VendorName, ...] = Field(default=("customers",), min_length=1)
    key_prefix: str = Field(pattern="^[a-z0-9][a-z0-9_-]{0,19}$")
    overlap_seconds: float | None = Field(default=None, ge=0, le=86_400)


class DestinationSettings(_Frozen):
    """One CRM account: where it is, how fast, and what may be written to it."""

    generation: Literal["back-office-v2"] = "back-office-v2"
    base_url: Address
    api_key: SecretReference
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


class OrganisationSettings(_Frozen):
    """One tenant: its sources, its destinations and its rules."""

    slug: Slug
    name: str = Field(min_length=1, max_length=200)
    paused: bool = False
    currency: str = Field(default="AUD", pattern="^[A-Z]{3}$")
    sources: dict[VendorName, SourceSettings] = Field(min_length=1)
    destinations: dict[VendorName, DestinationSettings] = Field(min_length=1)
    mapping: dict[str, FieldMapping] = Field(default_factory=dict)
    schedules: ScheduleSettings = ScheduleSettings()

    @classmethod
    def from_plain(cls, data: Mapping[str, JsonValue]) -> "OrganisationSettings":
        """Check plain data with JSON's rules: exact types, a list where a tuple is kept."""
        return cls.model_validate_json(json.dumps(data))


#: Fields that a file may leave out because a default is filled in before it is checked.
_FILLED_IN = {
    "OrganisationSettings": {"slug", "name"},
    "SourceSettings": {"base_url", "token_url", "client_id", "client_secret", "key_prefix"},
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
