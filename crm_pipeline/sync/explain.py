"""Explain: where each value in a CRM comes from, from the source's page to the CRM's answer.

Reads only. Everything is answered from what was written down when it happened: the landed row and
the digest of its page, the mapping, the plan and who approved it, the receipt. With ``live`` the
source and the CRM are asked what they hold now.
"""

import datetime as dt
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import msgspec

from crm_pipeline.core.mapping import column_lineage
from crm_pipeline.core.ports import PeopleApi
from crm_pipeline.core.records import AppliedObject, ConsentRecord, Fields
from crm_pipeline.errors import DataError
from crm_pipeline.store.ledger import Approval, Outcome
from crm_pipeline.sync.binding import DestinationBinding, OrganisationBinding
from crm_pipeline.sync.land import landed_table
from crm_pipeline.sync.workspace import Workspace

#: The landed dataset behind each kind of object, and the column that names its record.
_ORIGINS: Mapping[str, tuple[tuple[str, str, str], ...]] = {
    "contact": (("loke", "customers", "id"),),
    "membership": (("loke", "list_members", "customer_id"),),
    "purchase": (("loke", "payments", "id"), ("sopost", "orders", "id")),
    "refund": (("loke", "payments", "id"),),
    "product": (("catalogue", "products", "sku"),),
}
_SAMPLE_ORDER = "custom.sopost_last_order_id"
_ADDRESS = (
    "address_line_1",
    "address_line_2",
    "town_city",
    "state_province_county",
    "postal_code",
    "address_country",
)
_OPT_OUTS = {"email_opt_out": "email", "sms_opt_out": "sms"}
_PROVENANCE = ("version_at", "landed_at", "origin", "page_digest", "batch")


