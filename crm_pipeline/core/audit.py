"""The chain of audit entries: who did what, each entry sealed with the one before it.

Pure. Here: the seal, and finding the first entry that is not as it was written. Not here: where
entries are kept (``store.ledger.audit``). Nobody can change, take out, move or put in an entry
without breaking the chain, short of writing every later one anew; that, and entries missing at the
end, are found by comparing with a head that was noted somewhere else.
"""

import datetime as dt
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from hashlib import blake2b

import msgspec

#: What one detail may be: a digest, a count, a name of a field. Never a person's data or key.
Detail = str | int | bool | None | list[str]
#: The chain of the installation; every other one is named by its organisation's slug.
INSTALLATION = ""
#: What an organisation's first entry leaves in the installation's chain.
CHAIN_BEGUN = "chain_begun"

_DIGEST_BYTES = 16
_ENCODER = msgspec.json.Encoder(order="sorted")
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry. ``seq`` counts from 1 in its chain; ``hash`` covers all else and the one before.

    ``chain`` is an organisation's slug, or INSTALLATION.
    """

    chain: str
    seq: int
    at: dt.datetime
    who: str
    what: str
    details: Mapping[str, Detail]
    prev_hash: str
    hash: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditHead:
    """The newest entry of a chain: noted elsewhere, it shows what the chain once held."""

    chain: str
    seq: int
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainFault:
    """The first entry that is not as it was written. ``problem`` is a sentence without values."""

    chain: str
    seq: int
    problem: str


def origin(chain: str) -> str:
    """Return what stands in for the hash before a chain's first entry: no two chains share it."""
    return blake2b(f"audit:{chain}".encode(), digest_size=_DIGEST_BYTES).hexdigest()


def sealed(entry: AuditEntry) -> AuditEntry:
    """Return an entry with its hash: BLAKE2b over the canonical JSON of everything else.

    >>> at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    >>> one = AuditEntry(chain="acme", seq=1, at=at, who="mina", what="paused", details={},
    ...                  prev_hash=origin("acme"))
    >>> sealed(one).hash == sealed(replace(one, who="otto")).hash
    False
    """
    body = {
        "chain": entry.chain,
        "seq": entry.seq,
        "at": (entry.at - _EPOCH) // dt.timedelta(microseconds=1),
        "who": entry.who,
        "what": entry.what,
        "details": entry.details,
        "prev_hash": entry.prev_hash,
    }
    digest = blake2b(_ENCODER.encode(body), digest_size=_DIGEST_BYTES).hexdigest()
    return replace(entry, hash=digest)


def first_fault(
    chain: str, entries: Iterable[AuditEntry], noted: AuditHead | None = None
) -> ChainFault | None:
    """Return the first fault of a chain whose entries come in the order of ``seq``, or None.

    ``noted`` is a head of the past: the chain must still hold it.
    """
    last = AuditHead(chain=chain, seq=0, hash=origin(chain))
    for entry in entries:
        problem = _problem(entry, last) or _problem_with(entry, noted)
        if problem:
            return ChainFault(chain=chain, seq=entry.seq, problem=problem)
        last = AuditHead(chain=chain, seq=entry.seq, hash=entry.hash)
    if noted is not None and last.seq < noted.seq:
        return ChainFault(
            chain=chain,
            seq=last.seq + 1,
            problem=f"Entries are missing at the end: there were {noted.seq:,} of them.",
        )
    return None


def _problem(entry: AuditEntry, last: AuditHead) -> str:
    if entry.seq != last.seq + 1:
        return f"Entry {last.seq + 1:,} is missing before it."
    if entry.prev_hash != last.hash:
        return "It does not follow from the entry before it."
    return "" if sealed(entry).hash == entry.hash else "It was changed after it was written."


def _problem_with(entry: AuditEntry, noted: AuditHead | None) -> str:
    is_other = noted is not None and entry.seq == noted.seq and entry.hash != noted.hash
    return "It is not the entry whose hash was noted." if is_other else ""
