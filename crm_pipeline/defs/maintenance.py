"""Keeping the lake small and fast: many small files into one, and old files away.

Every webhook and every pull adds a small file, and every file costs a look at each reading. Landed
tables keep every version of a record, desired ones the current one alone. Not here: how files are
folded (``store.lake``), old runs of Dagster (``retention``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Literal

import dagster as dg
from pydantic import Field

from crm_pipeline.defs.choosing import ChoiceConfig, choose
from crm_pipeline.defs.failures import dagster_failures, failure_of_many
from crm_pipeline.defs.isolation import work_through
from crm_pipeline.defs.partitions import add_partitions
from crm_pipeline.errors import LeaseHeldError
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.land import landed_table
from crm_pipeline.sync.land.missing import missing_table
from crm_pipeline.sync.plan.stored import plan_table
from crm_pipeline.sync.workspace import Workspace
from crm_pipeline.wiring import Runtime


class CompactionConfig(ChoiceConfig):
    """Which tables are folded, and which files may go."""

    least_files: int = Field(
        default=8, ge=2, description="A table with fewer files is left as it is."
    )
    retention_hours: int = Field(
        default=168,
        ge=24,
        description="Files that no version of the last hours needs are deleted. A reader that"
        " takes longer would lose its files.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class LakeTable:
    """One table of an organisation, the asset it belongs to, and what of it must stay.

    ``keep`` None: it is replaced as a whole each time, so that there is nothing to fold.
    """

    name: str
    asset: dg.AssetKey
    key: str = "key"
    keep: Literal["all", "current"] | None = "all"


@dataclass(slots=True, kw_only=True)
class Kept:
    """What became of the files of one asset's tables."""

    tables: int = 0
    files_before: int = 0
    files_after: int = 0
    files_deleted: int = 0
    bytes_before: int = 0
    bytes_after: int = 0

    @property
    def has_changed(self) -> bool:
        """Whether anything was folded or deleted."""
        return self.files_deleted > 0 or self.files_after != self.files_before


@dg.op(out={}, description="Fold small files of each chosen organisation, delete old ones.")
def compact(
    context: dg.OpExecutionContext, config: CompactionConfig, runtime: dg.ResourceParam[Runtime]
) -> Iterator[dg.AssetObservation]:
    """Look after each organisation's tables; end red naming the failed ones."""
    with dagster_failures():
        slugs = choose(runtime, config)
        add_partitions(context.instance, set(slugs) & set(runtime.organisations))
        ws = runtime.workspace
        results = work_through(runtime, slugs, lambda each: compact_one(ws, each, config))
        for slug, kept in results.done.items():
            context.log.info(sentence(slug, kept))
            yield from observations(slug, kept)
        troubles = [each for each in results.troubles if each.code != LeaseHeldError.code]
        if len(troubles) < len(results.troubles):
            passed = len(results.troubles) - len(troubles)
            context.log.info(f"{passed:,} organisations were at work and are passed over.")
        if troubles:
            raise failure_of_many(troubles, total=len(slugs))


def compact_one(
    ws: Workspace, organisation: OrganisationBinding, config: CompactionConfig
) -> Mapping[dg.AssetKey, Kept]:
    """Look after every table of one organisation; the caller holds its lease."""
    kept: dict[dg.AssetKey, Kept] = {}
    for table in tables_of(organisation):
        if ws.lake.exists(organisation.slug, table.name):
            _look_after(ws, organisation.slug, table, config, kept.setdefault(table.asset, Kept()))
    return kept


def _look_after(
    ws: Workspace, slug: str, table: LakeTable, config: CompactionConfig, kept: Kept
) -> None:
    lake = ws.lake
    files = lake.file_count(slug, table.name)
    kept.tables += 1
    kept.files_before += files
    kept.bytes_before += lake.size_bytes(slug, table.name)
    if table.keep is not None and files >= config.least_files:
        lake.compact(slug, table.name, table.key, keep=table.keep)
    kept.files_deleted += lake.vacuum(slug, table.name, retention_hours=config.retention_hours)
    kept.files_after += lake.file_count(slug, table.name)
    kept.bytes_after += lake.size_bytes(slug, table.name)


def tables_of(organisation: OrganisationBinding) -> Iterator[LakeTable]:
    """Give every table that an organisation can have; those nobody has written among them."""
    for source, binding in organisation.sources.items():
        for dataset in binding.datasets:
            asset = dg.AssetKey([source, dataset])
            yield LakeTable(name=landed_table(source, dataset), asset=asset, key="id")
            yield LakeTable(name=missing_table(source, dataset), asset=asset, keep=None)
    desired: dict[str, dg.AssetKey] = {}
    for name, destination in organisation.destinations.items():
        for kind in destination.spec.kinds:
            desired[kind.table] = dg.AssetKey([ASSET_OF.get(kind.table, kind.table.split("/")[-1])])
        yield LakeTable(name=plan_table(name), asset=dg.AssetKey([name, "plan"]))
        yield LakeTable(name=f"drift/{name}", asset=dg.AssetKey([name, "drift"]), keep=None)
    for table, asset in desired.items():
        yield LakeTable(name=table, asset=asset, keep="current")


#: Desired tables that are no asset of their own.
ASSET_OF = {"desired/refunds": "purchases"}


def observations(slug: str, kept: Mapping[dg.AssetKey, Kept]) -> Iterator[dg.AssetObservation]:
    """Give an event for each asset whose files have changed."""
    for asset, each in kept.items():
        if each.has_changed:
            yield dg.AssetObservation(asset, partition=slug, metadata=asdict(each))


def sentence(slug: str, kept: Mapping[dg.AssetKey, Kept]) -> str:
    """Return one line about an organisation.

    >>> kept = Kept(tables=2, files_before=1200, files_after=2, bytes_before=5000, bytes_after=90)
    >>> sentence("alfa", {dg.AssetKey("contacts"): kept})
    'alfa: 1,200 files in 2 tables are 2 now, 0 old ones were deleted, 90 of 5,000 bytes stay.'
    """
    tables, before, after, deleted, bytes_before, bytes_after = (
        sum(getattr(each, name) for each in kept.values()) for name in Kept.__dataclass_fields__
    )
    return (
        f"{slug}: {before:,} files in {tables:,} tables are {after:,} now, {deleted:,} old ones"
        f" were deleted, {bytes_after:,} of {bytes_before:,} bytes stay."
    )
