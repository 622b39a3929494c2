"""One person's rows in the lake: which they are, table by table, and taking them out."""

from collections.abc import Mapping

from crm_pipeline.core.subject import CONTACT, CRM_ID, Subject
from crm_pipeline.core.tombstones import identifying_columns
from crm_pipeline.store.lake import RowsToErase
from crm_pipeline.sync.erase.subject import OBJECTS, contact_mark
from crm_pipeline.sync.workspace import Workspace

#: Columns that may hold one of our keys or a source's id, in tables that nobody here knows.
_ANY_NAME = ("id", "key", "source_id", "contact_key", "customer_id")


def rows_in(table: str, subject: Subject) -> RowsToErase:
    """Return which rows of a table are the person's."""
    area, _, rest = table.partition("/")
    source, _, dataset = rest.partition("/")
    if area == "landed":
        columns = identifying_columns(source, dataset)
        values = {column: _values(subject, kind) for column, kind in columns.items()}
        # A dataset may name its records by ids of its own besides whose they are.
        own = subject.ids.get(f"{source}/{dataset}", frozenset())
        return RowsToErase(conditions=_each({**values, "id": own | values.get("id", own)}))
    if area == "missing":
        return RowsToErase(conditions=_each({"id": subject.ids.get(rest, frozenset())}))
    marks = frozenset(map(contact_mark, subject.keys))
    if table in OBJECTS:
        keys = subject.objects.get(OBJECTS[table], frozenset())
        return RowsToErase(conditions=_each({"key": keys}), texts={"fields": marks})
    if area in ("plan", "drift"):
        objects = tuple(
            {"object_kind": {kind}, "key": keys} for kind, keys in subject.objects.items() if keys
        )
        crm_ids = _each({"crm_id": subject.crm_ids.get(rest, {}).values()})
        texts = dict.fromkeys(("before", "after", "wrote", "wanted", "found"), marks)
        return RowsToErase(conditions=(*objects, *crm_ids), texts=texts)
    return RowsToErase(conditions=_each(dict.fromkeys(_ANY_NAME, subject.names())))


def count_rows(ws: Workspace, organisation: str, subject: Subject) -> dict[str, int]:
    """Return how many rows of each table are the person's; tables with none are left out."""
    eraser = ws.lake.eraser()
    counts = {
        table: eraser.count(organisation, table, rows_in(table, subject))
        for table in eraser.tables(organisation)
    }
    return {table: count for table, count in counts.items() if count}


def erase_rows(ws: Workspace, organisation: str, subject: Subject) -> dict[str, int]:
    """Take the person's rows out of every table, and every file that is no longer current.

    Returns rows by table and, as ``files``, how many files were deleted. Nobody else may write
    the organisation's tables meanwhile. Safe to repeat.
    """
    eraser = ws.lake.eraser()
    counts: dict[str, int] = {}
    files = 0
    for table in eraser.tables(organisation):
        count = eraser.erase(organisation, table, rows_in(table, subject))
        files += eraser.drop_history(organisation, table)
        if count:
            counts[table] = count
    eraser.remove_dead_spills()
    return {**counts, "files": files}


def _values(subject: Subject, kind: str) -> frozenset[str]:
    if kind == CONTACT:
        return subject.keys
    if kind == CRM_ID:
        return frozenset(each for some in subject.crm_ids.values() for each in some.values())
    return subject.ids.get(kind, frozenset())


def _each(values: Mapping[str, object]) -> tuple[dict[str, frozenset[str]], ...]:
    """Return one condition for each column that has values at all."""
    sets = {column: frozenset(some) for column, some in values.items()}  # type: ignore[call-overload]
    return tuple({column: some} for column, some in sets.items() if some)
