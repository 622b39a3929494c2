"""What reads each dataset by itself: a look at its first page, a schedule, or webhooks.

Reading a whole list costs many pages, so a sweep that something new caused leaves such lists alone
(``sync.run.is_due``). Here: who reads them instead, from the specs of the sources alone.
"""

from collections.abc import Iterator

from crm_pipeline.core.ports import DatasetSpec, SourceSpec
from crm_pipeline.sources import load_sources

#: Named as in a sync: ``<source>/<dataset>``.
ORDERS = ("crm_com/orders",)
CATALOGUES = ("catalogue/products",)


def lists() -> tuple[str, ...]:
    """Return the datasets that the organisations' `lists` schedules read.

    >>> lists()
    ('loke/list_members', 'loke/orders')
    """
    others = {*ORDERS, *CATALOGUES}
    return tuple(name for name, spec in _all() if not has_cheap_look(spec) and name not in others)


def has_cheap_look(dataset: DatasetSpec) -> bool:
    """Whether a sync reads a dataset each time, because it costs a page when nothing is new."""
    return dataset.reading in ("newest_first", "keyed")


def every_name() -> tuple[str, ...]:
    """Return the names of all datasets."""
    return tuple(name for name, _ in _all())


def is_hooked(source: SourceSpec, dataset: DatasetSpec) -> bool:
    """Whether webhooks can tell of a dataset."""
    return dataset.name in source.hook_events.values()


def told(source: SourceSpec, dataset: DatasetSpec) -> str:
    """Say in a sentence or two how a dataset is read without anybody's doing.

    >>> told(load_sources()["catalogue"], load_sources()["catalogue"].datasets["products"])
    'Read as a whole by `products_schedule`, and by each full scan.'
    """
    name = f"{source.name}/{dataset.name}"
    ways = {
        "newest_first": "Its first pages are looked at by `changes_sensor`; what is new is read by"
        " the sweep that follows",
        "keyed": "It has no list: unfinished records are read again when `changes_sensor` finds"
        " them due",
        "lists": "Read list by list by `lists_schedule`",
        "whole": f"Read as a whole by `{_reader_of(name)}`",
    }
    hooks = " Webhooks come in with `inbox_sensor`." if is_hooked(source, dataset) else ""
    return f"{ways[dataset.reading]}, and by each full scan.{hooks}"


def _reader_of(name: str) -> str:
    if name in ORDERS:
        return "orders_sensor"
    return "products_schedule" if name in CATALOGUES else "lists_schedule"


def _all() -> Iterator[tuple[str, DatasetSpec]]:
    for source in load_sources().values():
        for dataset in source.datasets.values():
            yield f"{source.name}/{dataset.name}", dataset
