"""Carries an erasure out: step by step, each noted when it is done, complete only at the end.

Tombstones come first: from then on nobody brings the person in again. The CRMs, the ledger and the
lake follow, each as it can be reached. Only when all of them are done does the ledger forget who
it was, its file is written anew, and the receipt is written. Whatever is killed in between goes
on where it was.
"""

import secrets
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path

from crm_pipeline.core.subject import MEDIA, Subject
from crm_pipeline.core.tombstones import key_name, refusal_key, tombstone
from crm_pipeline.errors import BugError, ConfigurationError, CrmPipelineError
from crm_pipeline.store.keyfile import KeyFile
from crm_pipeline.store.ledger import Erasure, Lease, Stone, this_process
from crm_pipeline.sync.beside import nobody_beside
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.erase.crm import crm_steps
from crm_pipeline.sync.erase.lake import count_rows, erase_rows
from crm_pipeline.sync.erase.receipts import write_receipt
from crm_pipeline.sync.erase.subject import find_subject
from crm_pipeline.sync.workspace import Workspace

LEDGER, LAKE, COMPACTED = "ledger", "lake", "compacted"
#: Stands for one of our keys where counts must go on adding up.
_RENAMED_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What is held of one person, in counts by table; nothing of it was changed."""

    contacts: int
    crm: Mapping[str, int]
    ledger: Mapping[str, int]
    lake: Mapping[str, int]
    media: int
    shared_media: int
    #: An erasure of this person was begun and is not complete.
    is_open: bool

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing of anybody."""
        return not (self.contacts or self.is_open)


@dataclass(slots=True, kw_only=True)
class ErasureReport:
    """What became of one erasure. ``troubles`` say why it is still open; empty: it is complete.

    ``removed`` counts by step and store. ``receipt`` is the file that proves it.
    """

    organisation: str
    erasure: str
    removed: Mapping[str, Mapping[str, int]]
    receipt: str = ""
    troubles: list[CrmPipelineError] = field(default_factory=list)

    @property
    def is_complete(self) -> bool:
        """Whether nothing is left to do."""
        return not self.troubles

    @property
    def left_to_vendor(self) -> int:
        """Objects in CRMs that only their owner can erase there."""
        return sum(counts.get("left_to_vendor", 0) for counts in self.removed.values())


def look(ws: Workspace, organisation: OrganisationBinding, text: str) -> Findings:
    """Return what is held of a person; see ``find_subject`` for ``text``."""
    subject = find_subject(ws, organisation, text)
    is_open = _begun(ws, organisation.slug, text) is not None
    if subject.is_empty:
        return Findings(
            contacts=0, crm={}, ledger={}, lake={}, media=0, shared_media=0, is_open=is_open
        )
    return Findings(
        contacts=len(subject.keys),
        crm={name: len(contacts) for name, contacts in subject.crm_ids.items()},
        ledger={
            table: count
            for table, count in ws.ledger.erasing.count(organisation.slug, subject).items()
            if count
        },
        lake=count_rows(ws, organisation.slug, subject),
        media=len(subject.emails) + len(subject.phones),
        shared_media=subject.shared_media,
        is_open=is_open,
    )


def erase(
    ws: Workspace, organisation: OrganisationBinding, text: str, *, who: str
) -> ErasureReport | None:
    """Erase a person everywhere, for ever; None when nobody was found.

    An erasure of theirs that was begun goes on first: what it has taken out finds nobody any more.
    Raises LeaseHeldError while another process works for the organisation, ConfigurationError for
    a text that means several people. Whatever else stops it is in the report: it stays open.
    """
    with leased(ws, organisation):
        begun = _begun(ws, organisation.slug, text)
        report = None if begun is None else carry_on(ws, organisation, begun, who=who)
        subject = find_subject(ws, organisation, text)
        if subject.is_empty or (report is not None and not report.is_complete):
            return report
        erasure = open_erasure(ws, organisation.slug, subject)
        return carry_on(ws, organisation, erasure, who=who)


def _begun(ws: Workspace, slug: str, text: str) -> Erasure | None:
    """Return the open erasure of whom a text names."""
    is_open = ws.ledger.tombstones.list(slug, is_open=True)
    if not is_open:
        return None
    key = _key_of(ws).ensure()
    for erasure in is_open:
        made = {
            stone.digest: stone.kind for stone in ws.ledger.tombstones.made_by(slug, erasure.id)
        }
        if any(tombstone(key, slug, kind, text) in made for kind in set(made.values())):
            return erasure
    return None


def resume(ws: Workspace, organisation: OrganisationBinding, *, who: str) -> list[ErasureReport]:
    """Go on with every open erasure of an organisation. Raises LeaseHeldError."""
    with leased(ws, organisation):
        return resume_erasures(ws, organisation, who=who)


def resume_erasures(
    ws: Workspace, organisation: OrganisationBinding, *, who: str = "sync"
) -> list[ErasureReport]:
    """Go on with every open erasure; the caller holds the organisation's sync lease.

    Costs one query of the ledger when none is open.
    """
    is_open = ws.ledger.tombstones.list(organisation.slug, is_open=True)
    return [carry_on(ws, organisation, each, who=who) for each in is_open]


