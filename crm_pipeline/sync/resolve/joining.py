"""Joining: customers and people who ordered samples are one contact where they are one person.

A contact keeps its key for ever. Who ordered first and became a customer later stays under the key
of the order; a customer who orders keeps theirs. Only a customer seen for the first time is joined
to an earlier contact: an e-mail that moves between people joins nobody.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa

from crm_pipeline.core import normalise
from crm_pipeline.core.consent import decide
from crm_pipeline.core.media import digest, normal_form
from crm_pipeline.core.normalise import InvalidValueError
from crm_pipeline.core.records import ConsentRecord, Fields
from crm_pipeline.core.samples import Channel
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.store.ledger import Link
from crm_pipeline.sync.erase.checking import erased_of, refusals
from crm_pipeline.sync.resolve.samples import (
    SOURCE,
    Facet,
    SampleRules,
    facets_of,
    resolve_samples,
)
from crm_pipeline.sync.workspace import Workspace

Row = Mapping[str, Any]
#: Contacts of people who are nobody's customer, read and written together.
GROUP_CONTACTS = 1_000
_EARLIER = """
SELECT DISTINCT id FROM landed_before SEMI JOIN asked USING (id) WHERE batch <= {position}
"""
_TOUCHED_CUSTOMERS = """
SELECT {columns} FROM everybody SEMI JOIN touched_customers USING (id)
ANTI JOIN (SELECT id FROM fresh) AS read_already USING (id)
"""


class Joining:
    """The facets of one pass of contacts. Does nothing for who has no samples."""

    def __init__(
        self,
        ws: Workspace,
        organisation: str,
        rules: SampleRules,
        *,
        source: str,
        key_prefix: str,
        desired_table: str,
        is_full: bool,
    ) -> None:
        self._ws = ws
        self._organisation = organisation
        self._rules = rules
        self._source = source
        self._key_prefix = f"{key_prefix}:"
        self._own_prefix = f"{rules.key_prefix}:"
        self._erased = erased_of(ws, organisation)
        self._touched = resolve_samples(ws, organisation, rules, desired_table, is_full=is_full)

    @property
    def has_news(self) -> bool:
        """Whether any contact's facet may be another one than before."""
        return bool(self._touched.keys)

    def end(self) -> None:
        """Note how far the samples came, the contacts being durably written."""
        self._touched.end()

    def keys_of(
        self, session: LakeSession, landed: str, position: int, rows: Sequence[Row]
    ) -> list[str]:
        """Return the contact's key of each customer; join those who are new to one of ours."""
        ids = [row["id"] for row in rows]
        links = self._ws.ledger.links
        linked = dict(links.of(self._organisation, self._source, ids))
        linked |= self._join(session, landed, position, [r for r in rows if r["id"] not in linked])
        return [linked.get(each, f"{self._key_prefix}{each}") for each in ids]

    def _join(
        self, session: LakeSession, landed: str, position: int, rows: Sequence[Row]
    ) -> dict[str, str]:
        """Link customers seen for the first time to the one contact that has their e-mail."""
        if not self._rules.is_matching:
            return {}
        emails = {row["id"]: email for row in rows if (email := _email_of(row)) is not None}
        digests = {each: digest(email) for each, email in emails.items()}
        links = self._ws.ledger.links
        found = links.by_email(self._organisation, SOURCE, set(digests.values()))
        fitting = {
            each: next(iter(keys))
            for each, name in digests.items()
            if len(keys := _starting(found.get(name, ()), self._own_prefix)) == 1
        }
        if not fitting:
            return {}
        taken = links.people(self._organisation, self._source, set(fitting.values()))
        earlier = self._seen_before(session, landed, position, list(fitting))
        made: dict[str, Link] = {}
        for each, key in sorted(fitting.items()):
            if each not in earlier and key not in taken and key not in made:
                made[key] = Link(source=self._source, source_id=each, key=key, rule="email")
        links.add(self._organisation, list(made.values()))
        return {link.source_id: link.key for link in made.values()}

    def _seen_before(
        self, session: LakeSession, landed: str, position: int, ids: Sequence[str]
    ) -> set[str]:
        session.attach("landed_before", self._organisation, landed)
        session.register("asked", pa.table({"id": list(ids)}))
        reader = session.sql(_EARLIER.format(position=int(position)))
        return {each for batch in reader for each in batch.column("id").to_pylist()}

    def touched_customers(
        self, session: LakeSession, landed: str, columns: str
    ) -> Iterator[pa.RecordBatch]:
        """Give the customers whose facet changed and who are not fresh themselves."""
        keys = self._touched.keys
        own = {key.removeprefix(self._key_prefix) for key in _starting(keys, self._key_prefix)}
        joined = self._ws.ledger.links.people(self._organisation, self._source, keys)
        ids = sorted(own.union(*joined.values()))
        if ids:
            session.attach_current("everybody", self._organisation, landed, "id")
            session.register("touched_customers", pa.table({"id": ids}))
            yield from session.sql(_TOUCHED_CUSTOMERS.format(columns=columns))

    def facets(self, keys: Sequence[str]) -> Mapping[str, Facet]:
        """Return the facets of some contacts."""
        return facets_of(self._ws, self._organisation, keys)

    def own_contacts(self, *, is_full: bool) -> Iterator[list[tuple[str, Fields]]]:
        """Give the contacts of people who are nobody's customer: those touched, or all."""
        ledger, organisation = self._ws.ledger, self._organisation
        keys = sorted(_starting(self._touched.keys, self._own_prefix))
        if is_full:
            keys = ledger.facets.keys(organisation, SOURCE, self._own_prefix)
        for start in range(0, len(keys), GROUP_CONTACTS):
            some = keys[start : start + GROUP_CONTACTS]
            customers = ledger.links.people(organisation, self._source, some)
            facets = self.facets([key for key in some if key not in customers])
            said = ledger.consents.of(organisation, facets.keys())
            media = [_media_of(facet) for facet in facets.values()]
            refused = refusals(self._ws, organisation, self._erased, media)
            heard = {
                key: [*said.get(key, ()), *refusal]
                for key, refusal in zip(facets, refused, strict=True)
            }
            yield [(key, _contact_fields(facets[key], heard[key])) for key in sorted(facets)]


def _media_of(facet: Facet) -> tuple[object, object]:
    """Return the e-mail and the phone of a contact without a customer, in normal form."""
    profile = facet.profile
    return profile.get("email"), normal_form("phone", profile)


def _contact_fields(facet: Facet, said: Sequence[ConsentRecord]) -> Fields:
    flags = {
        f"{channel}_opt_out": not _is_open(facet, channel, said) for channel in ("email", "sms")
    }
    return {**facet.profile, **facet.fields, **flags}


def _is_open(facet: Facet, channel: Channel, said: Sequence[ConsentRecord]) -> bool:
    return channel in facet.granted and decide(each for each in said if each.channel == channel)


def _starting(keys: Any, prefix: str) -> set[str]:
    return {key for key in keys if key.startswith(prefix)}


def _email_of(row: Row) -> str | None:
    try:
        email = normalise.email(row["email"])
    except InvalidValueError:
        return None
    return normal_form("email", {"email": email}) if email else None
