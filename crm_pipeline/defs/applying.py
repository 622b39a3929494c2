"""The ops of ``<destination>/applied``: load the plan, check its guards, send, record.

An op that loses some of its organisations goes on with the others; one that loses all of them
fails, so that a run of one organisation is red at the very step that failed. ``record`` ends red
naming every organisation that was lost on the way.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import dagster as dg

from crm_pipeline.core.records import PlanHeader
from crm_pipeline.defs.bindings import connected, destination_of
from crm_pipeline.defs.failures import Trouble, dagster_failures, failure_of_many
from crm_pipeline.defs.isolation import Results, materialised, work_through
from crm_pipeline.defs.metadata import applied_metadata, not_used
from crm_pipeline.sync.apply import ApplyReport, apply_plan
from crm_pipeline.sync.apply.gate import require_approval
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.plan import load_plan, plans_to_apply
from crm_pipeline.wiring import Runtime

#: What passes between ops, as JSON: ``ready`` by slug, and the troubles so far.
Handover = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """The organisations of a run on their way through the ops."""

    destination: str
    ready: dict[str, dict[str, Any]]
    troubles: list[Trouble] = field(default_factory=list)

    @classmethod
    def of(cls, handover: Handover) -> "Batch":
        """Read a hand-over."""
        return cls(
            destination=handover["destination"],
            ready=handover["ready"],
            troubles=[Trouble(**each) for each in handover["troubles"]],
        )


Step = Callable[[OrganisationBinding, dict[str, Any]], dict[str, Any]]


def advance(runtime: Runtime, batch: Batch, step: Step, *, is_alone: bool = False) -> Handover:
    """Take each organisation one step on. Raises ``dg.Failure`` when none is left.

    Who has no plan because the CRM is not theirs comes along without anything to do.
    """

    def idle(organisation: OrganisationBinding) -> dict[str, Any] | None:
        return None if batch.destination in organisation.destinations else {}

    results = work_through(
        runtime,
        batch.ready,
        lambda binding: step(binding, batch.ready[binding.slug]),
        idle=idle,
        is_alone=is_alone,
    )
    troubles = [*batch.troubles, *results.troubles]
    if troubles and not results.done:
        raise failure_of_many(troubles, total=len(troubles))
    following = Batch(destination=batch.destination, ready=dict(results.done), troubles=troubles)
    return asdict(following)


@dg.op(description="Take the newest plan of each organisation.", ins={"plan": dg.In(dg.Nothing)})
def load_plans(context: dg.AssetExecutionContext, runtime: dg.ResourceParam[Runtime]) -> Handover:
    """Hand on the digests of each organisation's newest plans, one for each kind of object."""
    destination = context.assets_def.key.path[0]

    def step(organisation: OrganisationBinding, _before: dict[str, Any]) -> dict[str, Any]:
        binding = destination_of(organisation, destination)
        headers = plans_to_apply(runtime.workspace, organisation.slug, binding, None)
        return {"digests": {header.object_kind: header.digest for header in headers}}

    with dagster_failures():
        ready: dict[str, dict[str, Any]] = {slug: {} for slug in context.partition_keys}
        return advance(runtime, Batch(destination=destination, ready=ready), step)


@dg.op(description="Stop plans that a guard refused and nobody approved, and stale ones.")
def check_guards(runtime: dg.ResourceParam[Runtime], loaded: Handover) -> Handover:
    """Let through what may be applied."""
    batch = Batch.of(loaded)

    def step(organisation: OrganisationBinding, before: dict[str, Any]) -> dict[str, Any]:
        for header in plans_of(runtime, batch, organisation):
            require_approval(runtime.workspace, header)
        return before

    with dagster_failures():
        return advance(runtime, batch, step)


@dg.op(description="Send each change once; every change ends in exactly one outcome.")
def send(runtime: dg.ResourceParam[Runtime], checked: Handover) -> Handover:
    """Apply each plan inside the call budget of its account."""
    batch = Batch.of(checked)

    def step(organisation: OrganisationBinding, _before: dict[str, Any]) -> dict[str, Any]:
        binding = destination_of(organisation, batch.destination)
        ws, slug = runtime.workspace, organisation.slug
        with connected(binding) as api:
            return {
                header.object_kind: asdict(apply_plan(ws, slug, binding, api, header))
                for header in plans_of(runtime, batch, organisation)
            }

    with dagster_failures():
        return advance(runtime, batch, step, is_alone=True)


@dg.op(
    description="Report the outcomes; red when an organisation was lost on the way.",
    out=dg.Out(dg.Nothing),
)
def record(
    context: dg.AssetExecutionContext, sent: Handover
) -> Iterator[dg.AssetMaterialization | dg.Output[None]]:
    """Materialise the organisations that got through and name the others."""
    with dagster_failures():
        batch = Batch.of(sent)
        done = {
            slug: applied_metadata({kind: ApplyReport(**each) for kind, each in reports.items()})
            if reports
            else not_used(f"{slug} has no {batch.destination}.")
            for slug, reports in batch.ready.items()
        }
        yield from materialised(context, Results(done=done, troubles=tuple(batch.troubles)))
        yield dg.Output(None)


def plans_of(runtime: Runtime, batch: Batch, organisation: OrganisationBinding) -> list[PlanHeader]:
    """Return the very plans that ``load_plans`` took, whatever was made since."""
    ws, slug = runtime.workspace, organisation.slug
    digests = batch.ready[slug]["digests"].values()
    return [load_plan(ws, slug, batch.destination, digest) for digest in digests]
