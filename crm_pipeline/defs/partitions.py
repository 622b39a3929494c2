"""The one partition: an organisation. Its key is the slug of the organisation's file."""

from collections.abc import Iterable
from dataclasses import dataclass

import dagster as dg

PARTITION_NAME = "organisation"

organisations = dg.DynamicPartitionsDefinition(name=PARTITION_NAME)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitionDifference:
    """Partitions to add and to take away, each sorted."""

    added: tuple[str, ...]
    removed: tuple[str, ...]


def compare_partitions(
    instance: dg.DagsterInstance, *, usable: Iterable[str], broken: Iterable[str]
) -> PartitionDifference:
    """Compare the partitions of an instance with the organisations' files.

    An organisation whose file cannot be read now keeps its partition, and so its history in view.
    """
    present = set(instance.get_dynamic_partitions(PARTITION_NAME))
    wanted = set(usable)
    return PartitionDifference(
        added=tuple(sorted(wanted - present)),
        removed=tuple(sorted(present - wanted - set(broken))),
    )


def add_partitions(instance: dg.DagsterInstance, slugs: Iterable[str]) -> None:
    """Make sure that these organisations have a partition; known ones are left alone."""
    missing = set(slugs) - set(instance.get_dynamic_partitions(PARTITION_NAME))
    if missing:
        instance.add_dynamic_partitions(PARTITION_NAME, sorted(missing))