class NothingKnownError(DataError):
    """Nothing is known of an object under the name that was given."""

    code = "nothing_known"


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceRow:
    """One landed record behind an object: where it was read, and what it said.

    ``values`` are the source's own, personal data; the rest may be shown to anybody. ``is_later``:
    the version that was sent is not kept any more (``retention``), this is the oldest that is.
    """

    dataset: str
    id: str
    version_at: dt.datetime | None
    landed_at: dt.datetime
    origin: str
    page_digest: str
    batch: int
    values: Mapping[str, Any]
    is_later: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldExplained:
    """One field: what the CRM acknowledged, what it should hold now, and the columns behind it.

    ``columns`` are ``<source>/<dataset>.<column>``. ``consents`` are the answers that decide an
    opt-out. ``found`` is what the CRM holds at this moment, when it was asked.
    """

    name: str
    wrote: Any
    wanted: Any
    is_withheld: bool
    columns: tuple[str, ...]
    consents: tuple[ConsentRecord, ...] = ()
    found: Any = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Everything that is known about one object in one CRM. ``applied`` is None before a write."""

    organisation: str
    destination: str
    object_kind: str
    key: str
    applied: AppliedObject | None
    mapping_version: str
    planned_at: dt.datetime | None
    approval: Approval | None
    outcome: Outcome | None
    rows: tuple[SourceRow, ...]
    fields: tuple[FieldExplained, ...]
    links: tuple[str, ...] = ()
    lists: tuple[str, ...] = field(default=())


def explain(
    ws: Workspace,
    organisation: OrganisationBinding,
    destination: DestinationBinding,
    object_kind: str,
    name: str,
    *,
    only: str | None = None,
    is_live: bool = False,
) -> Explanation:
    """Return where the values of one object come from.

    ``name`` is our key, or the source's id of the record; ``only`` narrows to one field. Raises
    NothingKnownError when there is no such object, and what source and CRM raise when asked.
    """
    key = name if ":" in name else f"{organisation.resolve.key_prefix}:{name}"
    slug, crm = organisation.slug, destination.spec.name
    applied = ws.ledger.applied.get_many(slug, crm, object_kind, [key]).get(key)
    wanted = _wanted(ws, slug, destination.spec.kind(object_kind).table, key)
    if applied is None and wanted is None:
        raise NothingKnownError(
            f"{slug} has no {object_kind} {key!r} for {crm}.",
            remedy="Give the source's id, or our key such as `loke:01H...`.",
        )
    rows = _rows(ws, organisation, object_kind, key, applied, wanted or {})
    found = _found(destination, object_kind, key, applied) if is_live else {}
    fields = _fields(ws, organisation, object_kind, key, applied, wanted or {}, found)
    plan = ws.ledger.plans.get(slug, crm, applied.plan_digest) if applied else None
    return Explanation(
        organisation=slug,
        destination=crm,
        object_kind=object_kind,
        key=key,
        applied=applied,
        mapping_version=plan.header.mapping_version if plan else "",
        planned_at=plan.header.created_at if plan else None,
        approval=ws.ledger.plans.approval(slug, crm, applied.plan_digest) if applied else None,
        outcome=ws.ledger.outbox.outcome(slug, crm, applied.plan_digest, object_kind, key)
        if applied
        else None,
        rows=rows,
        fields=tuple(each for each in fields if only in (None, each.name)),
        links=tuple(f"{source}/{each}" for source, each in _links(ws, slug, key)),
        lists=_lists(organisation, key) if is_live and object_kind == "contact" else (),
    )


def _wanted(ws: Workspace, slug: str, table: str, key: str) -> Fields | None:
    """Return the newest desired object of a key."""
    if not ws.lake.exists(slug, table):
        return None
    reader = ws.lake.scan(
        slug, table, columns=("fields", "batch"), where="key = ?", parameters=[key]
    )
    rows = [row for batch in reader for row in batch.to_pylist()]
    if not rows:
        return None
    fields: Fields = msgspec.json.decode(max(rows, key=lambda row: row["batch"])["fields"])
    return fields


def _links(ws: Workspace, slug: str, key: str) -> list[tuple[str, str]]:
    """Return who of each source this contact is, besides who its key says."""
    people = ((name, ws.ledger.links.people(slug, name, [key])) for name in ("loke", "sopost"))
    return [(name, each) for name, found in people for each in found.get(key, [])]


def _rows(
    ws: Workspace,
    organisation: OrganisationBinding,
    object_kind: str,
    key: str,
    applied: AppliedObject | None,
    wanted: Fields,
) -> tuple[SourceRow, ...]:
    """Return the landed records that the object was made of, as they were when it was sent."""
    slug, until = organisation.slug, applied.applied_at if applied else None
    prefix, _, source_id = key.removesuffix(":refund").partition(":")
    ids: list[tuple[str, str, str, str]] = [
        (source, dataset, column, source_id)
        for source, dataset, column in _ORIGINS.get(object_kind, ())
        if prefix in (_prefix(organisation, source), "sku")
    ]
    ids += [
        ("loke", "customers", "id", each)
        for name, each in _links(ws, slug, key)
        if name == "loke" and object_kind == "contact"
    ]
    order = (applied.fields if applied else wanted).get(_SAMPLE_ORDER)
    if order:
        ids.append(("sopost", "orders", "id", str(order)))
    found = (_row(ws, slug, *each, until) for each in ids)
    return tuple(row for row in found if row is not None)


def _prefix(organisation: OrganisationBinding, source: str) -> str:
    return organisation.resolve.key_prefix if source == organisation.resolve.source else source


def _row(
    ws: Workspace,
    slug: str,
    source: str,
    dataset: str,
    column: str,
    value: str,
    until: dt.datetime | None,
) -> SourceRow | None:
    table = landed_table(source, dataset)
    if not ws.lake.exists(slug, table):
        return None
    reader = ws.lake.scan(slug, table, where=f'"{column}" = ?', parameters=[value])
    versions = [row for batch in reader for row in batch.to_pylist()]
    if not versions:
        return None
    past = [row for row in versions if until is None or row["landed_at"] <= until]
    newest = max(past, key=_rank) if past else min(versions, key=_rank)
    hidden = {"id", "fingerprint", *_PROVENANCE}
    return SourceRow(
        dataset=f"{source}/{dataset}",
        id=newest["id"],
        **{name: newest[name] for name in _PROVENANCE},
        values={name: each for name, each in newest.items() if name not in hidden},
        is_later=not past,
    )


def _rank(row: Mapping[str, Any]) -> tuple[dt.datetime, int]:
    return row["version_at"] or row["landed_at"], row["batch"]


def _fields(
    ws: Workspace,
    organisation: OrganisationBinding,
    object_kind: str,
    key: str,
    applied: AppliedObject | None,
    wanted: Fields,
    found: Fields,
) -> list[FieldExplained]:
    wrote: Fields = applied.fields if applied else {}
    withheld = set(applied.withheld) if applied else set()
    columns = _columns(organisation) if object_kind == "contact" else {}
    said = ws.ledger.consents.of(organisation.slug, [key]).get(key, [])
    return [
        FieldExplained(
            name=name,
            wrote=wrote.get(name),
            wanted=wanted.get(name),
            is_withheld=name in withheld,
            columns=columns.get(name, ()),
            consents=tuple(each for each in said if each.channel == _OPT_OUTS.get(name)),
            found=found.get(name),
        )
        for name in sorted({*wrote, *wanted})
    ]


def _columns(organisation: OrganisationBinding) -> Mapping[str, tuple[str, ...]]:
    """Return the landed columns behind each field of a contact."""
    rules = organisation.resolve
    table = f"{rules.source}/{rules.dataset}"
    found = {
        name: tuple(f"{table}.{column}" for column in columns)
        for name, columns in column_lineage(rules.mapping).items()
    }
    samples = ("identity", "id", "status", "activity_id")
    names = ("identity", "last_order_id", "last_order_status", "last_activity_id")
    for name, column in zip(names, samples, strict=True):
        found[f"custom.sopost_{name}"] = (f"sopost/orders.{column}",)
    for name in _ADDRESS:
        found[name] = ("sopost/orders.address",)
    if rules.samples is not None:
        for question, target in rules.samples.questions.items():
            found[f"custom.{target}"] = (f"sopost/orders.custom_questions[{question}]",)
    return found


def _found(
    destination: DestinationBinding, object_kind: str, key: str, applied: AppliedObject | None
) -> Fields:
    """Ask the CRM what it holds now."""
    with closing(destination.connect()) as api:
        remote = api.find(object_kind, key, applied.crm_id if applied else None)
    return remote.fields if remote is not None else {}


def _lists(organisation: OrganisationBinding, key: str) -> tuple[str, ...]:
    """Ask the source which lists the person is in now."""
    binding = organisation.sources.get(organisation.resolve.source)
    prefix = f"{organisation.resolve.key_prefix}:"
    if binding is None or not key.startswith(prefix):
        return ()
    with closing(binding.connect()) as api:
        if not isinstance(api, PeopleApi):
            return ()
        return tuple(f"{each.name} ({each.id})" for each in api.memberships(key[len(prefix) :]))
