"""Identifier objects: how the classic Web API refers to things, by exactly one key.

Here: which keys each thing has, and both spellings. Not here: calls. Source: ``crmcom.md`` 2.3.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: Member of a body and known keys, by what is identified.
_ENTITIES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "participant": ("rewards_participant_identifier", ("id", "number", "access_token_identifier")),
    "receivable": (
        "accounts_receivable_identifier",
        ("id", "number", "name", "access_token_identifier"),
    ),
    "unit": ("performed_by_unit_identifier", ("id", "code", "name", "alternative_code")),
    "tap": ("performed_by_tap_identifier", ("id", "code", "name", "alternative_code")),
    "business_unit": (
        "performed_by_business_unit_identifier",
        ("id", "code", "name", "alternative_code"),
    ),
    "event": ("customer_event_identifier", ("id", "number")),
    "settled_purchase": ("purchase_customer_request_identifier", ("id", "number")),
    "classification": ("classification_identifier", ("id", "name", "alternative_code")),
    "currency": ("intended_currency_identifier", ("id", "code")),
    "product": ("product_identifier", ("id", "code", "alternative_code")),
    "family": ("family_identifier", ("id", "name", "code")),
    "brand": ("brand_identifier", ("id", "name", "alternative_code")),
    "definition": ("synchronisation_definition_identifier", ("id", "code", "name")),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessToken:
    """What a customer shows: a phone number, e-mail address or card, or a one-time password.

    Exactly one of the three ways; an ``identifier`` needs its ``pass_code``. All are personal.
    """

    authentication_code: str | None = field(default=None, repr=False)
    identifier: str | None = field(default=None, repr=False)
    pass_code: str | None = field(default=None, repr=False)
    one_time_password: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        ways = (self.authentication_code, self.identifier, self.one_time_password)
        if sum(bool(way) for way in ways) != 1:
            raise ValueError(
                "an access token is an authentication code, an identifier with its pass code or a"
                " one-time password: exactly one of them"
            )
        if bool(self.identifier) != bool(self.pass_code):
            raise ValueError("an identifier and a pass code belong together")

    def wire(self) -> dict[str, str]:
        """Return the object as it travels."""
        held = {
            "authentication_code": self.authentication_code,
            "identifier": self.identifier,
            "pass_code": self.pass_code,
            "one_time_password": self.one_time_password,
        }
        return {name: value for name, value in held.items() if value}


@dataclass(frozen=True, slots=True)
class Identifier:
    """One reference to one thing: what it is, by which key, and the value."""

    entity: str
    key: str
    value: str | AccessToken = field(repr=False)

    def __post_init__(self) -> None:
        if self.entity not in _ENTITIES:
            raise ValueError(f"nothing is called {self.entity!r}")
        if self.key not in _ENTITIES[self.entity][1]:
            raise ValueError(f"a {self.entity} has no key {self.key!r}")
        if not self.value:
            raise ValueError(f"the {self.key} of a {self.entity} is empty")

    @property
    def member(self) -> str:
        """The member of a body that holds it."""
        return _ENTITIES[self.entity][0]

    def wire(self) -> dict[str, Any]:
        """Return the object with its one key."""
        held = self.value.wire() if isinstance(self.value, AccessToken) else self.value
        return {self.key: held}

    def query(self) -> str:
        """Return the spelling in a query: ``number=CE12345``."""
        if isinstance(self.value, AccessToken):
            raise ValueError("a means of identification does not belong in a query")
        return f"{self.key}={self.value}"


def identify(entity: str, **given: str | AccessToken | None) -> Identifier:
    """Return a reference by exactly one key. Raises ValueError for none, two and unknown ones.

    >>> identify("event", number="CE12345").wire()
    {'number': 'CE12345'}
    >>> identify("event", number="CE12345", id="01B0")
    Traceback (most recent call last):
    ...
    ValueError: a event is identified by exactly one key, got id, number
    """
    held = {key: value for key, value in given.items() if value}
    if len(held) != 1:
        told = ", ".join(sorted(held)) or "none"
        raise ValueError(f"a {entity} is identified by exactly one key, got {told}")
    ((key, value),) = held.items()
    return Identifier(entity, key, value)


def shown_means(entity: str, authentication_code: str) -> Identifier:
    """Return a reference to whom a phone number, e-mail address or card belongs."""
    token = AccessToken(authentication_code=authentication_code)
    return Identifier(entity, "access_token_identifier", token)


def parse_identifier(entity: str, text: str, *, default_key: str) -> Identifier:
    """Return the reference that a setting names: a value, or the vendor's own ``key=value``.

    >>> parse_identifier("unit", "code=SHOP-01", default_key="name").wire()
    {'code': 'SHOP-01'}
    >>> parse_identifier("unit", "Shop 1", default_key="name").wire()
    {'name': 'Shop 1'}
    """
    key, is_keyed, value = text.partition("=")
    if is_keyed and key in _ENTITIES[entity][1]:
        return Identifier(entity, key, value)
    return Identifier(entity, default_key, text)


def members(*identifiers: Identifier | None) -> dict[str, Any]:
    """Return the members of a body that hold some references; absent ones are left out."""
    return {each.member: each.wire() for each in identifiers if each is not None}
