"""The fake classic CRM.COM as an object: what a test or the admin endpoints do to it.

Here: state and the hands that move it. Not here: what clients can call (``routes``).
"""

import dataclasses
import threading
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from crm_pipeline.sandbox.classic.envelope import Data
from crm_pipeline.sandbox.classic.events import Events
from crm_pipeline.sandbox.classic.participants import Contacts, Participant, Participants
from crm_pipeline.sandbox.classic.products import Products
from crm_pipeline.sandbox.classic.tokens import Mode, TokenStore
from crm_pipeline.sandbox.control.faults import FaultBox, FaultRule
from crm_pipeline.sandbox.control.log import RequestLog
from crm_pipeline.sandbox.crm_com.vendor import CrmCom
from crm_pipeline.sandbox.people import People
from crm_pipeline.sandbox.settings import SandboxOrganisation

USER_NAME = "sandbox-user"
PASSWORD = "sandbox-password"
UNITS = {"Shop 1": "SHOP-01", "Shop 2": "SHOP-02"}
DEFINITION = "SHOP_SYNC"


class ClassicSwitches(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What may be changed while the sandbox runs."""

    #: Whether tokens are those of release 12 and later, or the older ones.
    tokens: Mode = "absolute"
    #: Whether the synchronisation definition updates products that exist.
    enforce_update: bool = False
    #: What a second purchase with the same external reference number gets.
    duplicate_reference: Literal["refuse", "accept"] = "refuse"
    #: Rows that a list method gives at most, and when it is not asked for a number.
    most_rows: int = 1000
    default_rows: int = 50
    #: What a purchase awards, as a share of its total.
    award_share: Decimal = Decimal("0.05")
    reduction_method: Literal["FRONT_END_REDUCTION", "BACK_END_REDUCTION"] = "FRONT_END_REDUCTION"
    gzip: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Books:
    """What one key opens."""

    organisation: SandboxOrganisation
    name: str
    participants: Participants
    events: Events
    products: Products

    @property
    def may_write(self) -> bool:
        """Say whether the key may write."""
        return self.name != "read"


class Classic:
    """State of the fake classic CRM.COM. Every method may be called from any thread."""

    def __init__(self, crm_com: CrmCom) -> None:
        """Stand beside the second generation: its organisations, keys, clock and contacts."""
        self.lock = threading.RLock()
        self.faults = FaultBox()
        self.crm_com = crm_com
        self.requests = RequestLog(crm_com.settings.log_size)
        self.clock = crm_com.settings.clock
        self.reset()

    def reset(self) -> None:
        """Go back to the beginning: data, tokens, switches, faults, log."""
        with self.lock:
            self.switches = ClassicSwitches()
            self.tokens = TokenStore(self.clock)
            self.units: Mapping[str, str] = dict(UNITS)
            self.books: dict[str, Books] = {}
            for each in self.crm_com.settings.organisations:
                test = self._books(each, "test", each.crm_test_key)
                self.books[each.crm_test_key] = test
                self.books[each.crm_live_key] = self._books(each, "live", each.crm_live_key)
                self.books[each.crm_read_only_key] = dataclasses.replace(test, name="read")
            self.faults.clear()
            self.requests.clear()

    def book(self, key: str) -> Books:
        """Return what a key opens; a slug or an organisation id means its test key."""
        if key in self.books:
            return self.books[key]
        for found in self.books.values():
            if key in (found.organisation.slug, found.organisation.id):
                return found
        raise KeyError(f"the sandbox has no classic key {key!r}")

    def add_participant(
        self,
        key: str,
        codes: Sequence[str],
        *,
        wallet: str = "0",
        pass_codes: Mapping[str, str] | None = None,
        one_time_passwords: Sequence[str] = (),
        life_cycle_state: str = "EFFECTIVE",
    ) -> Participant:
        """Add a participant whom the authentication codes identify."""
        with self.lock:
            made = self.book(key).participants.add(list(codes))
            made.wallet = Decimal(wallet)
            made.pass_codes = dict(pass_codes or {})
            made.one_time_passwords = set(one_time_passwords)
            made.life_cycle_state = life_cycle_state
            return made

    def seed(self, key: str, customers: int) -> int:
        """Add LOKE's first customers as participants: by id, e-mail address and phone number."""
        with self.lock:
            book = self.book(key)
            people = People(self.crm_com.settings.seed, book.organisation.id)
            for index in range(customers):
                person = people.person(index)
                media = (person["id"], person.get("email"), person.get("phoneNumber"))
                book.participants.add(
                    [code for code in media if code],
                    first_name=person["firstName"],
                    last_name=person["lastName"],
                )
            return sum(1 for _ in book.participants)

    def purchases(self, key: str) -> list[Data]:
        """Return all purchases as the API shows them, oldest first."""
        with self.lock:
            return [each.shown() for each in self.book(key).events]

    def configure_units(self, units: Mapping[str, str]) -> None:
        """Say which units exist: code by name."""
        with self.lock:
            self.units = dict(units)

    def switch(self, **changes: Any) -> ClassicSwitches:
        """Change switches. Raises ValueError for unknown names or values."""
        with self.lock:
            try:
                self.switches = msgspec.convert(
                    {**msgspec.structs.asdict(self.switches), **changes},
                    ClassicSwitches,
                    strict=False,
                )
            except msgspec.ValidationError as error:
                raise ValueError(str(error)) from error
            return self.switches

    def disturb(self, names: tuple[str, ...], rule: FaultRule) -> None:
        """Do nothing: purchases do not move by themselves."""

    def _books(self, each: SandboxOrganisation, name: str, key: str) -> Books:
        seed = f"{self.crm_com.settings.seed}:{each.id}:{name}"
        participants = Participants(seed, each.currency, _ContactsOf(self.crm_com, key))
        return Books(each, name, participants, Events(seed, participants), Products(seed))


class _ContactsOf(Contacts):
    """The second generation's contacts of one key, as they are at the moment of a call."""

    def __init__(self, crm_com: CrmCom, key: str) -> None:
        self._crm_com = crm_com
        self._key = key

    def find(self, reference: str) -> dict[str, Any] | None:
        """Return a contact by id or code."""
        return self._crm_com.keys[self._key].contacts.find(reference)

    def with_email(self, email: str) -> dict[str, Any] | None:
        """Return a contact by e-mail address."""
        return self._crm_com.keys[self._key].contacts.with_email(email)

    def with_phone(self, country: str, number: str) -> dict[str, Any] | None:
        """Return a contact by phone number."""
        return self._crm_com.keys[self._key].contacts.with_phone(country, number)
