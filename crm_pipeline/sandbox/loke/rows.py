"""Rows of one organisation: a computed base and an overlay of what was changed, added, removed.

Here: what customers, payments and orders have in common. Not here: what a row says.
"""

import datetime as dt
import itertools
import random
from collections.abc import Callable
from typing import Any, Literal

from crm_pipeline.sandbox.loke.ordering import Ordering, Sort
from crm_pipeline.sandbox.people import iso
from crm_pipeline.sandbox.wire import parse_moment

Row = dict[str, Any]
Pick = Literal["any", "newest", "oldest"]


def epoch_ms(moment: dt.datetime) -> int:
    """Return a moment in epoch milliseconds."""
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000


def as_ms(value: dt.datetime | str) -> int:
    """Return a moment or an RFC 3339 text in epoch milliseconds. Raises ValueError."""
    return epoch_ms(parse_moment(value) if isinstance(value, str) else value)


def written(at: dt.datetime | str) -> str:
    """Write a moment as rows do; a text stays as it is."""
    if isinstance(at, str):
        return at
    return iso(epoch_ms(at), with_ms=at.microsecond >= 1000)


def merge(row: Row, fields: dict[str, Any]) -> None:
    """Set members of a row. None removes one; ``statistics`` are merged."""
    for name, value in fields.items():
        if value is None:
            row.pop(name, None)
        elif name == "statistics" and isinstance(value, dict):
            statistics = dict(row.get("statistics") or {})
            merge(statistics, value)
            row["statistics"] = statistics
        else:
            row[name] = value


class RowStore:
    """Rows by index and by id, in their orders."""

    def __init__(
        self,
        count: int,
        row_at: Callable[[int], Row],
        index_of_id: Callable[[str], int | None],
        orders: dict[Sort, Ordering],
    ) -> None:
        """Begin with ``count`` computed rows; the callables are the computation."""
        self.version = 0
        self.orders = orders
        self.base_count = count
        self.next_index = count
        self._row_at = row_at
        self._index_of_id = index_of_id
        self._rows: dict[int, Row] = {}
        self._deleted: set[int] = set()
        self._given_ids: dict[str, int] = {}

    def __len__(self) -> int:
        """Count the rows."""
        return len(self.orders["created"])

    @property
    def changed(self) -> set[int]:
        """Return the indices of rows that are not as computed."""
        return set(self._rows)

    def is_changed(self, index: int) -> bool:
        """Say whether a row is not as computed."""
        return index in self._rows

    def has(self, index: int) -> bool:
        """Say whether an index of the computed base still exists."""
        return index < self.base_count and index not in self._deleted

    def row(self, index: int) -> Row:
        """Return a row that exists."""
        return self._rows.get(index) or self._row_at(index)

    def find(self, row_id: str) -> Row | None:
        """Return a row by id."""
        index = self.index_of(row_id)
        return None if index is None else self.row(index)

    def index_of(self, row_id: str) -> int | None:
        """Return the index of a row by id."""
        if row_id in self._given_ids:
            return self._given_ids[row_id]
        index = self._index_of_id(row_id)
        return index if index is not None and self.has(index) else None

    def pick(self, count: int, how: Pick, seed: int) -> list[str]:
        """Choose rows by their order of change and return ids; fewer when there are not so many."""
        order, total = self.orders["updated"], len(self)
        count = min(count, total)
        if how == "any":
            places = random.Random(seed).sample(range(total), count)
            chosen = [next(order.from_offset(place)) for place in places]
        else:
            first = 0 if how == "newest" else total - count
            chosen = list(itertools.islice(order.from_offset(first), count))
        return [self.row(index)["id"] for index in chosen]

    def insert(self, row: Row, *, created_ms: int, updated_ms: int) -> None:
        """Add a row as number ``next_index``."""
        index = self.next_index
        self.next_index += 1
        self._given_ids[row["id"]] = index
        self._rows[index] = row
        for sort, order in self.orders.items():
            order.put(index, (-(updated_ms if sort == "updated" else created_ms), -index))
        self.version += 1

    def replace(self, index: int, row: Row, *, updated_ms: int | None) -> None:
        """Put another row in a row's place; ``updated_ms`` None leaves it where it stands."""
        for sort, order in self.orders.items():
            key = order.key_of(index)
            if sort == "updated" and updated_ms is not None:
                key = (-updated_ms, -index)
            order.take_out(index)
            order.put(index, key)
        self._rows[index] = row
        self.version += 1

    def remove(self, row_id: str) -> bool:
        """Take a row away; False when there was none."""
        index = self.index_of(row_id)
        if index is None:
            return False
        for order in self.orders.values():
            order.take_out(index)
        self._rows.pop(index, None)
        self._given_ids.pop(row_id, None)
        self._deleted.add(index)
        self.version += 1
        return True
