"""What each CRM has: a plan, what was applied of it, and drift.

``plan`` and ``applied`` are two assets, so that a check or a person can stand between them.
Not here: the ops that ``applied`` is built from (``applying``).
"""

from functools import partial
from typing import Any

import dagster as dg

from crm_pipeline.core.ports import DestinationSpec
from crm_pipeline.defs.applying import check_guards, load_plans, record, send
from crm_pipeline.defs.assets import Materialised
from crm_pipeline.defs.bindings import connected
from crm_pipeline.defs.columns import applied_columns, drift_columns, held_by, plan_columns
from crm_pipeline.defs.failures import dagster_failures
from crm_pipeline.defs.idle import not_sent
from crm_pipeline.defs.isolation import materialise_each
from crm_pipeline.defs.metadata import Metadata, drift_metadata, plan_metadata
from crm_pipeline.defs.partitions import organisations
from crm_pipeline.defs.shape import OWNERS, StageConfig, policy_for
from crm_pipeline.sync.apply import recover_writes
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.plan import make_kind_plan
from crm_pipeline.sync.verify import verify
from crm_pipeline.wiring import Runtime


def plan_asset(spec: DestinationSpec) -> dg.AssetsDefinition:
    """Return the asset ``<destination>/plan``."""

    @dg.asset(
        key=[spec.name, "plan"],
        description=f"What has to change in {spec.title} so that it holds what is desired: one"
        f" plan for each kind of object ({kinds_of(spec)}). Immutable, named by its digest, judged"
        " by guards. Made by every sweep; making it sends nothing.",
        group_name=spec.name,
        kinds={"duckdb", "deltalake"},
        owners=OWNERS,
        tags={"stage": "plan", "system": spec.name},
        metadata=plan_columns(spec),
        deps=held_by(spec),
        partitions_def=organisations,
        backfill_policy=policy_for("plan"),
    )
    def plan(
        context: dg.AssetExecutionContext,
        config: StageConfig,
        runtime: dg.ResourceParam[Runtime],
    ) -> Materialised:
        stage = partial(plan_one, runtime, spec.name, config.is_full)
        with dagster_failures():
            yield from materialise_each(context, runtime, stage, partial(not_sent, spec.name))

    return plan


def applied_asset(spec: DestinationSpec) -> dg.AssetsDefinition:
    """Return the asset ``<destination>/applied``, built from ops."""

    @dg.graph_asset(
        key=[spec.name, "applied"],
        description=f"What {spec.title} acknowledged: each planned change with its one outcome."
        " Load the plan, check its guards, send, record. Sent by every sweep whose plan is inside"
        " its guards.",
        ins={"plan": dg.AssetIn([spec.name, "plan"], dagster_type=dg.Nothing)},
        group_name=spec.name,
        kinds={"python"},
        owners=OWNERS,
        tags={"stage": "applied", "system": spec.name},
        metadata=applied_columns(spec),
        partitions_def=organisations,
        backfill_policy=policy_for("applied"),
    )
    def applied(plan: Any) -> Any:
        return record(send(check_guards(load_plans(plan))))

    return applied


def drift_asset(spec: DestinationSpec) -> dg.AssetsDefinition:
    """Return the asset ``<destination>/drift``."""

    @dg.asset(
        key=[spec.name, "drift"],
        description=f"Where {spec.title} no longer holds what it acknowledged, field by field:"
        " what we wrote, what we want, what is there. Read back by `verify_schedule`; nothing is"
        " overwritten by looking.",
        group_name=spec.name,
        kinds={"python", "deltalake"},
        owners=OWNERS,
        tags={"stage": "drift", "system": spec.name},
        metadata=drift_columns(spec),
        deps=[[spec.name, "applied"]],
        partitions_def=organisations,
        backfill_policy=policy_for("drift"),
    )
    def drift(
        context: dg.AssetExecutionContext, runtime: dg.ResourceParam[Runtime]
    ) -> Materialised:
        stage = partial(verify_one, runtime, spec.name)
        with dagster_failures():
            yield from materialise_each(context, runtime, stage, partial(not_sent, spec.name))

    return drift


def kinds_of(spec: DestinationSpec) -> str:
    """Name the kinds of objects that a CRM holds, in the order in which they are sent."""
    return ", ".join(kind.title.lower() for kind in spec.kinds)


def plan_one(
    runtime: Runtime, destination: str, is_full: bool, organisation: OrganisationBinding
) -> Metadata:
    """Settle what a killed process left behind, then plan for one organisation."""
    ws, slug = runtime.workspace, organisation.slug
    binding = organisation.destinations[destination]
    with connected(binding) as api:
        recover_writes(ws, slug, binding, api)
    return plan_metadata(
        [make_kind_plan(ws, slug, binding, kind, is_full=is_full) for kind in binding.kinds]
    )


def verify_one(runtime: Runtime, destination: str, organisation: OrganisationBinding) -> Metadata:
    """Read one organisation's CRM back."""
    binding = organisation.destinations[destination]
    with connected(binding) as api:
        report = verify(
            runtime.workspace, organisation.slug, binding, api, sample=binding.verify.sample
        )
    return drift_metadata(runtime.workspace, organisation.slug, destination, report)
