"""The fake CRM.COM as an object: what a test or the admin endpoints do to it.

Here: state and the hands that move it. Not here: what CRM.COM's clients can call (``routes``).
"""

import dataclasses
import random
import threading
from collections.abc import Callable, Iterable
from typing import Any, Literal

import msgspec

from crm_pipeline.sandbox.control.faults import FaultBox, FaultRule
from crm_pipeline.sandbox.control.log import RequestLog
from crm_pipeline.sandbox.crm_com.bodies import Changes, read_changes
from crm_pipeline.sandbox.crm_com.business import Business
from crm_pipeline.sandbox.crm_com.contacts import Contact, ContactStore, new_id, shown
from crm_pipeline.sandbox.crm_com.failures import not_found
from crm_pipeline.sandbox.crm_com.switches import CrmComSwitches
from crm_pipeline.sandbox.delivery import SINGLE_SHOT, HookSender
from crm_pipeline.sandbox.people import PHONE_RANGES, Customer, People
from crm_pipeline.sandbox.settings import SandboxOrganisation, SandboxSettings
from crm_pipeline.sandbox.wire import Answer, Request


@dataclasses.dataclass(frozen=True, slots=True)
class Key:
    """An API key: whose, which data, and whether it may write."""

    organisation: SandboxOrganisation
    name: Literal["test", "live", "read"]
    business: Business

    @property
    def contacts(self) -> ContactStore:
        """Return the contacts that the key sees."""
        return self.business.contacts

    @property
    def may_write(self) -> bool:
        """Say whether the key may write."""
        return self.name != "read"


#: Who answers a call of a client.
Handler = Callable[[Request, Key], Answer]


