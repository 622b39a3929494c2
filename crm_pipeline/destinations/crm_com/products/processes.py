"""What became of products that CRM.COM took over: the process told, or the products read back.

Nothing of this is documented. A process is asked as long as there is patience; where processes
cannot be asked, the products are read back by SKU until they look as they were sent.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm_pipeline.core.records import Change, RemoteObject, Waits
from crm_pipeline.destinations.crm_com.assumptions import (
    PROCESS_DONE,
    PROCESS_FAILED,
    SKU_SEPARATOR,
    SKUS_PER_LOOK,
)
from crm_pipeline.destinations.crm_com.calls import Calls, Tally
from crm_pipeline.destinations.crm_com.comparing import is_same
from crm_pipeline.destinations.crm_com.products.fields import sku_of
from crm_pipeline.destinations.crm_com.products.wire import read_product
from crm_pipeline.destinations.crm_com.values import as_objects, as_text
from crm_pipeline.http import Seams


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """How far a process is. ``errors`` gives the name of the error by SKU.

    ``is_exact``: its figures add up to what was sent, so whoever is not in ``errors`` is done.
    """

    is_over: bool
    has_failed: bool = False
    errors: Mapping[str, str]
    is_exact: bool = False


class Patience:
    """How long one ``write`` may wait, in pauses that double.

    A third of a lease: the engine renews its lease between writes.
    """

    def __init__(self, waits: Waits, seams: Seams) -> None:
        self._waits = waits
        self._seams = seams
        self._end = seams.monotonic() + waits.lease_seconds / 3

    @property
    def is_over(self) -> bool:
        """Whether there is no time left."""
        return self._seams.monotonic() >= self._end

    def pauses(self) -> Iterator[None]:
        """Wait, a little longer each time, until there is no time left."""
        pause = self._waits.retry_base_seconds
        while True:
            rest = self._end - self._seams.monotonic()
            if rest <= 0:
                return
            self._seams.sleep(min(pause, rest))
            yield
            pause = min(2 * pause, self._waits.retry_max_seconds)


class Follower:
    """Asks after processes and reads products back. Thread-safe."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def ask(self, process_id: str, size: int, tally: Tally) -> Process | None:
        """Return how far the process of ``size`` products is; None when nobody tells."""
        content = self._calls.process(process_id, tally)
        return None if content is None else _read(content, size)

    def read_back(
        self, changes: Sequence[Change], tally: Tally
    ) -> Mapping[str, RemoteObject | None]:
        """Return the products of some changes as CRM.COM shows them now, by our key."""
        found: dict[str, RemoteObject | None] = {change.key: None for change in changes}
        skus = [sku_of(change.key) for change in changes]
        for some in _portions(skus):
            for page in self._calls.products_with(some, tally):
                for product in map(read_product, page):
                    if product is not None and product.key in found:
                        found[product.key] = product
                if all(found[change.key] for change in changes if sku_of(change.key) in some):
                    break
        return found


def looks_as_sent(change: Change, shown: RemoteObject | None) -> bool:
    """Whether a product is there and nothing that CRM.COM shows of it differs.

    What it does not show, and what was emptied, is not asked for: the one cannot be seen, and
    whether the other can be done is not known.
    """
    return shown is not None and all(
        is_same(name, change.after[name], shown.fields[name])
        for name in change.changed
        if name in shown.fields and change.after.get(name)
    )


def _portions(skus: Sequence[str]) -> Iterator[Sequence[str]]:
    """Give SKUs some at a time; one that holds the separator goes alone."""
    plain = [sku for sku in skus if SKU_SEPARATOR not in sku]
    for start in range(0, len(plain), SKUS_PER_LOOK):
        yield plain[start : start + SKUS_PER_LOOK]
    for sku in skus:
        if SKU_SEPARATOR in sku:
            yield [sku]


def _read(content: Mapping[str, Any], size: int) -> Process:
    state = (as_text(content.get("state")) or as_text(content.get("status")) or "").upper()
    errors = {
        sku: as_text(each.get("error")) or ""
        for each in as_objects(content.get("errors"))
        if (sku := as_text(each.get("sku")))
    }
    done, failed = content.get("processed"), content.get("failed")
    is_exact = (
        type(done) is int
        and type(failed) is int
        and done + failed == size
        and failed == len(errors)
    )
    return Process(
        is_over=state in PROCESS_DONE | PROCESS_FAILED,
        has_failed=state in PROCESS_FAILED,
        errors=errors,
        is_exact=is_exact,
    )
