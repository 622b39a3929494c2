"""What a source said (landed) and what the CRMs should hold (desired), as partitioned assets.

Rows are in the lake; Dagster gets counts. Not here: what each CRM gets (``destinations``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import dagster as dg

from crm_pipeline.core.ports import DatasetSpec, SourceSpec
from crm_pipeline.defs.columns import contact_columns, landed_columns, object_columns
from crm_pipeline.defs.failures import dagster_failures
from crm_pipeline.defs.idle import not_desired, not_read
from crm_pipeline.defs.isolation import materialise_each
from crm_pipeline.defs.metadata import (
    Metadata,
    desired_metadata,
    landed_metadata,
)
from crm_pipeline.defs.partitions import organisations
from crm_pipeline.defs.readings import told
from crm_pipeline.defs.shape import (
    CONTACTS,
    MEMBERSHIPS,
    OWNERS,
    PRODUCTS,
    PURCHASES,
    StageConfig,
    policy_for,
)
from crm_pipeline.destinations import load_destinations
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.land import landed_table, pull
from crm_pipeline.sync.owner import require_same_owner
from crm_pipeline.sync.resolve import resolvers
from crm_pipeline.wiring import Runtime

Materialised = Iterator[dg.AssetMaterialization | dg.MaterializeResult[None]]


def landed_asset(source: SourceSpec, dataset: DatasetSpec) -> dg.AssetsDefinition:
    """Return the asset of one dataset of a source, named ``<source>/<dataset>``."""

    @dg.asset(
        key=[source.name, dataset.name],
        description=f"{dataset.description} {told(source, dataset)} Landed as {source.title} said"
        " it, append only: one table for each organisation, newest version of a key last.",
        group_name=group_of(source),
        kinds={"python", "deltalake"},
        owners=OWNERS,
        tags={"stage": "landed", "system": source.name},
        metadata=landed_columns(source, dataset),
        partitions_def=organisations,
        backfill_policy=policy_for("landed"),
    )
    def landed(
        context: dg.AssetExecutionContext,
        config: StageConfig,
        runtime: dg.ResourceParam[Runtime],
    ) -> Materialised:
        stage = partial(land, runtime, source.name, dataset.name, config.is_full)
        idle = partial(not_read, f"{source.name}/{dataset.name}")
        with dagster_failures():
            yield from materialise_each(context, runtime, stage, idle)

    return landed


@dataclass(frozen=True, slots=True, kw_only=True)
class DesiredAsset:
    """One asset of desired objects: its key, meaning, columns, and the landed assets behind it."""

    key: dg.AssetKey
    description: str
    columns: Mapping[str, Any]
    landed: tuple[tuple[str, str], ...]


DESIRED_ASSETS = (
    DesiredAsset(
        key=CONTACTS,
        description="One contact for each person: a customer, who ordered samples, or both in one."
        " Normal forms, the consent that we can prove, and the issues found on the way.",
        columns=contact_columns(),
        landed=(("loke", "customers"), ("sopost", "orders")),
    ),
    DesiredAsset(
        key=MEMBERSHIPS,
        description="The tags that each contact should carry: one for each opted-in list that the"
        " person is in. Follows the lists, which `lists_schedule` reads.",
        columns=object_columns("memberships", "membership"),
        landed=(("loke", "list_members"),),
    ),
    DesiredAsset(
        key=PURCHASES,
        description="The purchases that should exist, each once, made of payments since the"
        " organisation's go-live (and of sample orders, where asked for); their refunds are beside"
        " them. A purchase never changes; a refund is a fact of its own.",
        columns=object_columns("purchases", "purchase", "refund"),
        landed=(("loke", "payments"), ("sopost", "orders")),
    ),
    DesiredAsset(
        key=PRODUCTS,
        description="The products that should exist: those of a catalogue, which"
        " `products_schedule` reads, and what was sold while no catalogue lists it.",
        columns=object_columns("products", "product"),
        landed=(("loke", "payments"), ("catalogue", "products")),
    ),
)


def group_of(source: SourceSpec) -> str:
    """Return a source's group: not that of the CRM of the same name, at the graph's other end."""
    return f"{source.name}_source" if source.name in load_destinations() else source.name


def desired_asset(
    desired: DesiredAsset, landed: Mapping[dg.AssetKey, dg.AssetsDefinition]
) -> dg.AssetsDefinition:
    """Return one asset of desired objects, made from those landed assets that there are."""
    behind = [dg.AssetKey(list(names)) for names in desired.landed]
    name = desired.key.path[0]

    @dg.asset(
        key=desired.key,
        description=f"{desired.description} Worked out by every sweep from what landed since; an"
        " organisation that has not opted in has none.",
        group_name="desired",
        kinds={"duckdb", "deltalake"},
        owners=OWNERS,
        tags={"stage": "desired"},
        metadata=desired.columns,
        deps=[landed[key] for key in behind if key in landed],
        partitions_def=organisations,
        backfill_policy=policy_for("desired"),
    )
    def objects(
        context: dg.AssetExecutionContext,
        config: StageConfig,
        runtime: dg.ResourceParam[Runtime],
    ) -> Materialised:
        stage = partial(resolve, runtime, name, config.is_full)
        with dagster_failures():
            yield from materialise_each(context, runtime, stage, partial(not_desired, name))

    return objects


def land(
    runtime: Runtime,
    source_name: str,
    dataset: str,
    is_full: bool,
    organisation: OrganisationBinding,
) -> Metadata:
    """Pull one dataset of one organisation."""
    source = organisation.sources[source_name]
    ws, slug = runtime.workspace, organisation.slug
    mode: Literal["sweep", "incremental"] = "sweep" if is_full else "incremental"
    require_same_owner(ws, slug, source)
    api = source.connect()
    try:
        report = pull(ws, slug, source.spec, api, dataset, mode=mode, rules=source.rules)
    finally:
        api.close()
    return landed_metadata(ws, slug, landed_table(source_name, dataset), report)


def resolve(
    runtime: Runtime, name: str, is_full: bool, organisation: OrganisationBinding
) -> Metadata:
    """Resolve one kind of object of one organisation."""
    ws = runtime.workspace
    report = resolvers(organisation)[name](ws, is_full=is_full)
    return desired_metadata(ws, organisation.slug, name, report)
