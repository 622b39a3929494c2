"""Make a plan: work it out, judge it, name it by its content, store it."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from crm_pipeline.core.guards import PlanFigures, judge
from crm_pipeline.core.policies import PlanPolicy
from crm_pipeline.core.ports import DestinationSpec, ObjectKind
from crm_pipeline.core.records import CHANGE_KINDS, PlanHeader, Progress
from crm_pipeline.sync.binding import DestinationBinding
from crm_pipeline.sync.plan.draft import Draft, digest_of, heading_of
from crm_pipeline.sync.plan.full import FullDraft
from crm_pipeline.sync.plan.keyed import keyed_draft
from crm_pipeline.sync.plan.rows import PLAN_SCHEMA
from crm_pipeline.sync.plan.stored import plan_table, stored_changes
from crm_pipeline.sync.plan.waiting import freed
from crm_pipeline.sync.workspace import Workspace

#: Above this share of new desired rows among the known ones, set work is cheaper than keyed work
#: (``PERFORMANCE.md``: "switch from keyed to set at a few per cent changed").
KEYED_SHARE = 0.03
KEYED_ROWS = 10_000


def stage_of(destination: str, kind: ObjectKind) -> str:
    """Return the ledger's name for how far the desired objects of a kind were applied."""
    return f"plan:{destination}" if kind.name == "contact" else f"plan:{destination}:{kind.name}"


def plan_name(destination: str, object_kind: str) -> str:
    """Return how reports call the plan of a kind: contacts' by the destination alone.

    >>> plan_name("crm_com", "contact"), plan_name("crm_com", "purchase")
    ('crm_com', 'crm_com/purchase')
    """
    return destination if object_kind == "contact" else f"{destination}/{object_kind}"


def make_kind_plan(
    ws: Workspace,
    organisation: str,
    binding: DestinationBinding,
    object_kind: str,
    *,
    is_full: bool,
) -> PlanHeader:
    """Make the plan of one kind of object for a destination of an organisation."""
    policy = binding.policy_of(object_kind)
    return make_plan(
        ws, organisation, binding.spec, policy, is_full=is_full, object_kind=object_kind
    )


def make_plan(
    ws: Workspace,
    organisation: str,
    spec: DestinationSpec,
    policy: PlanPolicy,
    *,
    is_full: bool,
    object_kind: str = "contact",
) -> PlanHeader:
    """Work out, judge and store what has to change of one kind of object; return the header.

    ``is_full`` compares everything; otherwise only what was resolved since the last plan that was
    applied, and what waited for another object (a first plan is always full). Nothing is sent.
    The same desired and acknowledged objects give the same digest; a plan that exists already is
    not stored twice. The newest receipt counts as an input: the same change, wanted again later,
    is another plan.
    """
    kind = spec.kind(object_kind)
    aim = _Aim(organisation, spec, kind, policy)
    base = ws.ledger.applied.base(organisation, spec.name, object_kind)
    known = ws.ledger.applied.count(organisation, spec.name, object_kind)
    since = ws.ledger.stages.position(organisation, stage_of(spec.name, kind))
    newest = ws.lake.newest_batch(organisation, kind.table)
    is_large = newest > 0 and _is_set_work(ws, organisation, kind.table, since, known)
    if newest > 0 and (is_full or known == 0 or is_large):
        with ws.lake.session() as session:
            maker = FullDraft(ws, session, organisation, spec.name, kind, policy)
            draft = maker.work_out()
            return _stored(ws, aim, draft, known, base, is_full=True)
    older = freed(ws, organisation, spec.name, kind)
    if newest > since or older:
        draft = keyed_draft(ws, organisation, spec.name, kind, policy, since, older)
    else:
        draft = _nothing_new(since)
    return _stored(ws, aim, draft, known, base, is_full=False)


def store_draft(
    ws: Workspace, organisation: str, binding: DestinationBinding, object_kind: str, draft: Draft
) -> PlanHeader:
    """Judge, name and store a draft that was worked out by keys; return the header."""
    spec = binding.spec
    aim = _Aim(organisation, spec, spec.kind(object_kind), binding.policy_of(object_kind))
    base = ws.ledger.applied.base(organisation, spec.name, object_kind)
    known = ws.ledger.applied.count(organisation, spec.name, object_kind)
    return _stored(ws, aim, draft, known, base, is_full=False)


@dataclass(frozen=True, slots=True)
class _Aim:
    """What a plan is for."""

    organisation: str
    spec: DestinationSpec
    kind: ObjectKind
    policy: PlanPolicy


def _is_set_work(ws: Workspace, organisation: str, table: str, since: int, known: int) -> bool:
    rows = ws.lake.row_count(organisation, table, since_batch=since)
    return rows > max(KEYED_ROWS, known * KEYED_SHARE)


def _nothing_new(since: int) -> Draft:
    return Draft(
        counts={},
        field_counts={},
        reason_counts={},
        consent_widened=0,
        desired=None,
        desired_batch=since,
        identities=lambda: iter(()),
        batches=lambda: iter(()),
    )


def _stored(
    ws: Workspace, aim: _Aim, draft: Draft, known: int, base: int, *, is_full: bool
) -> PlanHeader:
    organisation, spec, kind, policy = aim.organisation, aim.spec, aim.kind, aim.policy
    heading = heading_of(organisation, spec.name, kind.name, policy.mapping_version, base)
    digest = digest_of(heading, draft.identities())
    calls = sum(
        -(-draft.counts.get(each, 0) // kind.batch_size) * kind.calls_for.get(each, 0)
        for each in CHANGE_KINDS
    )
    figures = PlanFigures(
        creates=draft.counts.get("create", 0),
        updates=draft.counts.get("update", 0),
        archives=draft.counts.get("archive", 0),
        known=known,
        desired=draft.desired,
        consent_widened=draft.consent_widened,
    )
    header = PlanHeader(
        digest=digest,
        organisation=organisation,
        destination=spec.name,
        object_kind=kind.name,
        created_at=ws.clock(),
        base=base,
        desired_batch=draft.desired_batch,
        counts={each: draft.counts.get(each, 0) for each in (*CHANGE_KINDS, "unchanged")},
        field_counts=draft.field_counts,
        reason_counts=draft.reason_counts,
        consent_widened=draft.consent_widened,
        guards=judge(figures, policy.guards),
        estimated_calls=calls,
        estimated_seconds=calls / policy.limits.calls_per_second,
        mapping_version=policy.mapping_version,
        is_full=is_full,
    )
    if header.size and not stored_changes(ws, header):
        ws.lake.append(organisation, plan_table(spec.name), _numbered(ws, header, draft))
    ws.ledger.plans.save(header, "guarded" if header.is_guarded else "planned")
    return header


def _numbered(ws: Workspace, header: PlanHeader, draft: Draft) -> pa.RecordBatchReader:
    """Give the rows the plan's digest and their place in the order."""

    def batches() -> Iterator[pa.RecordBatch]:
        place = itertools.count()
        done = 0
        for batch in draft.batches():
            rows = batch.num_rows
            digests = pa.repeat(pa.scalar(header.digest), rows)
            seqs = pa.array(list(itertools.islice(place, rows)), pa.int64())
            arrays = [digests, seqs, *batch.columns]
            table = pa.Table.from_arrays(arrays, names=PLAN_SCHEMA.names).cast(PLAN_SCHEMA)
            yield from table.to_batches()
            done += rows
            ws.report_progress(Progress(stage="plan", done=done, total=header.size, unit="changes"))

    return pa.RecordBatchReader.from_batches(PLAN_SCHEMA, batches())
