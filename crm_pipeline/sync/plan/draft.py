"""A plan that is worked out but not yet named and stored: figures, identity, rows."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import pyarrow as pa

from crm_pipeline.core.fingerprint import fingerprint_of_json
from crm_pipeline.sync.plan.rows import DraftRow


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """What makes one change this change: two plans with the same ones are the same plan.

    ``desired`` and ``before`` are fingerprints of the object that is wanted and of the one that
    the CRM acknowledged; ``after`` is that of what will be there. It differs from ``desired`` where
    a person's value in the CRM stays. A create's changed fields follow from ``after``.
    """

    kind: str
    key: str
    crm_id: str | None
    desired: str
    after: str
    before: str | None
    changed: Sequence[str] = ()
    withheld: Sequence[str] = ()

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Return the identity of a plan's row, planned (``DRAFT_SCHEMA``) or stored."""
        return cls(
            kind=row["kind"],
            key=row["key"],
            crm_id=row["crm_id"],
            desired=row["fingerprint"],
            after=fingerprint_of_json(row["after"]),
            before=row["before_fingerprint"],
            changed=() if row["kind"] == "create" else row["changed"],
            withheld=row["withheld"],
        )

    def text(self) -> str:
        """Return it in one form, whatever the order of the fields that are withheld."""
        parts = (
            self.kind,
            self.key,
            self.crm_id or "",
            self.desired,
            self.after,
            self.before or "",
            ",".join(self.changed),
            ",".join(sorted(self.withheld)),
        )
        return "\x1f".join(parts)


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


def heading_of(
    organisation: str, destination: str, object_kind: str, mapping_version: str, base: int
) -> str:
    """Return what makes plans for different aims, or from different states, differ."""
    return "\x1f".join((organisation, destination, object_kind, mapping_version, str(base)))


def digest_of(heading: str, identities: Iterable[Identity]) -> str:
    """Return the digest that names a plan: BLAKE2b, 32 hex digits, over heading and changes.

    The same heading and changes give the same digest, however they were worked out.

    >>> digest_of("acme", []) == digest_of("acme", [])
    True
    """
    state = hashlib.blake2b(heading.encode(), digest_size=16)
    for identity in identities:
        state.update(("\x1e" + identity.text()).encode())
    return state.hexdigest()
