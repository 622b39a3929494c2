"""What a source said (landed) and what the CRMs should hold (contacts), as partitioned assets.

Rows are in the lake; Dagster gets counts. Not here: what each CRM gets (``destinations``).
"""

from collections.abc import Iterator
from functools import partial
from typing import Literal

import dagster as dg

from crm_pipeline.core.ports import DatasetSpec, SourceSpec
from crm_pipeline.defs.bindings import source_of
from crm_pipeline.defs.columns import contact_columns, landed_columns
from crm_pipeline.defs.failures import dagster_failures
from crm_pipeline.defs.isolation import materialise_each
from crm_pipeline.defs.metadata import Metadata, desired_metadata, landed_metadata
from crm_pipeline.defs.partitions import organisations
from crm_pipeline.defs.shape import CONTACTS, OWNERS, StageConfig, policy_for
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.land import landed_table, pull
from crm_pipeline.sync.resolve import resolve_contacts
from crm_pipeline.wiring import Runtime

Materialised = Iterator[dg.AssetMaterialization | dg.MaterializeResult[None]]


def landed_asset(source: SourceSpec, dataset: DatasetSpec) -> dg.AssetsDefinition:
    """Return the asset of one dataset of a source, named ``<source>/<dataset>``."""

    @dg.asset(
        key=[source.name, dataset.name],
        description=f"{dataset.description} Landed as {source.title} said it, append only: one"
        " table for each organisation, newest version of a key last.",
        group_name=source.name,
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
        with dagster_failures():
            yield from materialise_each(context, runtime, stage)

    return landed


def contacts_asset(landed: list[dg.AssetsDefinition]) -> dg.AssetsDefinition:
    """Return the asset of the desired contacts, made from every landed dataset."""

    @dg.asset(
        key=CONTACTS,
        description="What the CRMs should hold: one contact for each person, with normal forms,"
        " the consent that we can prove, and the issues found on the way.",
        group_name="contacts",
        kinds={"duckdb", "deltalake"},
        owners=OWNERS,
        tags={"stage": "desired"},
        metadata=contact_columns(),
        deps=landed,
        partitions_def=organisations,
        backfill_policy=policy_for("contacts"),
    )
    def contacts(
        context: dg.AssetExecutionContext,
        config: StageConfig,
        runtime: dg.ResourceParam[Runtime],
    ) -> Materialised:
        with dagster_failures():
            yield from materialise_each(context, runtime, partial(resolve, runtime, config.is_full))

    return contacts


def land(
    runtime: Runtime,
    source_name: str,
    dataset: str,
    is_full: bool,
    organisation: OrganisationBinding,
) -> Metadata:
    """Pull one dataset of one organisation."""
    source = source_of(organisation, source_name, dataset)
    ws, slug = runtime.workspace, organisation.slug
    mode: Literal["sweep", "incremental"] = "sweep" if is_full else "incremental"
    api = source.connect()
    try:
        report = pull(ws, slug, source.spec, api, dataset, mode=mode, rules=source.rules)
    finally:
        api.close()
    return landed_metadata(ws, slug, landed_table(source_name, dataset), report)


def resolve(runtime: Runtime, is_full: bool, organisation: OrganisationBinding) -> Metadata:
    """Resolve the contacts of one organisation."""
    ws, slug = runtime.workspace, organisation.slug
    report = resolve_contacts(ws, slug, organisation.resolve, is_full=is_full)
    return desired_metadata(ws, slug, report)
