"""Small values to put into a ledger."""

import datetime as dt

from crm_pipeline.core.records import Change, ConsentRecord, PlanHeader, Reject
from crm_pipeline.store.ledger import CompleteRead, Intent, Receipt

NOW = dt.datetime(2026, 11, 21, 12, tzinfo=dt.UTC)
ACME, CRM, KIND = "acme", "crm_com", "contact"
OF_CRM = (ACME, CRM)
OF_CONTACTS = (ACME, CRM, KIND)
CUSTOMERS = (ACME, "loke", "customers")


class Clock:
    """A wall clock that stands still until it is told."""

    def __init__(self, now=NOW):
        self.now = now

    def __call__(self):
        return self.now

    def forward(self, seconds):
        self.now += dt.timedelta(seconds=seconds)


def change(key="loke:1", *, kind="create", seq=0, name="Mina", fingerprint="f1"):
    return Change(
        seq=seq,
        lane=1,
        kind=kind,
        object_kind=KIND,
        key=key,
        crm_id=None,
        before=None,
        after={"last_name": "Okafor", "first_name": name},
        changed=("first_name",),
        reason="new",
        fingerprint=fingerprint,
        version_at=NOW - dt.timedelta(hours=1),
    )


def intent(key="loke:1", *, plan="p1", seq=0, fingerprint="f1", object_kind=KIND):
    return Intent(
        object_kind=object_kind,
        key=key,
        plan_digest=plan,
        seq=seq,
        kind="create",
        fingerprint=fingerprint,
    )


def receipt(key="loke:1", outcome="applied", *, plan="p1", email=None, phone=None, **more):
    return Receipt(
        change=change(key, **more),
        plan_digest=plan,
        outcome=outcome,
        crm_id=f"crm-{key}",
        withheld=("phone_country", "phone_number"),
        reason="answer_lost" if outcome is None else "",
        attempts=2,
        email_digest=email,
        phone_digest=phone,
    )


def header(digest="p1", *, organisation=ACME, created_at=NOW, creates=2, base=0):
    return PlanHeader(
        digest=digest,
        organisation=organisation,
        destination=CRM,
        object_kind=KIND,
        created_at=created_at,
        base=base,
        desired_batch=1,
        counts={"create": creates, "update": 0, "archive": 0, "unchanged": 7},
        field_counts={"first_name": creates},
        reason_counts={"new": creates},
        consent_widened=0,
        guards=(),
        estimated_calls=creates,
        estimated_seconds=0.1,
        mapping_version="1",
        is_full=False,
    )


def read(batch=1, *, at=NOW, rows=3, is_sweep=False, recent=()):
    return CompleteRead(at=at, batch=batch, rows=rows, is_sweep=is_sweep, recent=recent)


def consent(key="loke:1", *, is_granted=True, channel="email", at=NOW, minutes=0):
    return ConsentRecord(
        key=key,
        channel=channel,
        is_granted=is_granted,
        at=at,
        seen_at=NOW + dt.timedelta(minutes=minutes),
        origin="loke",
    )


def reject(key="loke:1", *, reason="bad_email", stage="resolve", dataset="customers", **more):
    values = {"detail": "", "payload": "{}"} | more
    return Reject(stage=stage, dataset=dataset, key=key, reason=reason, **values)
