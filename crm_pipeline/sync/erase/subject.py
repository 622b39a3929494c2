"""Finds everything that is one person's: from a key, an id, an e-mail address or a phone number.

Every version ever landed is looked at, so that an address of years ago is found too. A medium that
other people have, or had, is theirs as well: it finds nobody, and it stays.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from crm_pipeline.core.subject import (
    CRM_ORDER,
    CUSTOMER,
    LOKE_ORDER,
    MAIL_PERSON,
    MEMBER,
    PAYMENT,
    PERSON,
    SAMPLE,
    Subject,
)
from crm_pipeline.core.tombstones import digits_of, normal_email, normal_phone
from crm_pipeline.errors import ConfigurationError
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.land.report import landed_table
from crm_pipeline.sync.resolve.samples import PERSON_MACRO
from crm_pipeline.sync.workspace import Workspace

_LOKE, _SOPOST = "loke", "sopost"
#: Where people and their media are: view, column of the person, e-mail, phone.
_PLACES = {
    CUSTOMER: ("id", "email", "phone_number"),
    MEMBER: ("customer_id", "email", "phone_number"),
    SAMPLE: ("person_of(identity, email)", "email", "telephone"),
}
#: Kind of object by the lake table of the desired ones.
OBJECTS = {
    "desired/contacts": "contact",
    "desired/memberships": "membership",
    "desired/purchases": "purchase",
    "desired/refunds": "refund",
}
_NO_ROWS = pa.schema([("value", pa.string())])


def find_subject(ws: Workspace, organisation: OrganisationBinding, text: str) -> Subject:
    """Return everything that is one person's.

    ``text`` is a contact's key, an id of LOKE's or SoPost's, an e-mail address, or a phone number
    with plus. An empty subject: nobody was found. Raises ConfigurationError when an e-mail or a
    phone is several people's; they are named by their keys.
    """
    with ws.lake.session() as session:
        finder = _Finder(ws, organisation, session)
        keys = finder.keys_of(text.strip())
        if len(keys) > 1:
            raise _several(keys)
        return finder.subject(keys)


def subject_of_keys(
    ws: Workspace, organisation: OrganisationBinding, keys: Collection[str]
) -> Subject:
    """Return everything that belongs to some contacts, as one subject."""
    with ws.lake.session() as session:
        return _Finder(ws, organisation, session).subject(frozenset(keys))


@dataclass(frozen=True, slots=True)
class _Seen:
    """A medium as a source wrote it, and who had it: kind of place and id there."""

    place: str
    person: str
    email: str | None
    phone: str | None


class _Finder:
    def __init__(
        self, ws: Workspace, organisation: OrganisationBinding, session: LakeSession
    ) -> None:
        self._ws = ws
        self._slug = organisation.slug
        self._session = session
        self._prefix = f"{organisation.resolve.key_prefix}:"
        samples = organisation.resolve.samples
        self._sample_prefix = f"{samples.key_prefix if samples else _SOPOST}:"
        session.execute(PERSON_MACRO)
        self._views = {
            kind: view
            for kind in (CUSTOMER, MEMBER, PAYMENT, LOKE_ORDER, SAMPLE, CRM_ORDER)
            if (view := self._attach(kind))
        }

    def _attach(self, kind: str) -> str:
        table = landed_table(*kind.split("/"))
        if not self._ws.lake.exists(self._slug, table):
            return ""
        view = kind.replace("/", "_")
        self._session.attach(view, self._slug, table)
        return view

    # -- who -------------------------------------------------------------------------------------

    def keys_of(self, text: str) -> frozenset[str]:
        """Return the keys of the contacts that a text may mean."""
        if text.startswith((self._prefix, self._sample_prefix)):
            return frozenset({text})
        if "@" in text:
            return self._holders(email=normal_email(text) or text.casefold())
        if text.startswith("+"):
            return self._holders(phone=normal_phone(text) or text)
        return self._key_of_id(text)

    def _key_of_id(self, text: str) -> frozenset[str]:
        if not text:
            return frozenset()
        links = self._ws.ledger.links
        as_person = links.of(self._slug, _SOPOST, [text]).get(text)
        if as_person:
            return frozenset({as_person})
        if SAMPLE in self._views and self._of(SAMPLE, "identity", [text], "identity"):
            return frozenset({f"{self._sample_prefix}{text}"})
        return frozenset({links.of(self._slug, _LOKE, [text]).get(text, f"{self._prefix}{text}")})

    def _holders(self, *, email: str = "", phone: str = "") -> frozenset[str]:
        seen = self._seen_with([email] if email else [], [phone] if phone else [])
        return frozenset(self._key_by_person(seen).values())

    def _key_by_person(self, seen: Sequence[_Seen]) -> dict[tuple[bool, str], str]:
        """Return the contact's key of each person; true in a name: who ordered samples."""
        people = {each.person for each in seen if each.place == SAMPLE}
        customers = {each.person for each in seen if each.place != SAMPLE}
        links = self._ws.ledger.links
        known = links.of(self._slug, _SOPOST, people)
        theirs = links.of(self._slug, _LOKE, customers)
        keys = {(False, each): theirs.get(each, f"{self._prefix}{each}") for each in customers}
        return keys | {
            (True, each): known.get(each, f"{self._sample_prefix}{each}") for each in people
        }

    # -- what ------------------------------------------------------------------------------------

    def subject(self, keys: frozenset[str]) -> Subject:
        """Return everything that is the contacts'; empty when there is nothing of them."""
        customers, people = self._customers(keys), self._people(keys)
        emails, phones = self._media(customers, people)
        own_emails, own_phones, further, shared = self._own(keys, emails, phones)
        people |= further
        ids = self._ids(customers, people, keys)
        subject = Subject(
            keys=keys,
            ids={kind: frozenset(values) for kind, values in ids.items() if values},
            objects=self._objects(keys, ids),
            crm_ids=self._ws.ledger.erasing.contacts(self._slug, "contact", keys),
            emails=frozenset(own_emails),
            phones=frozenset(own_phones),
            shared_media=shared,
        )
        return subject if self._is_anybody(subject) else Subject()

    def _is_anybody(self, subject: Subject) -> bool:
        customers = subject.ids.get(CUSTOMER, frozenset())
        is_landed = CUSTOMER in self._views and self._of(CUSTOMER, "id", customers, "id")
        has_records = any(
            subject.ids.get(kind) for kind in (PAYMENT, LOKE_ORDER, MEMBER, SAMPLE, CRM_ORDER)
        )
        if is_landed or has_records or subject.crm_ids:
            return True
        counts = self._ws.ledger.erasing.count(self._slug, subject)
        return any(count for table, count in counts.items() if table != "pull_progress")

    def _customers(self, keys: Collection[str]) -> set[str]:
        own = {key.removeprefix(self._prefix) for key in keys if key.startswith(self._prefix)}
        return own.union(*self._ws.ledger.links.people(self._slug, _LOKE, keys).values())

    def _people(self, keys: Collection[str]) -> set[str]:
        start = self._sample_prefix
        own = {key.removeprefix(start) for key in keys if key.startswith(start)}
        return own.union(*self._ws.ledger.links.people(self._slug, _SOPOST, keys).values())

    def _media(self, customers: set[str], people: set[str]) -> tuple[set[str], set[str]]:
        """Return every e-mail and phone that the person ever had, in normal form."""
        texts: list[tuple[str | None, str | None]] = []
        for kind, (person, email, phone) in _PLACES.items():
            if kind in self._views:
                ids = people if kind == SAMPLE else customers
                texts += self._of(kind, person, ids, email, phone)
        if PAYMENT in self._views:
            for (customer,) in self._of(PAYMENT, "customer_id", customers, "customer"):
                texts.append(_media_in(customer))
        emails = {found for email, _ in texts if (found := normal_email(email))}
        return emails, {found for _, phone in texts if (found := normal_phone(phone))}

    def _own(
        self, keys: Collection[str], emails: set[str], phones: set[str]
    ) -> tuple[set[str], set[str], set[str], int]:
        """Return e-mails and phones of nobody else, further people, and how many are shared.

        Who ordered samples with an e-mail of theirs, and is no other contact, is them as well.
        """
        seen = self._seen_with(sorted(emails), sorted(phones))
        key_by_person = self._key_by_person(seen)
        people = [name for is_order, name in key_by_person if is_order]
        linked = self._ws.ledger.links.of(self._slug, _SOPOST, people)
        shared: set[str] = set()
        loose: dict[str, set[str]] = defaultdict(set)
        for each in seen:
            is_order = each.place == SAMPLE
            if key_by_person[is_order, each.person] in keys:
                continue
            if is_order and each.person not in linked and each.email:
                loose[each.email].add(each.person)
            else:
                shared |= {medium for medium in (each.email, each.phone) if medium}
        own_emails, own_phones = emails - shared, phones - shared
        further = {person for medium in own_emails for person in loose[medium]}
        return own_emails, own_phones, further, len((emails | phones) & shared)

    def _seen_with(self, emails: Sequence[str], phones: Sequence[str]) -> list[_Seen]:
        """Return who ever had one of some media, in normal form."""
        if not emails and not phones:
            return []
        wanted_emails, wanted_phones = set(emails), set(phones)
        self._register("wanted_emails", emails)
        self._register("wanted_digits", sorted({digits_of(phone) for phone in phones}))
        found = set()
        for kind, (person, email, phone) in _PLACES.items():
            if kind not in self._views:
                continue
            query = (
                f"SELECT DISTINCT {person} AS person, {email} AS email, {phone} AS phone"  # noqa: S608
                f" FROM {self._views[kind]} WHERE lower(trim({email})) IN"
                " (SELECT value FROM wanted_emails) OR EXISTS (SELECT 1 FROM wanted_digits"
                f" WHERE ends_with(regexp_replace({phone}, '[^0-9]', '', 'g'), value))"
            )
            for row in self._rows(query):
                mail, number = normal_email(row["email"]), normal_phone(row["phone"])
                seen = _Seen(
                    place=kind,
                    person=row["person"],
                    email=mail if mail in wanted_emails else None,
                    phone=number if number in wanted_phones else None,
                )
                if seen.person and (seen.email or seen.phone):
                    found.add(seen)
        return list(found)

    def _ids(
        self, customers: set[str], people: set[str], keys: Collection[str]
    ) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {
            CUSTOMER: set(customers),
            PERSON: {each for each in people if not each.startswith("mail-")},
            MAIL_PERSON: {each for each in people if each.startswith("mail-")},
        }
        for kind in (PAYMENT, LOKE_ORDER, MEMBER):
            if kind in self._views:
                found[kind] = {row[0] for row in self._of(kind, "customer_id", customers, "id")}
        if SAMPLE in self._views:
            person = _PLACES[SAMPLE][0]
            found[SAMPLE] = {row[0] for row in self._of(SAMPLE, person, people, "id")}
        if CRM_ORDER in self._views:
            crm_ids = self._ws.ledger.erasing.contacts(self._slug, "contact", keys)
            theirs = {crm_id for contacts in crm_ids.values() for crm_id in contacts.values()}
            found[CRM_ORDER] = {
                row[0]
                for column, values in (("contact_code", keys), ("contact_id", theirs))
                for row in self._of(CRM_ORDER, column, values, "id")
            }
        return found

    def _objects(
        self, keys: frozenset[str], ids: Mapping[str, set[str]]
    ) -> dict[str, frozenset[str]]:
        """Return our keys of every object that is the person's, by kind."""
        purchases = {f"{self._prefix}{each}" for each in ids.get(PAYMENT, ())}
        purchases |= {f"{self._sample_prefix}{each}" for each in ids.get(SAMPLE, ())}
        found = {
            "contact": set(keys),
            "membership": set(keys),
            "purchase": purchases,
            "refund": {f"{each}:refund" for each in purchases},
        }
        marks = [contact_mark(key) for key in keys]
        for table, kind in OBJECTS.items():
            if kind == "contact" or not self._ws.lake.exists(self._slug, table):
                continue
            self._session.attach("written", self._slug, table)
            for mark in marks:
                rows = self._rows(
                    "SELECT DISTINCT key FROM written WHERE contains(fields, ?)", mark
                )
                found[kind] |= {row["key"] for row in rows}
        return {kind: frozenset(values) for kind, values in found.items()}

    # -- asking ----------------------------------------------------------------------------------

    def _of(
        self, kind: str, column: str, values: Collection[str], *wanted: str
    ) -> list[tuple[Any, ...]]:
        """Return the different values of columns in the rows whose ``column`` is one of some."""
        if not values:
            return []
        self._register("wanted_values", sorted(values))
        names = ", ".join(wanted)
        query = (
            f"SELECT DISTINCT {names} FROM {self._views[kind]}"  # noqa: S608  our own names
            f" WHERE {column} IN (SELECT value FROM wanted_values)"
        )
        return [tuple(row.values()) for row in self._rows(query)]

    def _register(self, name: str, values: Sequence[str]) -> None:
        self._session.register(name, pa.table({"value": list(values)}, _NO_ROWS))

    def _rows(self, query: str, *parameters: str) -> Iterator[dict[str, Any]]:
        yield from self._session.sql(query, parameters).read_all().to_pylist()


def contact_mark(key: str) -> str:
    """Return how the stored fields of an object name the contact that it belongs to.

    >>> contact_mark("loke:1")
    '"contact_key":"loke:1"'
    """
    return f'"contact_key":{msgspec.json.encode(key).decode()}'


def _media_in(customer: str | None) -> tuple[str | None, str | None]:
    try:
        value = msgspec.json.decode(customer) if customer else {}
    except msgspec.DecodeError:
        return None, None
    if not isinstance(value, dict):
        return None, None
    email, phone = value.get("email"), value.get("phoneNumber")
    return (
        email if isinstance(email, str) else None,
        phone if isinstance(phone, str) else None,
    )


def _several(keys: Collection[str]) -> ConfigurationError:
    return ConfigurationError(
        f"{len(keys)} people have, or had, this e-mail address or phone number:"
        f" {', '.join(sorted(keys))}.",
        not_done="Nobody was erased.",
        remedy="Name one of them by the key.",
    )
