"""Reward participants: who is known, by which means, and the wallet of each.

A participant is made by a test or the admin endpoints, or on first use out of a contact of the
second generation (``Contacts``).
"""

import dataclasses
import hashlib
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Protocol

from crm_pipeline.sandbox.classic.envelope import NOT_FOUND, Data, RefusedError, one_key
from crm_pipeline.sandbox.people import PHONE_RANGES

PARTICIPANT = "rewards_participant_identifier"
RECEIVABLE = "accounts_receivable_identifier"
_KEYS = {
    PARTICIPANT: ("id", "number", "access_token_identifier"),
    RECEIVABLE: ("id", "number", "name", "access_token_identifier"),
}


class Contacts(Protocol):
    """What is needed of the second generation's contacts."""

    def find(self, reference: str) -> dict[str, Any] | None:
        """Return a contact by id or code."""

    def with_email(self, email: str) -> dict[str, Any] | None:
        """Return a contact by e-mail address."""

    def with_phone(self, country: str, number: str) -> dict[str, Any] | None:
        """Return a contact by phone number."""


@dataclasses.dataclass(slots=True, kw_only=True)
class Participant:
    """One participant. ``pass_codes`` by identifier; a one-time password works once."""

    id: str
    number: str
    receivable_id: str
    receivable_number: str
    first_name: str
    last_name: str
    currency: str
    wallet: Decimal = Decimal(0)
    life_cycle_state: str = "EFFECTIVE"
    pass_codes: dict[str, str] = dataclasses.field(default_factory=dict)
    one_time_passwords: set[str] = dataclasses.field(default_factory=set)

    @property
    def name(self) -> str:
        """Return first and last name."""
        return f"{self.first_name} {self.last_name}".strip()

    def shown(self) -> Data:
        """Return the participant as ``rewards_participants/show`` does."""
        return {
            "id": self.id,
            "number": self.number,
            "sign_up_on": "2024-01-01T00:00:00",
            "life_cycle_state": self.life_cycle_state,
            "participating_schemes_set": [],
            "accounts_receivable": {
                "id": self.receivable_id,
                "number": self.receivable_number,
                "name": self.name,
                "life_cycle_state": self.life_cycle_state,
                "account_owner": {"first_name": self.first_name, "last_name": self.last_name},
            },
            "wallet": {
                "id": hex_id(f"wallet:{self.id}"),
                "number": f"W{self.number}",
                "balance": self.wallet,
                "currency": self.currency,
            },
        }


def hex_id(name: str) -> str:
    """Return an id as the classic generation writes them: 32 hexadecimal capitals."""
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest().upper()


class Participants:
    """The participants behind one key."""

    def __init__(self, seed: str, currency: str, contacts: Contacts) -> None:
        """Start with nobody but the contacts."""
        self._seed = seed
        self._currency = currency
        self._contacts = contacts
        self._all: list[Participant] = []
        self._by_code: dict[str, Participant] = {}
        self._by_contact: dict[str, Participant] = {}

    def __iter__(self) -> Iterator[Participant]:
        """Yield those that were made or used, the first first."""
        return iter(self._all)

    def add(
        self, codes: list[str], *, first_name: str = "Ada", last_name: str = "Sandbox"
    ) -> Participant:
        """Add a participant whom the codes identify."""
        place = len(self._all) + 1
        participant = Participant(
            id=hex_id(f"{self._seed}:participant:{place}"),
            number=f"RP{place:010d}",
            receivable_id=hex_id(f"{self._seed}:receivable:{place}"),
            receivable_number=f"ACR{place:010d}",
            first_name=first_name,
            last_name=last_name,
            currency=self._currency,
        )
        self._all.append(participant)
        self._by_code.update(dict.fromkeys(codes, participant))
        return participant

    def identified(self, body: Data, member: str) -> Participant:
        """Return the participant that an identifier object names. Raises RefusedError."""
        key, value = one_key(body.get(member), member, _KEYS[member])
        found = self._by_token(value) if key == "access_token_identifier" else None
        if key != "access_token_identifier":
            found = next(
                (each for each in self._all if _attribute(each, member, key) == value), None
            )
        if found is None or found.life_cycle_state != "EFFECTIVE":
            raise RefusedError(NOT_FOUND, member)
        return found

    def _by_token(self, token: Any) -> Participant | None:
        given = dict(token) if isinstance(token, dict) else {}
        pass_code = given.pop("pass_code", None)
        known = ("authentication_code", "identifier", "one_time_password")
        key, value = one_key(given, "access_token_identifier", known)
        if key == "identifier":
            if not pass_code:
                raise RefusedError(NOT_FOUND, "pass_code")
            return next((e for e in self._all if e.pass_codes.get(value) == pass_code), None)
        if key == "one_time_password":
            return self._by_one_time_password(value)
        return self._by_code.get(str(value)) or self._from_contact(str(value))

    def _by_one_time_password(self, value: str) -> Participant | None:
        found = next((each for each in self._all if value in each.one_time_passwords), None)
        if found is not None:
            found.one_time_passwords.discard(value)
        return found

    def _from_contact(self, code: str) -> Participant | None:
        contact = self._contacts.find(code) or self._contacts.with_email(code)
        for _, country, dial, *_ in () if contact else PHONE_RANGES:
            if code.startswith(dial):
                contact = contact or self._contacts.with_phone(country, code.removeprefix(dial))
        if contact is None:
            return None
        if contact["id"] not in self._by_contact:
            self._by_contact[contact["id"]] = self.add(
                [code], first_name=contact["first_name"], last_name=contact["last_name"]
            )
        return self._by_contact[contact["id"]]


def _attribute(participant: Participant, member: str, key: str) -> str:
    if key == "name":
        return participant.name
    prefix = "receivable_" if member == RECEIVABLE else ""
    return str(getattr(participant, f"{prefix}{key}"))