class CrmCom:
    """State of the fake CRM.COM. Every method may be called from any thread."""

    def __init__(self, settings: SandboxSettings) -> None:
        """Start without contacts."""
        self.lock = threading.RLock()
        self.faults = FaultBox()
        self.requests = RequestLog(settings.log_size)
        self.settings = settings
        self.clock = settings.clock
        #: Sends what is told of orders: one attempt, no retry.
        self.hooks = HookSender(settings.clock, SINGLE_SHOT)
        self.reset()

    def reset(self) -> None:
        """Go back to the beginning: data, switches, faults, log."""
        settings = self.settings
        with self.lock:
            self.switches = CrmComSwitches(
                not_found_status=settings.not_found_status, gzip=settings.gzip
            )
            self.custom_fields = list(settings.custom_fields)
            chance = random.Random(f"{settings.seed}:tags")
            self.tags = {new_id(chance): name for name in settings.tags}
            self.keys: dict[str, Key] = {}
            for each in settings.organisations:
                test = Business(each, f"{settings.seed}:{each.id}:test")
                live = Business(each, f"{settings.seed}:{each.id}:live")
                self.keys[each.crm_test_key] = Key(each, "test", test)
                self.keys[each.crm_live_key] = Key(each, "live", live)
                self.keys[each.crm_read_only_key] = Key(each, "read", test)
            self.faults.clear()
            self.requests.clear()
            self.hooks.reset()

    def key(self, key: str) -> Key:
        """Return what a key opens; a slug or an organisation id means its test key."""
        if key in self.keys:
            return self.keys[key]
        for found in self.keys.values():
            if key in (found.organisation.slug, found.organisation.id):
                return found
        raise KeyError(f"the sandbox has no CRM.COM key {key!r}")

    def business(self, key: str) -> Business:
        """Return the data behind a key. Take ``lock`` while clients may be calling."""
        return self.key(key).business

    def contact_of(self, key: Key, reference: str) -> Contact:
        """Return a contact by id or code, for a client. Raises RefusedError."""
        found = key.contacts.find(reference)
        if found is None:
            raise not_found(self.switches.not_found_status, "contact", reference)
        return found

    def now_seconds(self) -> int:
        """Return the time in epoch seconds."""
        return int(self.clock().timestamp())

    def seed(self, key: str, customers: int, *, coded: bool = False) -> int:
        """Add the first ``customers`` people as contacts that were there before we came.

        ``coded`` gives them ``loke:<id>`` as code, as if an earlier run had made them; otherwise
        CRM.COM draws the codes. An e-mail address or phone number that is taken is left out.
        Nobody is opted in.
        """
        with self.lock:
            opened = self.key(key)
            people = People(self.settings.seed, opened.organisation.id)
            for index in range(customers):
                changes = _changes_of(people.person(index), coded=coded)
                _drop_taken(opened.contacts, changes)
                opened.contacts.create(changes, now_seconds=self.now_seconds())
            return len(opened.contacts)

    def contacts(
        self, key: str, *, offset: int = 0, limit: int | None = None
    ) -> list[dict[str, Any]]:
        """Return contacts as the API shows them, with their tags, oldest first."""
        with self.lock:
            store = self.key(key).contacts
            stop = len(store) if limit is None else offset + limit
            rows = store.slice(offset, stop, newest_first=False)
            return [{**shown(each), "tags": list(each["tags"])} for each in rows]

    def contact(self, key: str, reference: str) -> dict[str, Any] | None:
        """Return one contact by id or code."""
        with self.lock:
            found = self.key(key).contacts.find(reference)
            return None if found is None else {**shown(found), "tags": list(found["tags"])}

    def count(self, key: str) -> int:
        """Count contacts."""
        with self.lock:
            return len(self.key(key).contacts)

    def add(self, key: str, bodies: Iterable[dict[str, Any]]) -> list[str]:
        """Create contacts behind the client's back; returns their ids. Raises RefusedError."""
        with self.lock:
            store, now = self.key(key).contacts, self.now_seconds()
            return [
                store.create(self.read_changes(msgspec.json.encode(body)), now_seconds=now)
                for body in bodies
            ]

    def mutate(
        self,
        key: str,
        *,
        ids: Iterable[str] | None = None,
        count: int = 0,
        fields: dict[str, Any] | None = None,
        seed: int = 7,
    ) -> list[str]:
        """Change contacts behind the client's back, as drift; returns their ids.

        ``ids`` may be codes; unknown ones are skipped. ``fields`` is a body of ``PUT``; without it
        the first name changes. Raises RefusedError.
        """
        with self.lock:
            store = self.key(key).contacts
            chosen = self._chosen(store, ids, count, seed)
            for contact in chosen:
                changes = (
                    {"first_name": f"{contact['first_name']} (edited)"}
                    if fields is None
                    else self.read_changes(msgspec.json.encode(fields))
                )
                store.update(contact, changes, now_seconds=self.now_seconds())
            return [contact["id"] for contact in chosen]

    def delete(
        self, key: str, *, ids: Iterable[str] | None = None, count: int = 0, seed: int = 7
    ) -> list[str]:
        """Remove contacts, named (id or code) or picked, and return their ids."""
        with self.lock:
            store = self.key(key).contacts
            chosen = self._chosen(store, ids, count, seed)
            for contact in chosen:
                store.delete(contact)
            return [contact["id"] for contact in chosen]

    def configure_custom_fields(self, keys: Iterable[str]) -> None:
        """Say which custom fields of contacts exist."""
        with self.lock:
            self.custom_fields = list(keys)

    def configure_tags(self, names: Iterable[str]) -> dict[str, str]:
        """Say which tags of contacts exist; returns names by id."""
        with self.lock:
            ids = {name: tag_id for tag_id, name in self.tags.items()}
            chance = random.Random(f"{self.settings.seed}:{self.requests.count()}:tags")
            self.tags = {ids.get(name) or new_id(chance): name for name in names}
            return dict(self.tags)

    def switch(self, **changes: Any) -> CrmComSwitches:
        """Change switches. Raises ValueError for unknown names or values."""
        with self.lock:
            try:
                self.switches = msgspec.convert(
                    {**msgspec.structs.asdict(self.switches), **changes}, CrmComSwitches
                )
            except msgspec.ValidationError as error:
                raise ValueError(str(error)) from error
            return self.switches

    def read_changes(self, raw: bytes) -> Changes:
        """Read a contact body under the present switches. Raises RefusedError."""
        return read_changes(raw, self.switches.email_fields, self.custom_fields)

    def disturb(self, names: tuple[str, ...], rule: FaultRule) -> None:
        """Change and remove contacts of the key that reads them, as a fault rule says."""
        if not names:
            return
        seed = rule.seed + self.requests.count()
        if rule.mutate:
            self.mutate(names[-1], count=rule.mutate, seed=seed)
        if rule.delete:
            self.delete(names[-1], count=rule.delete, seed=seed)

    @staticmethod
    def _chosen(
        store: ContactStore, ids: Iterable[str] | None, count: int, seed: int
    ) -> list[Contact]:
        if ids is not None:
            return [found for found in map(store.find, ids) if found is not None]
        places = random.Random(seed).sample(range(len(store)), min(count, len(store)))
        return [store.slice(at, at + 1, newest_first=False)[0] for at in places]


def _changes_of(person: Customer, *, coded: bool) -> Changes:
    changes: Changes = {
        "first_name": person["firstName"],
        "last_name": person["lastName"] or person["firstName"],
        "email": person.get("email"),
        "email_opt_out": True,
        "sms_opt_out": True,
    }
    if coded:
        changes["code"] = f"loke:{person['id']}"
    number = person.get("phoneNumber", "")
    for prefix, country, dial, *_ in PHONE_RANGES:
        if number.startswith(prefix):
            changes["phone"] = {
                "country_code": country,
                "number": number.removeprefix(dial),
                "type": "MOBILE",
            }
    return changes


def _drop_taken(store: ContactStore, changes: Changes) -> None:
    if changes["email"] and store.with_email(changes["email"]):
        changes["email"] = None
    phone = changes.get("phone")
    if phone and store.with_phone(phone["country_code"], phone["number"]):
        del changes["phone"]
