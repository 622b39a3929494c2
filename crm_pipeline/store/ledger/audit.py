"""The audit log: one append-only chain an organisation, and one for the installation.

Here: adding an entry behind the newest one, and reading chains. What a chain is, and when it is
broken, is ``core.audit``. The tables refuse changes; whoever gets past that breaks the chain.
"""

from collections.abc import Iterator, Mapping

import msgspec
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from crm_pipeline.core.audit import (
    CHAIN_BEGUN,
    INSTALLATION,
    AuditEntry,
    AuditHead,
    ChainFault,
    Detail,
    first_fault,
    origin,
    sealed,
)
from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.rejects import storable
from crm_pipeline.store.ledger.schema import audit
from crm_pipeline.store.ledger.texts import to_text
from crm_pipeline.store.ledger.times import Clock, from_micros, to_micros

#: Postgres: writers take turns at the chains' ends. SQLite has one writer anyway.
_LOCK = 4_070_251_912
#: Entries read at a time: a chain is never in memory as a whole.
_READ_ROWS = 1_000
_details = msgspec.json.Decoder(dict[str, Detail])


class Audit:
    """Adds entries and reads them back. ``chain`` is an organisation's slug, or INSTALLATION."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    def append(
        self, chain: str, *, who: str, what: str, details: Mapping[str, Detail] | None = None
    ) -> AuditEntry:
        """Add an entry in one durable transaction and return it.

        ``details`` hold digests, counts and names of fields: nothing that has to be erased one
        day. An organisation's first entry is noted in the installation's chain, so that a
        chain cannot vanish as a whole.
        """
        with self._database.write() as connection:
            if not self._database.is_sqlite:
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            entry = self._add(connection, chain, who, what, details or {})
            if entry.seq == 1 and chain != INSTALLATION:
                self._add(connection, INSTALLATION, who, CHAIN_BEGUN, {"chain": chain})
        return entry

    def _add(
        self, connection: Connection, chain: str, who: str, what: str, details: Mapping[str, Detail]
    ) -> AuditEntry:
        newest = (
            sa.select(audit.c.seq, audit.c.hash)
            .where(audit.c.chain == chain)
            .order_by(audit.c.seq.desc())
            .limit(1)
        )
        last = connection.execute(newest).one_or_none()
        entry = sealed(
            AuditEntry(
                chain=chain,
                seq=last.seq + 1 if last else 1,
                at=from_micros(to_micros(self._clock())),
                who=storable(who),
                what=what,
                details=_read(storable(to_text(details))),
                prev_hash=last.hash if last else origin(chain),
            )
        )
        connection.execute(
            sa.insert(audit).values(
                chain=chain,
                seq=entry.seq,
                at=to_micros(entry.at),
                who=entry.who,
                what=entry.what,
                details=to_text(entry.details),
                prev_hash=entry.prev_hash,
                hash=entry.hash,
            )
        )
        return entry

    def chains(self) -> list[str]:
        """Return the chains that have entries, in the order of their names."""
        query = sa.select(audit.c.chain).distinct().order_by(audit.c.chain)
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def entries(self, chain: str) -> Iterator[AuditEntry]:
        """Give every entry of a chain, oldest first, in bounded memory."""
        after = -1
        while True:
            query = (
                sa.select(audit)
                .where(audit.c.chain == chain, audit.c.seq > after)
                .order_by(audit.c.seq)
                .limit(_READ_ROWS)
            )
            with self._database.read() as connection:
                rows = connection.execute(query).all()
            yield from map(_entry, rows)
            if len(rows) < _READ_ROWS:
                return
            after = rows[-1].seq

    def newest(self, chain: str, limit: int) -> list[AuditEntry]:
        """Return the newest entries of a chain, newest first."""
        query = (
            sa.select(audit).where(audit.c.chain == chain).order_by(audit.c.seq.desc()).limit(limit)
        )
        with self._database.read() as connection:
            return [_entry(row) for row in connection.execute(query)]

    def heads(self) -> list[AuditHead]:
        """Return the newest entry of each chain: what to keep where nobody here can change it."""
        newest = sa.select(audit.c.chain, sa.func.max(audit.c.seq).label("seq")).group_by(
            audit.c.chain
        )
        last = newest.subquery()
        query = (
            sa.select(audit.c.chain, audit.c.seq, audit.c.hash)
            .join(last, sa.and_(last.c.chain == audit.c.chain, last.c.seq == audit.c.seq))
            .order_by(audit.c.chain)
        )
        with self._database.read() as connection:
            rows = connection.execute(query)
            return [AuditHead(chain=row.chain, seq=row.seq, hash=row.hash) for row in rows]

    def verify(self, chain: str, noted: AuditHead | None = None) -> ChainFault | None:
        """Return the first fault of a chain, or None; ``noted`` is a head of the past.

        The installation's chain names every other one, and each of those must be there.
        """
        fault = first_fault(chain, self.entries(chain), noted)
        if fault is not None or chain != INSTALLATION:
            return fault
        known = set(self.chains())
        for entry in self.entries(INSTALLATION):
            begun = entry.details.get("chain") if entry.what == CHAIN_BEGUN else None
            if begun is not None and begun not in known:
                problem = f"The chain of {begun}, which it tells of, is gone."
                return ChainFault(chain=INSTALLATION, seq=entry.seq, problem=problem)
        return None


def _entry(row: "Row[tuple[object, ...]]") -> AuditEntry:
    return AuditEntry(
        chain=row.chain,
        seq=row.seq,
        at=from_micros(row.at),
        who=row.who,
        what=row.what,
        details=_read(row.details),
        prev_hash=row.prev_hash,
        hash=row.hash,
    )


def _read(text: str) -> dict[str, Detail]:
    """Return details; what is not spelled as it was written comes out as something else."""
    try:
        found = _details.decode(text)
    except msgspec.DecodeError:
        return {"unreadable": text}
    return found if to_text(found) == text else {"unreadable": text}