def open_erasure(ws: Workspace, slug: str, subject: Subject) -> Erasure:
    """Write tombstones and state down, durably and at once; return the erasure."""
    key = _key_of(ws).ensure()
    erasure_id = secrets.token_hex(16)
    ws.ledger.tombstones.begin(slug, erasure_id, subject, stones_of(key, slug, subject))
    erasure = ws.ledger.tombstones.get(slug, erasure_id)
    if erasure is None:
        raise BugError("An erasure that was begun is not in the ledger.")
    return erasure


def carry_on(
    ws: Workspace, organisation: OrganisationBinding, erasure: Erasure, *, who: str
) -> ErasureReport:
    """Do every step that is not done yet; the caller holds the organisation's sync lease."""
    troubles: list[CrmPipelineError] = []
    if erasure.subject is not None:
        erasure = _take_out(ws, organisation, erasure, erasure.subject, troubles)
    report = ErasureReport(
        organisation=erasure.organisation,
        erasure=erasure.id,
        removed=erasure.steps,
        troubles=troubles,
    )
    if not troubles:
        try:
            report.receipt = _close(ws, erasure, who)
        except CrmPipelineError as error:
            troubles.append(error)
    return report


def stones_of(key: bytes, slug: str, subject: Subject) -> list[Stone]:
    """Return the tombstones of a person, each once."""
    digests = {tombstone(key, slug, kind, value): kind for kind, value in subject.identifiers()}
    name = key_name(key)
    return [Stone(kind=kind, digest=digest, key_name=name) for digest, kind in digests.items()]


def _take_out(
    ws: Workspace,
    organisation: OrganisationBinding,
    erasure: Erasure,
    subject: Subject,
    troubles: list[CrmPipelineError],
) -> Erasure:
    """Take the person out of the CRMs, the ledger and the lake; forget who it was at the end."""
    steps: dict[str, Callable[[], Mapping[str, int]]] = {
        f"crm:{name}": run for name, run in crm_steps(ws, organisation, subject).items()
    }
    steps[LEDGER] = lambda: _out_of_ledger(ws, erasure.organisation, subject)
    steps[LAKE] = lambda: _out_of_lake(ws, erasure.organisation, subject)
    for name, run in steps.items():
        if name in erasure.steps:
            continue
        try:
            counts = run()
        except CrmPipelineError as error:
            troubles.append(error)
        else:
            erasure = ws.ledger.tombstones.finish_step(erasure, name, counts)
    if troubles:
        return erasure
    # Webhooks and an apply that was cut off may have written meanwhile.
    late = _out_of_ledger(ws, erasure.organisation, subject)
    erasure = ws.ledger.tombstones.finish_step(
        erasure, LEDGER, _added(erasure.steps.get(LEDGER, {}), late)
    )
    return ws.ledger.tombstones.forget_subject(erasure)


def _out_of_ledger(ws: Workspace, slug: str, subject: Subject) -> Mapping[str, int]:
    key = _key_of(ws).read()
    digests = {
        name: refusal_key(tombstone(key, slug, "object", name)[:_RENAMED_DIGITS])
        for names in subject.objects.values()
        for name in names
    }
    media = [
        refusal_key(stone.digest) for stone in stones_of(key, slug, subject) if stone.kind in MEDIA
    ]
    return ws.ledger.erasing.remove(slug, subject, digests, media)


def _out_of_lake(ws: Workspace, slug: str, subject: Subject) -> Mapping[str, int]:
    """Whoever starts to write afterwards looks at the tombstones, which are there already."""
    with nobody_beside(ws, slug):
        return erase_rows(ws, slug, subject)


def _close(ws: Workspace, erasure: Erasure, who: str) -> str:
    """Write the ledger's file anew, the receipt, and that all is done; return the receipt."""
    tombstones = ws.ledger.tombstones
    is_compacted = tombstones.compact()
    erasure = tombstones.finish_step(erasure, COMPACTED, {LEDGER: int(is_compacted)})
    path = write_receipt(
        _receipts_of(ws),
        erasure,
        tombstones.made_by(erasure.organisation, erasure.id),
        completed_at=ws.clock().isoformat(),
        notes={"ledger_files": "written anew" if is_compacted else "left to the operator"},
    )
    removed = {name: sum(counts.values()) for name, counts in erasure.steps.items()}
    ws.ledger.audit.append(
        erasure.organisation,
        who=who,
        what="person_erased",
        details={"erasure": erasure.id, **{f"removed {k}": str(v) for k, v in removed.items()}},
    )
    tombstones.complete(erasure)
    return str(path)


def _added(left: Mapping[str, int], right: Mapping[str, int]) -> dict[str, int]:
    return {name: left.get(name, 0) + right.get(name, 0) for name in {**left, **right}}


def leased(ws: Workspace, organisation: OrganisationBinding) -> AbstractContextManager[Lease]:
    """Return what holds the organisation's sync lease for a block."""
    name = f"sync:{organisation.slug}"
    return ws.ledger.leases.hold(name, this_process(), ws.waits.lease_seconds)


def _key_of(ws: Workspace) -> KeyFile:
    if ws.tombstone_key is None:
        raise _homeless()
    return ws.tombstone_key


def _receipts_of(ws: Workspace) -> Path:
    if ws.receipts is None:
        raise _homeless()
    return ws.receipts


def _homeless() -> ConfigurationError:
    return ConfigurationError(
        "This installation has no place for the key of tombstones and for receipts.",
        not_done="Nobody was erased.",
    )
