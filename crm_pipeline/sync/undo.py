"""Undo: write the before-images of one applied plan back, where the CRM still holds our values.

An undo is itself a plan: stored, judged by the guards, applied by the same engine, explained like
any other. Here: what can be taken back, object by object, and why the rest is left. It never opens
a channel that the consent log does not open. What it took back is held (``sync.apply.holding``).
"""

import itertools
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import Literal

from crm_pipeline.core.audit import Detail
from crm_pipeline.core.consent import decide
from crm_pipeline.core.diff import OPT_OUT_FIELDS
from crm_pipeline.core.fingerprint import fingerprint
from crm_pipeline.core.ports import DestinationApi, ObjectKind
from crm_pipeline.core.records import (
    AppliedObject,
    Change,
    FieldValue,
    PlanHeader,
    Progress,
    RemoteObject,
)
from crm_pipeline.errors import DataError, TryLaterError
from crm_pipeline.store.ledger import this_process
from crm_pipeline.sync.account import require_same_account
from crm_pipeline.sync.apply import ApplyReport, apply_plan, recover_writes
from crm_pipeline.sync.apply.holding import UNDO
from crm_pipeline.sync.audit import record
from crm_pipeline.sync.binding import DestinationBinding
from crm_pipeline.sync.plan import iter_changes, load_plan, require_changes, stage_of
from crm_pipeline.sync.plan.desired import newest_desired
from crm_pipeline.sync.plan.keyed import draft_of_rows
from crm_pipeline.sync.plan.make import store_draft
from crm_pipeline.sync.plan.rows import Desired, DraftRow, archive_row, update_row
from crm_pipeline.sync.workspace import Workspace

#: Objects looked at together: one lease of calls, one look into ledger and lake.
CHUNK = 64

