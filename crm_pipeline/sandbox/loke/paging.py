"""One page of rows, wherever a scan stands.

Here: pages and what they are made of. Not here: cursors as text (``pages``), endpoints.
"""

import dataclasses
import itertools
import random
from collections.abc import Callable, Iterator
from typing import cast

import msgspec

from crm_pipeline.sandbox.loke.ordering import Ordering, Sort
from crm_pipeline.sandbox.loke.pages import Cursor, read_cursor
from crm_pipeline.sandbox.loke.rows import Row, RowStore
from crm_pipeline.sandbox.loke.state import LokeState
from crm_pipeline.sandbox.loke.switches import dressed
from crm_pipeline.sandbox.loke.tenants import Tenant

#: Customer pages kept as bytes for each organisation when they are not all built beforehand.
_PAGES_KEPT = 32


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """What is read: in which order, how much at once, and only which rows."""

    scope: str
    sort: Sort
    size: int
    keep: Callable[[int], bool] | None = None


class Pager:
    """Cuts the stores of one fake LOKE into pages."""

    def __init__(self, loke: LokeState) -> None:
        """Follow the switches of ``loke``."""
        self._loke = loke

    def page(
        self, store: RowStore, scan: Scan, after: str, tie_seed: int | None = None
    ) -> tuple[list[Row], str | None]:
        """Return the rows of a page and the cursor of the next one.

        ``tie_seed`` deals rows of one time in another order. Raises ForeignCursorError.
        """
        order, switches = store.orders[scan.sort], self._loke.switches
        cursor = read_cursor(after, scan.scope) if after else Cursor(scan.scope, "offset", 1)
        if scan.keep is not None:
            tie_seed = None
        by_offset = tie_seed is not None or switches.cursor == "offset"
        offset = cursor.offset
        if cursor.kind == "key" and by_offset:
            offset = order.offset_of(cursor.key)
        if tie_seed is not None:
            indices = _with_shuffled_ties(order, offset, scan.size + 1, tie_seed)
        elif cursor.kind == "key" and not by_offset:
            indices = order.after(cursor.key)
        else:
            indices = order.from_offset(offset)
        found = list(itertools.islice(_kept(indices, scan.keep), scan.size + 1))
        shown = found[: scan.size]
        rows = [dressed(store.row(index), switches) for _, index in shown]
        if len(found) <= scan.size:
            return rows, None
        passed, last = shown[-1]
        if by_offset:
            onward = Cursor(scan.scope, "offset", cursor.page + 1, offset + passed)
        else:
            onward = Cursor(scan.scope, "key", cursor.page + 1, key=order.key_of(last))
        return rows, onward.text()

    def customers(
        self,
        tenant: Tenant,
        sort: Sort,
        after: str,
        tie_seed: int | None,
        *,
        keep_all: bool = False,
    ) -> tuple[bytes, str | None]:
        """Return a page of customers as bytes and the cursor of the next one; some are kept."""
        if tenant.pages_version != tenant.store.version:
            tenant.pages = {}
            tenant.pages_version = tenant.store.version
        kept = tenant.pages.get((sort, after)) if tie_seed is None else None
        if kept is not None:
            return kept
        scan = Scan(
            scope=f"{tenant.organisation.id}:{sort}",
            sort=sort,
            size=self._loke.switches.page_size,
        )
        rows, onward = self.page(tenant.store, scan, after, tie_seed)
        page = msgspec.json.encode(rows), onward
        if tie_seed is None:
            if not (keep_all or self._loke.settings.preserialise):
                while len(tenant.pages) >= _PAGES_KEPT:
                    del tenant.pages[next(iter(tenant.pages))]
            tenant.pages[sort, after] = page
        return page

    def build_all(self) -> int:
        """Build every customer page as bytes; returns how many."""
        tenants = self._loke.tenants.values()
        for tenant, sort in itertools.product(tenants, ("updated", "created")):
            after: str | None = ""
            while after is not None:
                after = self.customers(tenant, cast(Sort, sort), after, None, keep_all=True)[1]
        return sum(len(tenant.pages) for tenant in tenants)


def _kept(indices: Iterator[int], keep: Callable[[int], bool] | None) -> Iterator[tuple[int, int]]:
    """Yield rows that are wanted, each with how many were passed to get behind it."""
    return (
        (passed, index)
        for passed, index in enumerate(indices, start=1)
        if keep is None or keep(index)
    )


def _with_shuffled_ties(order: Ordering, offset: int, count: int, seed: int) -> Iterator[int]:
    """Yield rows from an offset, those of one time in an order that the seed decides."""
    picked = list(itertools.islice(order.from_offset(offset), count))
    if not picked:
        return iter(())
    newest, oldest = order.key_of(picked[0])[0], order.key_of(picked[-1])[0]
    start = order.offset_of((newest, -(1 << 62)))
    stop = order.offset_of((oldest, 1))
    window = list(itertools.islice(order.from_offset(start), stop - start))
    shuffled: list[int] = []
    for time, tied in itertools.groupby(window, key=lambda index: order.key_of(index)[0]):
        group = list(tied)
        random.Random(f"{seed}:{time}").shuffle(group)
        shuffled += group
    return iter(shuffled[offset - start : offset - start + count])
