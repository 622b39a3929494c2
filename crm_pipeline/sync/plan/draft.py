"""A plan that is worked out but not yet named and stored: figures, identity, rows."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from crm_pipeline.sync.plan.rows import DraftRow

#: What makes two plans the same, for one change: kind, key, fingerprint after, fingerprint
#: before, changed fields, withheld fields.
Identity = tuple[str, str, str, str | None, Sequence[str], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A plan worked out.

    ``identities`` gives one line a change, ordered by kind and key; ``batches`` gives the rows in
    the order in which they should be sent. Both may be called once, while the session is open.
    ``desired`` is None when the draft did not see all desired objects. ``desired_batch`` is the
    newest batch of desired objects that it saw.
    """

    counts: Mapping[str, int]
    field_counts: Mapping[str, int]
    reason_counts: Mapping[str, int]
    consent_widened: int
    desired: int | None
    desired_batch: int
    identities: Callable[[], Iterator[Identity]]
    batches: Callable[[], Iterator[pa.RecordBatch]]


@dataclass(slots=True)
class Tally:
    """Counts while the rows go by."""

    kinds: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    widened: int = 0

    def add(self, rows: Iterable[DraftRow]) -> None:
        """Count rows by kind, reason and changed field; creates count no fields."""
        for row in rows:
            kind = str(row.values["kind"])
            self.kinds[kind] += 1
            self.reasons[row.reason] += 1
            self.widened += row.is_widening
            if kind != "create":
                self.fields.update(row.changed)


def digest_of(heading: Sequence[str], identities: Iterable[Identity]) -> str:
    """Return the digest that names a plan: BLAKE2b, 32 hex digits, over heading and changes.

    The same heading and changes give the same digest, however they were worked out.

    >>> digest_of(["acme"], []) == digest_of(["acme"], [])
    True
    """
    state = hashlib.blake2b("\x1f".join(heading).encode(), digest_size=16)
    for kind, key, after, before, changed, withheld in identities:
        parts = (kind, key, after, before or "", ",".join(changed), ",".join(sorted(withheld)))
        state.update(("\x1e" + "\x1f".join(parts)).encode())
    return state.hexdigest()
