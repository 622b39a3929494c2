"""Samples: what sample orders say about people, as facets of contacts.

Each person who ordered is one contact: the customer with the same e-mail address, or a contact of
their own, and stays that one for ever. Here: persons, links, facets, consents. Not here: the
contacts themselves (``contacts`` lays the facets over them).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from itertools import groupby, islice
from typing import Any

import msgspec
import pyarrow as pa

from crm_pipeline.core import normalise
from crm_pipeline.core.consent import is_news
from crm_pipeline.core.media import digest, normal_form
from crm_pipeline.core.normalise import InvalidValueError
from crm_pipeline.core.records import ConsentRecord, Fields, FieldValue
from crm_pipeline.core.samples import (
    REJECTED,
    Channel,
    ConsentRule,
    SampleOrder,
    answers,
    granted_channels,
    is_approved,
    read_order,
)
from crm_pipeline.core.subject import PERSON, SAMPLE
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.store.ledger import Link
from crm_pipeline.sync.resolve.passes import Pass, Stage
from crm_pipeline.sync.workspace import Workspace

SOURCE, DATASET = "sopost", "orders"
#: Persons worked out together.
GROUP_PERSONS = 500
#: Who ordered: the vendor's id of the person, or the e-mail address where it gives none.
PERSON_MACRO = """
CREATE OR REPLACE TEMP MACRO person_of(identity, email) AS
coalesce(nullif(trim(identity), ''), 'mail-' || md5(lower(trim(email))))
"""
_TOUCHED = """
CREATE TEMP TABLE persons AS SELECT DISTINCT person_of(identity, email) AS person FROM fresh_orders
"""
_ORDERS = """
SELECT person_of(identity, email) AS person,
       min(landed_at) OVER (PARTITION BY id) AS first_seen, orders.*
