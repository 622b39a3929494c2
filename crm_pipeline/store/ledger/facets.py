"""What further sources say about our contacts, and which contact each of their people is.

A facet is one source's part of a contact, replaced whole. A link is made once and stays: a contact
keeps its code for ever, whatever its e-mail becomes.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import sqlalchemy as sa

from crm_pipeline.store.ledger.engine import KEYS_A_QUERY, Database
from crm_pipeline.store.ledger.schema import facets, links
from crm_pipeline.store.ledger.times import Clock, to_micros


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One person of a source and the contact that they are.

    ``rule`` says why: ``email``, ``new``. ``email_digest`` finds the link by the e-mail that the
    person had when it was made (``core.media.digest``).
    """

    source: str
    source_id: str
    key: str
    rule: str
    email_digest: str | None = None


class Facets:
    """Keeps each source's part of a contact, as JSON text."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def put(self, organisation: str, facet: str, bodies: Mapping[str, str]) -> None:
        """Replace one source's parts, by the contact's key, in one transaction."""
        if not bodies:
            return
        now = to_micros(self._clock())
        rows = [
            {
                "organisation": organisation,
                "key": key,
                "facet": facet,
                "body": body,
                "updated_at": now,
            }
            for key, body in bodies.items()
        ]
        insert = self._database.upsert(facets)
        changed = {name: insert.excluded[name] for name in ("body", "updated_at")}
        statement = insert.on_conflict_do_update(
            index_elements=["organisation", "key", "facet"], set_=changed
        )
        with self._database.write() as connection:
            connection.execute(statement, rows)

    def of(self, organisation: str, facet: str, keys: Collection[str]) -> Mapping[str, str]:
        """Return one source's parts of some contacts, by key."""
        found: dict[str, str] = {}
        with self._database.read() as connection:
            for some in _chunks(keys):
                query = sa.select(facets.c.key, facets.c.body).where(
                    facets.c.organisation == organisation,
                    facets.c.facet == facet,
                    facets.c.key.in_(some),
                )
                found |= {row.key: row.body for row in connection.execute(query)}
        return found

    def keys(self, organisation: str, facet: str, prefix: str) -> list[str]:
        """Return the keys with a part of one source that begin with ``prefix``, in order."""
        query = (
            sa.select(facets.c.key)
            .where(
                facets.c.organisation == organisation,
                facets.c.facet == facet,
                facets.c.key.startswith(prefix, autoescape=True),
            )
            .order_by(facets.c.key)
        )
        with self._database.read() as connection:
            return [row.key for row in connection.execute(query)]


class Links:
    """Keeps which contact a person of a source is."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def add(self, organisation: str, made: Collection[Link]) -> None:
        """Add links in one transaction; one that exists stays as it is."""
        if not made:
            return
        now = to_micros(self._clock())
        rows = [
            {
                "organisation": organisation,
                "source": link.source,
                "source_id": link.source_id,
                "key": link.key,
                "rule": link.rule,
                "linked_at": now,
                "email_digest": link.email_digest,
            }
            for link in made
        ]
        statement = self._database.upsert(links).on_conflict_do_nothing()
        with self._database.write() as connection:
            connection.execute(statement, rows)

    def of(self, organisation: str, source: str, ids: Collection[str]) -> Mapping[str, str]:
        """Return the contacts' keys of some people of a source, by their id there."""
        found: dict[str, str] = {}
        with self._database.read() as connection:
            for some in _chunks(ids):
                query = sa.select(links.c.source_id, links.c.key).where(
                    links.c.organisation == organisation,
                    links.c.source == source,
                    links.c.source_id.in_(some),
                )
                found |= {row.source_id: row.key for row in connection.execute(query)}
        return found

    def people(
        self, organisation: str, source: str, keys: Collection[str]
    ) -> Mapping[str, list[str]]:
        """Return the ids of a source's people by the contact that they are, sorted."""
        found: dict[str, list[str]] = {}
        with self._database.read() as connection:
            for some in _chunks(keys):
                query = (
                    sa.select(links.c.key, links.c.source_id)
                    .where(
                        links.c.organisation == organisation,
                        links.c.source == source,
                        links.c.key.in_(some),
                    )
                    .order_by(links.c.source_id)
                )
                for row in connection.execute(query):
                    found.setdefault(row.key, []).append(row.source_id)
        return found

    def by_email(
        self, organisation: str, source: str, digests: Collection[str]
    ) -> Mapping[str, frozenset[str]]:
        """Return the contacts' keys of a source's people by the digest of their e-mail."""
        found: dict[str, set[str]] = {}
        with self._database.read() as connection:
            for some in _chunks(digests):
                query = sa.select(links.c.email_digest, links.c.key).where(
                    links.c.organisation == organisation,
                    links.c.email_digest.in_(some),
                    links.c.source == source,
                )
                for row in connection.execute(query):
                    found.setdefault(row.email_digest, set()).add(row.key)
        return {digest: frozenset(keys) for digest, keys in found.items()}


def _chunks(values: Collection[str]) -> Iterator[list[str]]:
    listed = list(values)
    for start in range(0, len(listed), KEYS_A_QUERY):
        yield listed[start : start + KEYS_A_QUERY]
