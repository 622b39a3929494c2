"""What a source's record becomes in a CRM, as data: rules, their compilation, their lineage.

Here: the default for LOKE's customers (``vendors/crmcom.md`` 6.1) and changes to it by an
organisation. Not here: normal forms (``normalise``), consent (``consent``), tables (``sync``).
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Literal

import msgspec

from crm_pipeline.core import normalise
from crm_pipeline.core.normalise import InvalidValueError
from crm_pipeline.core.records import Fields, FieldValue
from crm_pipeline.errors import ConfigurationError

OnInvalid = Literal["leave_out", "placeholder", "reject_row"]
#: The words of an organisation's file for ``OnInvalid``, besides its own.
_WORDS: Mapping[str, OnInvalid] = {
    "drop": "leave_out",
    "leave_out": "leave_out",
    "placeholder": "placeholder",
    "reject": "reject_row",
    "reject_row": "reject_row",
}
_TRANSFORMS: Mapping[str, Callable[[object], FieldValue]] = {
    "text": normalise.text,
    "email": normalise.email,
    "phone_country": normalise.phone_country,
    "phone_number": normalise.phone_number,
    "date": normalise.date,
    "gender": normalise.gender,
    "time": normalise.moment,
    "whole": normalise.whole,
}
#: Needs the currency, so it is made when a mapping is compiled.
_MONEY = "money"
TRANSFORMS = (*_TRANSFORMS, _MONEY)

CONTACT_FIELDS = (
    "first_name",
    "last_name",
    "email",
    "phone_country",
    "phone_number",
    "date_of_birth",
    "gender",
)
CONSENT_FIELDS = ("email_opt_out", "sms_opt_out")
_CUSTOM = re.compile(r"custom\.[a-z][a-z0-9_]{0,63}")
#: A source name with this prefix is a member of the record that is not documented.
EXTRA_PREFIX = "extra."


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRule:
    """How one field is made. ``source`` is a landed column, or ``extra.<name>``."""

    target: str
    source: str
    transform: str = "text"
    on_invalid: OnInvalid = "leave_out"
    placeholder: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMapping:
    """What an organisation changes about a field, or a field that it adds. None: as before."""

    source: str | None = None
    transform: str | None = None
    on_invalid: str | None = None
    placeholder: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactMapping:
    """All rules of one kind of record. ``consent_source`` is the column of the one consent."""

    name: str
    rules: tuple[FieldRule, ...]
    columns: tuple[str, ...]
    consent_source: str

    @property
    def version(self) -> str:
        """A short name of the rules: another one after every change to them."""
        text = msgspec.json.encode([self.name, self.consent_source, self.rules])
        return blake2b(text, digest_size=6).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingContext:
    """What the records do not say themselves."""

    currency: str = "AUD"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelConsent:
    """Whether a person may be contacted by each channel."""

    email: bool = False
    sms: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class MappedContact:
    """One contact. ``issues`` are stable codes; ``rejected`` is a reason, empty when usable."""

    fields: Fields
    issues: tuple[str, ...]
    rejected: str = ""


class MappingInvalidError(ConfigurationError):
    """An organisation's mapping cannot be used; ``faults`` names each field and what is wrong."""

    code = "mapping_invalid"

    def __init__(self, faults: Mapping[str, str]) -> None:
        self.faults = faults
        listed = " ".join(f"{target}: {fault}" for target, fault in faults.items())
        super().__init__(
            f"The mapping has {len(faults)} fault(s). {listed}",
            not_done="Nothing was mapped.",
            remedy="Correct `mapping` in the organisation's file.",
        )


_LOKE_COLUMNS = tuple(
    "id created_at updated_at first_name last_name email phone_number dob gender"  # noqa: SIM905
    " has_agreed_to_marketing points_balance total_points_earned total_points_redeemed total_spend"
    " last_spent_at last_points_earned_at last_points_redeemed_at".split()
)


def _custom(column: str, transform: str) -> FieldRule:
    return FieldRule(target=f"custom.loke_{column}", source=column, transform=transform)


DEFAULT_LOKE_CUSTOMER = ContactMapping(
    name="loke_customer",
    consent_source="has_agreed_to_marketing",
    columns=_LOKE_COLUMNS,
    rules=(
        FieldRule(
            target="first_name", source="first_name", on_invalid="placeholder", placeholder="-"
        ),
        FieldRule(
            target="last_name", source="last_name", on_invalid="placeholder", placeholder="-"
        ),
        FieldRule(target="email", source="email", transform="email"),
        FieldRule(target="phone_country", source="phone_number", transform="phone_country"),
        FieldRule(target="phone_number", source="phone_number", transform="phone_number"),
        FieldRule(target="date_of_birth", source="dob", transform="date"),
        FieldRule(target="gender", source="gender", transform="gender"),
        FieldRule(target="custom.loke_customer_id", source="id"),
        _custom("points_balance", "whole"),
        _custom("total_points_earned", "whole"),
        _custom("total_points_redeemed", "whole"),
        _custom("total_spend", _MONEY),
        *(
            _custom(column, "time")
            for column in (
                "last_spent_at",
                "last_points_earned_at",
                "last_points_redeemed_at",
                "created_at",
                "updated_at",
            )
        ),
    ),
)


