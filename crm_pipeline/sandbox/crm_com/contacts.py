"""The contacts behind one kind of key of one organisation (test or live), with their indexes.

Here: identity, uniqueness, what an update keeps. Not here: the form of bodies (``bodies``), HTTP.
"""

import random
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from crm_pipeline.sandbox.crm_com.bodies import Changes
from crm_pipeline.sandbox.crm_com.failures import CIM_TAKEN, CODE_TAKEN, RefusedError, invalid

Contact = dict[str, Any]
Cim = tuple[str, ...]

_CODE_DIGITS = 16


def new_id(chance: random.Random) -> str:
    """Return a lower-case GUID."""
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


class ContactStore:
    """Contacts by id, code, e-mail address and phone number."""

    def __init__(self, seed: str) -> None:
        """Start empty; ids and codes are drawn from the seed."""
        self._chance = random.Random(seed)
        self._by_id: dict[str, Contact] = {}
        self._by_code: dict[str, str] = {}
        self._by_cim: dict[Cim, str] = {}
        #: Ids by phone number without country, for a search that knows no country.
        self._by_number: dict[str, list[str]] = {}
        self._newest_last: list[str] = []

    def __len__(self) -> int:
        """Count the contacts."""
        return len(self._by_id)

    def find(self, reference: str) -> Contact | None:
        """Return a contact by id or by code."""
        found = self._by_id.get(reference)
        if found is None and reference in self._by_code:
            found = self._by_id[self._by_code[reference]]
        return found

    def with_email(self, email: str) -> Contact | None:
        """Return the contact that has an e-mail address, case ignored."""
        return self._by_id.get(self._by_cim.get(("email", email.lower()), ""))

    def with_loyalty_identifier(self, identifier: str) -> Contact | None:
        """Return the contact that has a card or another loyalty number."""
        return self._by_id.get(self._by_cim.get(("loyalty_identifier", identifier), ""))

    def with_cim(self, text: str) -> list[Contact]:
        """Return contacts by any medium: e-mail, loyalty number, phone with or without dial code.

        A dialling code has one to three digits; whoever has the rest as number is found.
        """
        for found in (self.with_email(text), self.with_loyalty_identifier(text)):
            if found:
                return [found]
        numbers = [text]
        if text.startswith("+"):
            numbers = [text[dial + 1 :] for dial in (1, 2, 3)]
        return [each for number in numbers for each in self.with_phone_number(number)]

    def with_phone_number(self, number: str) -> list[Contact]:
        """Return contacts by number, in whatever country."""
        return [self._by_id[contact_id] for contact_id in self._by_number.get(number, ())]

    def with_phone(self, country: str, number: str) -> Contact | None:
        """Return the contact that has a phone number."""
        return self._by_id.get(self._by_cim.get(("phone", country, number), ""))

    def newest_first(self) -> Iterator[Contact]:
        """Yield all contacts, the last created first."""
        return map(self._by_id.__getitem__, reversed(self._newest_last))

    def oldest_first(self) -> Iterator[Contact]:
        """Yield all contacts, the first created first."""
        return map(self._by_id.__getitem__, self._newest_last)

    def slice(self, start: int, stop: int, *, newest_first: bool) -> list[Contact]:
        """Return some places of that order without walking to them."""
        ids = self._newest_last
        if newest_first:
            stop = min(stop, len(ids))
            chosen = ids[max(0, len(ids) - stop) : max(0, len(ids) - start)][::-1]
        else:
            chosen = ids[start:stop]
        return [self._by_id[contact_id] for contact_id in chosen]

    def create(self, changes: Changes, *, now_seconds: int) -> str:
        """Add a contact; returns its id. Raises RefusedError and then adds nothing."""
        contact: Contact = {
            "type": "PERSON",
            "first_name": None,
            "middle_name": None,
            "last_name": None,
            "company_name": None,
            "email": None,
            "phone": None,
            "address": None,
            "demographics": None,
            "language_code": None,
            "country_of_agreement": None,
            # The trap: whoever does not say that a person opted out has opted them in.
            "email_opt_out": False,
            "sms_opt_out": False,
            "loyalty_identifiers": [],
            "custom_fields": {},
            "tags": [],
            "created_on": now_seconds,
            "updated_on": now_seconds,
        }
        _merge(contact, changes, self._chance)
        _check_names(contact)
        code = changes.get("code") or self._free_code()
        if code in self._by_code or code in self._by_id:
            raise RefusedError(400, "The code is in use.", CODE_TAKEN, ["code", code])
        self._check_cims(contact, None)
        contact["id"] = new_id(self._chance)
        contact["code"] = code
        self._by_id[contact["id"]] = contact
        self._by_code[code] = contact["id"]
        self._newest_last.append(contact["id"])
        self._index(contact)
        return str(contact["id"])

    def update(self, contact: Contact, changes: Changes, *, now_seconds: int) -> None:
        """Change a contact. Raises RefusedError and then changes nothing."""
        for fixed in ("code", "type"):
            if fixed in changes and changes[fixed] != contact[fixed]:
                raise invalid(fixed, f"The {fixed} of a contact cannot be changed.")
        changed = {**contact, "custom_fields": dict(contact["custom_fields"])}
        _merge(changed, changes, self._chance)
        _check_names(changed)
        self._check_cims(changed, contact["id"])
        self._unindex(contact)
        changed["updated_on"] = now_seconds
        self._by_id[contact["id"]] = changed
        self._index(changed)

    def delete(self, contact: Contact) -> None:
        """Forget a contact; its code and addresses are free again."""
        del self._by_id[contact["id"]]
        del self._by_code[contact["code"]]
        self._unindex(contact)
        self._newest_last.remove(contact["id"])

    def _free_code(self) -> str:
        code = "".join(self._chance.choices("0123456789", k=_CODE_DIGITS))
        return code if code not in self._by_code else self._free_code()

    def _check_cims(self, contact: Contact, own_id: str | None) -> None:
        for cim in _cims(contact):
            owner = self._by_cim.get(cim)
            if owner is not None and owner != own_id:
                raise RefusedError(
                    400,
                    "The identification medium belongs to another contact.",
                    CIM_TAKEN,
                    [cim[0], cim[-1]],
                )

    def _index(self, contact: Contact) -> None:
        for cim in _cims(contact):
            self._by_cim[cim] = contact["id"]
            if cim[0] == "phone":
                self._by_number.setdefault(cim[-1], []).append(contact["id"])

    def _unindex(self, contact: Contact) -> None:
        for cim in _cims(contact):
            del self._by_cim[cim]
            if cim[0] == "phone":
                self._by_number[cim[-1]].remove(contact["id"])