#: Why something is left as it is, each with what it means.
Reason = Literal[
    "immutable",
    "created",
    "not_applied",
    "changed_by_later_plan",
    "changed_in_crm",
    "gone_from_crm",
    "consent_not_given",
    "already_archived",
    "not_readable",
]
REASONS: Mapping[Reason, str] = {
    "immutable": "A purchase or refund is a fact: void it in the CRM, or refund it at the source.",
    "created": "The plan created it. Nothing is deleted; `--archive-created` opts it out.",
    "not_applied": "The plan did not change it.",
    "changed_by_later_plan": "A later plan wrote it: undo that one first.",
    "changed_in_crm": "Somebody changed it in the CRM since; it is theirs.",
    "gone_from_crm": "The CRM has it no more.",
    "consent_not_given": "It would let the person be contacted, and no consent says so.",
    "already_archived": "Both opt-outs are set already.",
    "not_readable": "The CRM did not say what it holds: undo once more.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """What an undo leaves: an object, or some fields of it. Without values."""

    key: str
    reason: Reason
    fields: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class UndoReport:
    """What an undo took back and what it left.

    ``fields`` counts the objects in which a field was taken back, ``archived`` the created objects
    that were opted out. ``plan`` is the undo's own plan; None in a dry run, and when nothing can be
    taken back. ``applied`` says how its changes ended.
    """

    undone: PlanHeader
    objects: int = 0
    archived: int = 0
    fields: Counter[str] = field(default_factory=Counter)
    skipped: list[Skipped] = field(default_factory=list)
    plan: PlanHeader | None = None
    applied: ApplyReport | None = None

    @property
    def reasons(self) -> Mapping[str, int]:
        """How many skips there are for each reason."""
        return dict(Counter(each.reason for each in self.skipped).most_common())


def undo(
    ws: Workspace,
    organisation: str,
    binding: DestinationBinding,
    digest: str,
    *,
    by: str,
    is_dry_run: bool = False,
    is_archiving: bool = False,
) -> UndoReport:
    """Take one plan back and return what was done and what was left.

    ``is_archiving`` opts out whom the plan created. A dry run reads the CRM and stores nothing.
    Works for a paused organisation: whoever undoes has usually paused first.

    Raises PlanUnknownError for an unknown digest, PlanForgottenError for one that is kept no more,
    LeaseHeldError while another process works;
    PlanGuardedError when a guard stopped the undo (its plan is stored and can be approved by its
    digest, then undo again or apply it); and what ``apply_plan`` raises. Safe to repeat.
    """
    seconds, name = ws.waits.lease_seconds, binding.spec.name
    with (
        ws.ledger.leases.hold(f"sync:{organisation}", this_process(), seconds),
        closing(binding.connect()) as api,
    ):
        require_same_account(ws, organisation, binding)
        report = UndoReport(undone=load_plan(ws, organisation, name, digest))
        missing = "Nothing was done: what the CRM held before is not known."
        require_changes(ws, report.undone, not_done=missing)
        if not is_dry_run:
            recover_writes(ws, organisation, binding, api)
        work = _Undoing(ws, binding, api, report, is_archiving=is_archiving)
        rows = [row for changes in work.chunks() for row in work.work_out(changes)]
        if rows and not is_dry_run:
            _carry_out(ws, binding, api, report, rows, by)
    return report


def _carry_out(
    ws: Workspace,
    binding: DestinationBinding,
    api: DestinationApi,
    report: UndoReport,
    rows: Sequence[DraftRow],
    by: str,
) -> None:
    undone = report.undone
    organisation, kind = undone.organisation, binding.spec.kind(undone.object_kind)
    position = ws.ledger.stages.position(organisation, stage_of(undone.destination, kind))
    draft = draft_of_rows(rows, unchanged=0, desired_batch=position)
    report.plan = store_draft(ws, organisation, binding, kind.name, draft)
    try:
        report.applied = apply_plan(ws, organisation, binding, api, report.plan, by=by)
    finally:
        details: dict[str, Detail] = {
            "undone": undone.digest,
            "digest": report.plan.digest,
            "objects": report.objects,
            "archived": report.archived,
            "fields": sorted(report.fields),
            "skipped": len(report.skipped),
            "is_applied": report.applied is not None,
        }
        record(ws, organisation, by=by, what="undo", details=details)


class _Undoing:
    """Works out, chunk by chunk, what of a plan can be taken back; notes the rest as skipped."""

    def __init__(
        self,
        ws: Workspace,
        binding: DestinationBinding,
        api: DestinationApi,
        report: UndoReport,
        *,
        is_archiving: bool,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ws = ws
        self._binding = binding
        self._api = api
        self._report = report
        self._header = report.undone
        self._kind: ObjectKind = binding.spec.kind(report.undone.object_kind)
        self._is_archiving = is_archiving and "archive" in self._kind.calls_for
        self._sleep = sleep
        self._looked_at = 0

    def chunks(self) -> Iterator[Sequence[Change]]:
        """Give the changes of the plan, several at a time."""
        changes = iter_changes(self._ws, self._header)
        while some := list(itertools.islice(changes, CHUNK)):
            yield some
            self._looked_at += len(some)
            self._ws.report_progress(
                Progress(
                    stage="undo", done=self._looked_at, total=self._header.size, unit="changes"
                )
            )

    def work_out(self, changes: Sequence[Change]) -> list[DraftRow]:
        """Return what takes some changes back, each as a change of its own."""
        header = self._header
        place = (header.organisation, header.destination, header.object_kind)
        applied = self._ws.ledger.applied.get_many(*place, [change.key for change in changes])
        ours: list[tuple[Change, AppliedObject]] = []
        for change in changes:
            known = applied.get(change.key)
            reason = self._left_because(change, known)
            if reason is not None or known is None:
                self._skip(change, reason or "not_applied")
            else:
                ours.append((change, known))
        found = self._read([known for _, known in ours])
        closed = self._closed_channels([change for change, _ in ours])
        rows = []
        for (change, known), remote in zip(ours, found, strict=True):
            row = self._row(change, known, remote, closed.get(change.key, frozenset()))
            if row is not None:
                rows.append(row)
        return rows

    def _left_because(self, change: Change, known: AppliedObject | None) -> Reason | None:
        """Return why a change cannot be taken back, as far as the ledger can tell."""
        header = self._header
        if known is None or known.plan_digest != header.digest:
            place = (header.organisation, header.destination, header.digest)
            outcome = self._ws.ledger.outbox.outcome(*place, change.object_kind, change.key)
            was_written = outcome is not None and outcome.outcome == "applied"
            return "changed_by_later_plan" if was_written else "not_applied"
        if self._kind.is_immutable:
            return "immutable"
        if change.kind == "create" and not self._is_archiving:
            return "created"
        return None if change.changed else "not_applied"

    # -- what the CRM holds ----------------------------------------------------------------------

    def _read(self, objects: Sequence[AppliedObject]) -> list[RemoteObject | Reason]:
        """Read objects inside the call budget; a failed look is a reason to leave the object."""
        if not objects:
            return []
        limits = self._binding.plan.limits
        pause = self._ws.ledger.budgets.lease(
            self._binding.account, len(objects), limits.calls_per_second
        )
        if pause > 0:
            self._sleep(pause)
        with ThreadPoolExecutor(limits.concurrency, "undo") as pool:
            return list(pool.map(self._read_one, objects))

    def _read_one(self, known: AppliedObject) -> RemoteObject | Reason:
        try:
            remote = self._api.find(self._kind.name, known.key, known.crm_id)
        except (TryLaterError, DataError):
            return "not_readable"
        return "gone_from_crm" if remote is None else remote

    # -- consent ---------------------------------------------------------------------------------

    def _closed_channels(self, changes: Sequence[Change]) -> dict[str, frozenset[str]]:
        """Return, by key, the opt-outs that must not be taken back.

        Opening needs a consent in the log that nobody withdrew, and a source that says yes now.
        """
        opening = {change.key: _opened(change) for change in changes}
        keys = [key for key, names in opening.items() if names]
        if not keys:
            return {}
        organisation = self._header.organisation
        said = self._ws.ledger.consents.of(organisation, keys)
        desired = newest_desired(self._ws, organisation, self._kind.table, keys)
        closed: dict[str, frozenset[str]] = {}
        for key in keys:
            wanted = desired[key].fields if key in desired else {}
            closed[key] = frozenset(
                name
                for name in opening[key]
                if wanted.get(name) is not False
                or not decide(each for each in said.get(key, ()) if each.channel == _CHANNEL[name])
            )
        return closed

    # -- one change ------------------------------------------------------------------------------

    def _row(
        self,
        change: Change,
        known: AppliedObject,
        remote: RemoteObject | Reason,
        closed: frozenset[str],
    ) -> DraftRow | None:
        if not isinstance(remote, RemoteObject):
            self._skip(change, remote)
            return None
        if change.kind == "create":
            return self._archived(change, known)
        names = [name for name in change.changed if name not in known.withheld]
        is_same = self._binding.spec.is_same
        theirs = [
            name
            for name in names
            if not is_same(name, known.fields.get(name), remote.fields.get(name))
        ]
        self._skip(change, "changed_in_crm", theirs)
        self._skip(change, "consent_not_given", [n for n in names if n in closed - set(theirs)])
        back = [name for name in names if name not in closed and name not in theirs]
        return self._taken_back(change, known, back) if back else None

    def _taken_back(self, change: Change, known: AppliedObject, names: list[str]) -> DraftRow:
        """Return the change that gives some fields the values that they had before the plan."""
        before = change.before or {}
        after: dict[str, FieldValue] = {
            name: value for name, value in known.fields.items() if name not in names
        }
        after |= {name: before[name] for name in names if name in before}
        wanted = Desired(
            key=change.key,
            fields=after,
            fingerprint=fingerprint(after),
            version_at=known.version_at,
            withheld=known.withheld,
        )
        self._report.objects += 1
        self._report.fields.update(names)
        return _as_undo(update_row(self._kind.name, wanted, known, {}, {}))

    def _archived(self, change: Change, known: AppliedObject) -> DraftRow | None:
        row = archive_row(self._kind.name, known)
        if not row.changed:
            self._skip(change, "already_archived")
            return None
        self._report.archived += 1
        return _as_undo(row)

    def _skip(self, change: Change, reason: Reason, names: Sequence[str] | None = None) -> None:
        """Note what is left: a whole object, or the fields ``names`` if there are any."""
        if names is None or names:
            skipped = Skipped(key=change.key, reason=reason, fields=tuple(names or ()))
            self._report.skipped.append(skipped)


_CHANNEL = dict(zip(OPT_OUT_FIELDS, ("email", "sms"), strict=True))


def _opened(change: Change) -> list[str]:
    """Return the opt-outs which taking a change back would lift."""
    before = change.before or {}
    return [
        name for name in OPT_OUT_FIELDS if name in change.changed and before.get(name) is not True
    ]


def _as_undo(row: DraftRow) -> DraftRow:
    return replace(row, reason=UNDO, values={**row.values, "reason": UNDO})
