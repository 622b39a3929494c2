"""Erases anew who was erased before: after a lake or a ledger was put back from a backup.

Tombstones name nobody, so every identifier in the stores is compared with them. Tombstones that a
restored ledger lacks come back from the receipts.
"""

from collections.abc import Iterable, Iterator

from crm_pipeline.core.subject import (
    CONTACT,
    CRM_ORDER,
    CUSTOMER,
    LOKE_ORDER,
    MEMBER,
    PAYMENT,
    PERSON,
    SAMPLE,
    Subject,
)
from crm_pipeline.core.tombstones import identifying_columns
from crm_pipeline.store.ledger import Stone
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.erase.checking import Erased, erased_of
from crm_pipeline.sync.erase.receipts import read_receipts
from crm_pipeline.sync.erase.running import (
    ErasureReport,
    carry_on,
    leased,
    open_erasure,
    resume_erasures,
)
from crm_pipeline.sync.erase.subject import subject_of_keys
from crm_pipeline.sync.land.report import landed_table
from crm_pipeline.sync.resolve.samples import PERSON_MACRO
from crm_pipeline.sync.workspace import Workspace

_LANDED = (CUSTOMER, PAYMENT, LOKE_ORDER, MEMBER, SAMPLE, CRM_ORDER)


def erase_again(
    ws: Workspace, organisation: OrganisationBinding, *, who: str
) -> list[ErasureReport]:
    """Look for everybody who was erased, in all stores, and erase whom it finds. Raises as erase.

    Reads every id that is stored: about ten seconds for five million.
    """
    with leased(ws, organisation):
        return again_under_lease(ws, organisation, who=who)


def again_under_lease(
    ws: Workspace, organisation: OrganisationBinding, *, who: str
) -> list[ErasureReport]:
    """Do the same for a caller that holds the organisation's sync lease."""
    restore_tombstones(ws, organisation.slug)
    reports = resume_erasures(ws, organisation, who=who)
    erased = erased_of(ws, organisation.slug)
    keys = set(_keys_found(ws, organisation, erased)) if erased else set()
    # One by one: each is a person of their own, with media of their own.
    for key in sorted(keys):
        subject = subject_of_keys(ws, organisation, {key})
        if not subject.is_empty:
            erasure = open_erasure(ws, organisation.slug, subject)
            reports.append(carry_on(ws, organisation, erasure, who=who))
    return reports


def restore_tombstones(ws: Workspace, slug: str) -> int:
    """Bring tombstones back that the receipts tell of and the ledger does not have; count them."""
    if ws.receipts is None or not ws.receipts.exists():
        return 0
    known = {stone.digest for stone in ws.ledger.tombstones.of(slug)}
    restored = 0
    for receipt in read_receipts(ws.receipts, slug):
        missing = [stone for stone in receipt.tombstones if stone.digest not in known]
        if missing:
            _bring_back(ws, slug, receipt.erasure, missing)
            restored += len(missing)
    return restored


def _bring_back(ws: Workspace, slug: str, erasure_id: str, stones: list[Stone]) -> None:
    tombstones = ws.ledger.tombstones
    tombstones.begin(slug, erasure_id, Subject(), stones)
    erasure = tombstones.get(slug, erasure_id)
    if erasure is not None and not erasure.is_complete:
        tombstones.complete(tombstones.forget_subject(erasure))


def _keys_found(ws: Workspace, organisation: OrganisationBinding, erased: Erased) -> Iterator[str]:
    """Give the keys of contacts that are erased people's, in the lake and in the ledger."""
    slug = organisation.slug
    prefix = f"{organisation.resolve.key_prefix}:"
    samples = organisation.resolve.samples
    sample_prefix = f"{samples.key_prefix if samples else 'sopost'}:"
    with ws.lake.session() as session:
        session.execute(PERSON_MACRO)
        for name in _LANDED:
            source, dataset = name.split("/")
            if not ws.lake.exists(slug, landed_table(source, dataset)):
                continue
            session.attach("looked_at", slug, landed_table(source, dataset))
            # Who was given no id is known by their orders.
            columns = {column: (kind, column) for column, kind in _whose(source, dataset)}
            if name == SAMPLE:
                columns["id"] = (SAMPLE, "person_of(identity, email)")
            for column, (kind, person) in columns.items():
                start = {CUSTOMER: prefix, CONTACT: ""}.get(kind, sample_prefix)
                query = f"SELECT DISTINCT {column} AS value, {person} AS person FROM looked_at"  # noqa: S608
                rows = (row for batch in session.sql(query) for row in batch.to_pylist())
                yield from (
                    f"{start}{row['person']}" for row in rows if erased.has(kind, row["value"])
                )
    yield from (key for key in _ledger_keys(ws, organisation) if erased.has(CONTACT, key))


def _whose(source: str, dataset: str) -> Iterator[tuple[str, str]]:
    """Give the columns of a dataset that name a person, with the kind of identifier."""
    for column, kind in identifying_columns(source, dataset).items():
        if kind in (CUSTOMER, PERSON, CONTACT):
            yield column, kind


def _ledger_keys(ws: Workspace, organisation: OrganisationBinding) -> Iterable[str]:
    for name in organisation.destinations:
        for batch in ws.ledger.applied.stream(organisation.slug, name, "contact"):
            yield from batch.column("key").to_pylist()