def shown(contact: Contact, *, with_wallet: bool = False) -> dict[str, Any]:
    """Return a contact in the flat form in which the API answers it."""
    body = {name: value for name, value in contact.items() if name not in ("tags", "updated_on")}
    body["custom_fields"] = [
        {"key": key, "value": value} for key, value in contact["custom_fields"].items()
    ]
    if with_wallet:
        body["wallet"] = wallet_of(contact["id"])
    return body


def wallet_of(contact_id: str) -> dict[str, str]:
    """Return id and code of a contact's wallet, which exist from the contact's first moment."""
    wallet = uuid.uuid5(uuid.NAMESPACE_OID, contact_id)
    return {"id": str(wallet), "code": f"{wallet.int % 10**16:016d}"}


def _cims(contact: Contact) -> Iterable[Cim]:
    if contact["email"]:
        yield "email", contact["email"].lower()
    if contact["phone"]:
        yield "phone", contact["phone"]["country_code"], contact["phone"]["number"]
    for loyalty in contact["loyalty_identifiers"]:
        yield "loyalty_identifier", loyalty["identifier"]


def _merge(contact: Contact, changes: Changes, chance: random.Random) -> None:
    for name, value in changes.items():
        if name == "custom_fields":
            for key, held in value.items():
                if held is None:
                    contact[name].pop(key, None)
                else:
                    contact[name][key] = held
        elif name == "demographics" and value is not None:
            contact[name] = {**(contact[name] or {}), **value}
        elif name in ("phone", "address") and value is not None:
            before = contact[name] or {"id": new_id(chance)}
            contact[name] = {"id": before["id"], **value}
        elif name != "code":
            contact[name] = value


def _check_names(contact: Contact) -> None:
    needed = ("company_name",) if contact["type"] == "COMPANY" else ("first_name", "last_name")
    for name in needed:
        if not (contact[name] or "").strip():
            raise invalid(name, "A mandatory value is missing.")