FROM orders WHERE person_of(identity, email) IN (SELECT person FROM {persons})
ORDER BY person, id, landed_at, batch
"""

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleRules:
    """How one organisation's sample orders become parts of contacts.

    ``questions`` gives the custom field by question id. ``is_matching`` joins people to customers
    by their exact normalised e-mail address.
    """

    is_matching: bool = True
    consents: tuple[ConsentRule, ...] = ()
    questions: Mapping[str, str] = field(default_factory=dict)
    approved_states: tuple[str, ...] = ("APPROVED", "DISPATCHED", "DELIVERED")
    key_prefix: str = "sopost"
    placeholder: str = "-"

    @property
    def version(self) -> str:
        """Return a short name of the rules: another one after every change to them."""
        return blake2b(msgspec.json.encode(self, order="sorted"), digest_size=6).hexdigest()


class Facet(msgspec.Struct, frozen=True, kw_only=True):
    """One person's samples as a part of a contact.

    ``fields`` belong to samples alone; ``profile`` makes a contact of who is nobody's customer.
    """

    fields: dict[str, FieldValue]
    profile: dict[str, FieldValue]
    granted: tuple[Channel, ...] = ()


_facets = msgspec.json.Decoder(Facet)


@dataclass(slots=True)
class Touched:
    """What a pass of samples has touched: keys of contacts whose facet may be another one."""

    one: Pass
    keys: set[str] = field(default_factory=set)

    def end(self) -> None:
        """Note how far the pass came, once the contacts are durably written."""
        if self.one.batch:
            self.one.end(())


def resolve_samples(
    ws: Workspace, organisation: str, rules: SampleRules, desired_table: str, *, is_full: bool
) -> Touched:
    """Work out facets, links and consents of everybody with a new order; return who they are."""
    stage = Stage(
        name="resolve:samples",
        source=SOURCE,
        dataset=DATASET,
        table=desired_table,
        version=rules.version,
    )
    one = Pass(ws, organisation, stage)
    touched = Touched(one)
    if one.begin(is_full=is_full):
        with ws.lake.session() as session:
            _Samples(one, rules, session, touched).run()
    return touched


def facets_of(ws: Workspace, organisation: str, keys: Sequence[str]) -> dict[str, Facet]:
    """Return the facets of some contacts, by key."""
    found = ws.ledger.facets.of(organisation, SOURCE, keys)
    return {key: _facets.decode(body) for key, body in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Person:
    """One person who ordered, with every approved order, oldest first."""

    id: str
    orders: tuple[SampleOrder, ...]

    @property
    def email(self) -> str | None:
        """The normal form of the newest usable e-mail address."""
        for order in reversed(self.orders):
            found = _usable(normalise.email, order.email)
            if found:
                return normal_form("email", {"email": found})
        return None


class _Samples:
    def __init__(
        self, one: Pass, rules: SampleRules, session: LakeSession, touched: Touched
    ) -> None:
        self._one = one
        self._rules = rules
        self._session = session
        self._touched = touched

    def run(self) -> None:
        one, session = self._one, self._session
        since = None if one.is_full else one.position
        session.attach("fresh_orders", one.organisation, one.landed, since)
        session.attach("orders", one.organisation, one.landed)
        session.execute(PERSON_MACRO)
        session.execute(_TOUCHED)
        persons = self._persons()
        while group := list(islice(persons, GROUP_PERSONS)):
            self._settle(group)

    def _persons(self, table: str = "persons") -> Iterator[_Person]:
        """Give the persons whose ids a table of the session holds."""
        query = _ORDERS.format(persons=table)
        rows = (row for batch in self._session.sql(query) for row in batch.to_pylist())
        for person, versions in groupby(rows, key=lambda row: row["person"]):
            if person is None:
                continue
            seen = list(versions)
            kept = self._without_erased(person, seen)
            if kept or not seen:
                yield _Person(id=person, orders=tuple(self._approved(kept)))

    def _without_erased(self, person: str, versions: Sequence[Row]) -> Sequence[Row]:
        erased = self._one.erased
        if not erased:
            return versions
        is_erased = erased.has(PERSON, person)
        kept = [row for row in versions if not is_erased and not erased.has(SAMPLE, row["id"])]
        self._one.left_out(len(versions), len(kept))
        return kept

    def _approved(self, versions: Sequence[Row]) -> Iterator[SampleOrder]:
        """Give the orders that were approved, the oldest first.

        An order that has gone on to a state nobody knows stays approved; the consents of one that
        was rejected later count no more.
        """
        found: list[tuple[Any, SampleOrder]] = []
        for _, of_order in groupby(versions, key=lambda row: row["id"]):
            states = list(of_order)
            is_rejected = any(str(row["status"]).upper() == REJECTED for row in states)
            has_passed = any(
                is_approved(row["status"], self._rules.approved_states) for row in states
            )
            if not has_passed:
                self._one.issues["not_approved"] += 1
                continue
            newest = states[-1]
            order = read_order(newest)
            if is_rejected:
                order = replace(order, consents=None)
            found.append(((newest["first_seen"], newest["id"]), order))
        return (order for _, order in sorted(found, key=lambda each: each[0]))

    def _settle(self, persons: Sequence[_Person]) -> None:
        """Link, then write facets and consents of some persons."""
        ledger, organisation = self._one.ws.ledger, self._one.organisation
        known = ledger.links.of(organisation, SOURCE, {person.id for person in persons})
        fresh = [person for person in persons if person.orders and person.id not in known]
        keys = {**known, **self._link(fresh)}
        everybody = [*persons, *self._others(set(keys.values()), persons)]
        keys |= ledger.links.of(organisation, SOURCE, {person.id for person in everybody})
        orders: dict[str, list[SampleOrder]] = {}
        for person in sorted(everybody, key=lambda each: each.id):
            if person.id in keys:
                orders.setdefault(keys[person.id], []).extend(person.orders)
        facets = {key: self._facet(some) for key, some in orders.items()}
        bodies = {
            key: msgspec.json.encode(facet, order="sorted").decode()
            for key, facet in facets.items()
        }
        ledger.facets.put(organisation, SOURCE, bodies)
        self._record_consents(facets)
        self._touched.keys |= facets.keys()
        self._one.count(len(facets))

    def _others(self, keys: set[str], persons: Sequence[_Person]) -> list[_Person]:
        """Return further persons of the same contacts: a facet is made of all of them."""
        found = self._one.ws.ledger.links.people(self._one.organisation, SOURCE, keys)
        here = {person.id for person in persons}
        away = sorted({each for ids in found.values() for each in ids} - here)
        if not away:
            return []
        self._session.register("away_persons", pa.table({"person": away}))
        return list(self._persons("away_persons"))

    def _link(self, persons: Sequence[_Person]) -> dict[str, str]:
        """Decide, once and for ever, which contact each new person is."""
        candidates = self._candidates(persons) if self._rules.is_matching else {}
        made: list[Link] = []
        for person in persons:
            keys = candidates.get(person.email or "", set())
            if len(keys) > 1:
                self._one.reject(
                    f"{self._rules.key_prefix}:{person.id}",
                    {"person": person.id, "contacts": len(keys)},
                    "identity_ambiguous",
                    "Several contacts have this e-mail address; none was chosen.",
                )
                continue
            key = next(iter(keys), f"{self._rules.key_prefix}:{person.id}")
            rule = "email" if keys else "new"
            if person.email:
                candidates.setdefault(person.email, set()).add(key)
            made.append(
                Link(
                    source=SOURCE,
                    source_id=person.id,
                    key=key,
                    rule=rule,
                    email_digest=digest(person.email) if person.email else None,
                )
            )
        self._one.ws.ledger.links.add(self._one.organisation, made)
        return {link.source_id: link.key for link in made}

    def _candidates(self, persons: Sequence[_Person]) -> dict[str, set[str]]:
        """Return the contacts that have one of the persons' e-mail addresses, by address."""
        emails = {person.email for person in persons if person.email}
        found: dict[str, set[str]] = {}
        ledger, organisation = self._one.ws.ledger, self._one.organisation
        linked = ledger.links.by_email(organisation, SOURCE, {digest(each) for each in emails})
        for email in emails:
            if digest(email) in linked:
                found[email] = set(linked[digest(email)])
        table = self._one.stage.table
        if emails and self._one.ws.lake.exists(organisation, table):
            self._session.attach_current("contacts_now", organisation, table, "key")
            self._session.register("wanted", pa.table({"email": sorted(emails)}))
            query = (
                "SELECT key, contacts_now.email FROM contacts_now SEMI JOIN wanted USING (email)"
            )
            for row in self._session.sql(query).read_all().to_pylist():
                found.setdefault(row["email"], set()).add(row["key"])
        return found

    def _facet(self, orders: Sequence[SampleOrder]) -> Facet:
        if not orders:
            return Facet(fields={}, profile={})
        granted: set[Channel] = set()
        texts: dict[str, str] = {}
        for order in orders:
            granted.update(granted_channels(order.consents, self._rules.consents))
            texts |= answers(order.custom_questions, self._rules.questions)
        newest = orders[-1]
        values = {
            "custom.sopost_identity": newest.identity,
            "custom.sopost_last_order_id": newest.id,
            "custom.sopost_last_order_status": newest.status,
            "custom.sopost_last_activity_id": newest.activity_id,
            **{f"custom.{name}": text for name, text in texts.items()},
            **{_ADDRESS.get(name, name): part for name, part in newest.address.items()},
        }
        return Facet(
            fields={name: value for name, value in values.items() if value},
            profile=dict(_profile(newest, self._rules.placeholder)),
            granted=tuple(sorted(granted)),
        )

    def _record_consents(self, facets: Mapping[str, Facet]) -> None:
        """Write down what was newly granted. An order has no time of its own: it is undated."""
        one = self._one
        said = one.ws.ledger.consents.of(one.organisation, facets.keys())
        now = one.ws.clock()
        records = [
            ConsentRecord(
                key=key, channel=channel, is_granted=True, at=None, seen_at=now, origin=SOURCE
            )
            for key, facet in facets.items()
            for channel in facet.granted
            if is_news(
                True,
                [
                    each
                    for each in said.get(key, ())
                    if (each.channel, each.origin) == (channel, SOURCE)
                ],
            )
        ]
        if records:
            one.ws.ledger.consents.append(one.organisation, records)


#: The country of an address, told from the country of a phone number.
_ADDRESS = {"country_code": "address_country"}


def _profile(order: SampleOrder, placeholder: str) -> Fields:
    """Return what a contact needs who is nobody's customer."""
    values = {
        "first_name": order.first_name or placeholder,
        "last_name": order.last_name or placeholder,
        "email": _usable(normalise.email, order.email),
        "phone_country": _usable(normalise.phone_country, order.telephone),
        "phone_number": _usable(normalise.phone_number, order.telephone),
    }
    return {name: value for name, value in values.items() if value}


def _usable(normal: Any, text: str | None) -> str | None:
    """Return a value in its normal form, None when it has none."""
    try:
        found = normal(text)
    except InvalidValueError:
        return None
    return found if isinstance(found, str) else None