def override(mapping: ContactMapping, changes: Mapping[str, FieldMapping]) -> ContactMapping:
    """Return a mapping with an organisation's changes: fields made otherwise, or added.

    Raises MappingInvalidError with every fault at once.
    """
    rules = {rule.target: rule for rule in mapping.rules}
    faults: dict[str, str] = {}
    for target, change in changes.items():
        found = _changed(rules.get(target), target, change)
        problems = _problems(found, change, mapping.columns)
        if problems:
            faults[target] = " ".join(problems)
        else:
            rules[target] = found
    if faults:
        raise MappingInvalidError(faults)
    return replace(mapping, rules=tuple(rules.values()))


def _changed(rule: FieldRule | None, target: str, change: FieldMapping) -> FieldRule:
    base = rule or FieldRule(target=target, source="")
    return FieldRule(
        target=target,
        source=base.source if change.source is None else change.source,
        transform=base.transform if change.transform is None else change.transform,
        on_invalid=_WORDS.get(change.on_invalid or base.on_invalid, base.on_invalid),
        placeholder=base.placeholder if change.placeholder is None else change.placeholder,
    )


def _problems(rule: FieldRule, change: FieldMapping, columns: Collection[str]) -> list[str]:
    checks = (
        (rule.target in CONSENT_FIELDS, "Consent cannot be mapped."),
        (
            rule.target not in (*CONTACT_FIELDS, *CONSENT_FIELDS)
            and not _CUSTOM.fullmatch(rule.target),
            "No contact has this field; fields of your own begin with `custom.`.",
        ),
        (not rule.source, "A new field needs `from`."),
        (
            bool(rule.source)
            and rule.source not in columns
            and not rule.source.startswith(EXTRA_PREFIX),
            f"There is no source field {rule.source!r}.",
        ),
        (rule.transform not in TRANSFORMS, f"There is no transform {rule.transform!r}."),
        (
            change.on_invalid is not None and change.on_invalid not in _WORDS,
            f"`on_invalid` cannot be {change.on_invalid!r}.",
        ),
        (
            rule.on_invalid == "placeholder" and not rule.placeholder,
            "`on_invalid: placeholder` needs a `placeholder`.",
        ),
    )
    return [message for is_wrong, message in checks if is_wrong]


@dataclass(frozen=True, slots=True)
class _Step:
    rule: FieldRule
    transform: Callable[[object], FieldValue]


class Mapper:
    """A mapping made ready for many records."""

    def __init__(self, mapping: ContactMapping, context: MappingContext) -> None:
        self.mapping = mapping
        self._steps = tuple(_Step(rule, _function(rule, context)) for rule in mapping.rules)
        self._has_extra = any(rule.source.startswith(EXTRA_PREFIX) for rule in mapping.rules)

    def map(self, row: Mapping[str, object], consent: ChannelConsent) -> MappedContact:
        """Return the contact that a landed row stands for."""
        values = _with_extra(row) if self._has_extra else row
        fields: dict[str, FieldValue] = {}
        issues: dict[str, None] = {}
        rejected = ""
        for step in self._steps:
            rule = step.rule
            try:
                value = step.transform(values.get(rule.source))
                fault = f"{rule.target}_missing"
            except InvalidValueError as error:
                value, fault = None, error.code
                issues[fault] = None
            if value is not None:
                fields[rule.target] = value
            elif rule.on_invalid == "placeholder":
                fields[rule.target] = rule.placeholder
                issues[f"{rule.target}_placeholder"] = None
            elif rule.on_invalid == "reject_row":
                rejected = rejected or fault
        fields["email_opt_out"] = not consent.email
        fields["sms_opt_out"] = not consent.sms
        return MappedContact(fields=fields, issues=tuple(issues), rejected=rejected)


def map_contact(
    row: Mapping[str, object],
    mapping: ContactMapping,
    consent: ChannelConsent,
    context: MappingContext,
) -> MappedContact:
    """Return the contact that one landed row stands for. For many rows use ``Mapper``."""
    return Mapper(mapping, context).map(row, consent)


def column_lineage(mapping: ContactMapping) -> dict[str, tuple[str, ...]]:
    """Return the source fields behind each contact field.

    >>> column_lineage(DEFAULT_LOKE_CUSTOMER)["sms_opt_out"]
    ('has_agreed_to_marketing',)
    """
    lineage = {rule.target: (rule.source,) for rule in mapping.rules}
    return {**lineage, **dict.fromkeys(CONSENT_FIELDS, (mapping.consent_source,))}


def sources_of(mapping: ContactMapping) -> Sequence[str]:
    """Return the landed columns that a mapping reads, each once."""
    read = [rule.source for rule in mapping.rules] + [mapping.consent_source]
    columns = ("extra" if name.startswith(EXTRA_PREFIX) else name for name in read)
    return tuple(dict.fromkeys(columns))


def _function(rule: FieldRule, context: MappingContext) -> Callable[[object], FieldValue]:
    if rule.transform != _MONEY:
        return _TRANSFORMS[rule.transform]
    exponent = normalise.exponent_of(context.currency)
    if exponent is None:
        raise MappingInvalidError(
            {rule.target: f"There is no currency {context.currency!r} (ISO 4217)."}
        )
    decimals = exponent
    return lambda value: normalise.money(value, decimals)


def _with_extra(row: Mapping[str, object]) -> Mapping[str, object]:
    extra = row.get("extra")
    if not isinstance(extra, str):
        return row
    members = msgspec.json.decode(extra)
    return {**row, **{f"{EXTRA_PREFIX}{name}": value for name, value in members.items()}}
