"""The typed records that travel between the stages.

Here: values. Not here: wire bodies (each client has its own) and tables (``store``).
All times are aware and in UTC. ``key`` is our name for an object, such as
``loke:01HRP5E5X8V37E3S3E28JT97KB``; it never changes and is never a person's e-mail or phone.
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FieldValue = str | bool | int | None
#: One object's values by field name, flat; custom fields are named ``custom.<key>``.
Fields = Mapping[str, FieldValue]

ChangeKind = Literal["create", "update", "archive"]
CHANGE_KINDS: tuple[ChangeKind, ...] = ("create", "update", "archive")

#: How a planned change ended. Every planned change ends in exactly one of these.
OutcomeKind = Literal["applied", "unchanged", "rejected", "withheld", "superseded"]
OUTCOME_KINDS: tuple[OutcomeKind, ...] = (
    "applied",
    "unchanged",
    "rejected",
    "withheld",
    "superseded",
)

#: What one attempt at a write came to. ``unknown``: it may have happened. ``retry``: it surely
#: did not happen and may be tried again.
WriteStatus = Literal["acked", "rejected", "unknown", "retry"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One planned change of one object in one CRM.

    ``before`` is what the CRM acknowledged last (None for a create), ``after`` is the whole
    desired object. ``changed`` names the fields to send. ``withheld`` names fields of ``after``
    that must not be sent now (their value belongs to another contact) and why they stay behind.
    ``lane`` 0 goes first: it holds the opt-outs. ``references`` gives the CRM's ids of the objects
    that fields of ``after`` name by their keys, by field; they are looked up just before sending
    and are no part of the plan.
    """

    seq: int
    lane: int
    kind: ChangeKind
    object_kind: str
    key: str
    crm_id: str | None
    before: Fields | None
    after: Fields
    changed: tuple[str, ...]
    withheld: tuple[str, ...] = ()
    reason: str
    fingerprint: str
    version_at: dt.datetime | None
    references: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteResult:
    """What one attempt at one change came to, as the destination understood it.

    ``reason`` is a stable code such as ``medium_taken``; ``detail`` may be shown to an operator
    and holds no personal data. ``withheld`` names the fields that the CRM did not take.
    """

    status: WriteStatus
    crm_id: str | None = None
    withheld: tuple[str, ...] = ()
    reason: str = ""
    detail: str = ""
    calls: int = 1
    retry_after_seconds: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteObject:
    """One object as the CRM holds it now, in our field names. ``key`` is None when not ours."""

    crm_id: str
    key: str | None
    fields: Fields


#: The fingerprint of an acknowledged object that a plan has to look at again, though nothing else
#: about it changed. No desired object has it.
PROVISIONAL = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AppliedObject:
    """What the CRM last acknowledged for one of our objects.

    ``fields`` is the whole desired object of that moment (fields in ``withheld`` were not sent);
    ``fingerprint`` is its fingerprint, or ``PROVISIONAL``.
    """

    key: str
    crm_id: str
    fingerprint: str
    fields: Fields
    withheld: tuple[str, ...]
    plan_digest: str
    version_at: dt.datetime | None
    applied_at: dt.datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardVerdict:
    """One guard's answer. ``message`` says the figure, the limit and the way out."""

    guard: str
    passed: bool
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanHeader:
    """A plan without its changes: immutable, named by ``digest``.

    ``counts`` holds one number for each change kind and for ``unchanged``. ``base`` is the
    sequence number of the newest receipt that the plan saw, ``desired_batch`` the newest batch of
    desired objects. The estimate is in calls and seconds.
    """

    digest: str
    organisation: str
    destination: str
    object_kind: str
    created_at: dt.datetime
    base: int
    desired_batch: int
    counts: Mapping[str, int]
    field_counts: Mapping[str, int]
    reason_counts: Mapping[str, int]
    consent_widened: int
    guards: tuple[GuardVerdict, ...]
    estimated_calls: int
    estimated_seconds: float
    mapping_version: str
    is_full: bool

    @property
    def size(self) -> int:
        """Changes in the plan; ``unchanged`` objects are not changes."""
        return sum(self.counts.get(kind, 0) for kind in CHANGE_KINDS)

    @property
    def is_guarded(self) -> bool:
        """Whether any guard stopped the plan."""
        return any(not verdict.passed for verdict in self.guards)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """One record that was set aside. ``payload`` is the record as it came (personal data)."""

    stage: Literal["land", "resolve", "apply"]
    dataset: str
    key: str
    reason: str
    detail: str
    payload: str
    plan_digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRecord:
    """One explicit answer of one person about one channel, as a side told us.

    ``at`` is the time in the data (None when the data carries none), ``seen_at`` ours.
    ``origin`` names who said so: ``loke``, ``crm_com``...
    """

    key: str
    channel: Literal["email", "sms"]
    is_granted: bool
    at: dt.datetime | None
    seen_at: dt.datetime
    origin: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of a doctor's report."""

    check: str
    is_ok: bool
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """A destination's call budget: calls a second, calls in flight."""

    calls_per_second: float = 20.0
    concurrency: int = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """Every wait and time-out, in seconds, in one place."""

    retry_base_seconds: float = 0.5
    retry_max_seconds: float = 60.0
    attempts: int = 5
    connect_seconds: float = 5.0
    timeout_seconds: float = 60.0
    settle_seconds: float = 2.0
    lease_seconds: float = 60.0
    overlap_seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a stage is: ``done`` of ``total`` (None when unknown), counted in ``unit``."""

    stage: str
    done: int
    total: int | None
    unit: str
    notes: Mapping[str, int] = field(default_factory=dict)
