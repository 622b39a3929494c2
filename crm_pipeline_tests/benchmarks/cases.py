"""The cases by name. One that has a baseline names it: the two are run in turn.

A case is a function of a ``Place`` that sets up, starts the watch, works, and returns what the
watch says.
"""

from dataclasses import dataclass

from crm_pipeline_tests.benchmarks.bench import Case, Place, Product, StopWatch
from crm_pipeline_tests.benchmarks.floor import floor
from crm_pipeline_tests.benchmarks.planning import diff_floor, first_plan, full_plan, keyed_plan

_TICKS = 50
_CHANGES = 1_000


@dataclass(frozen=True, slots=True)
class Measured:
    """A case and its baseline."""

    case: Case
    baseline: Case | None = None
    target: str = ""


def pull_and_land(place: Place) -> dict[str, float]:
    """First load into an empty home."""
    product = Product(place)
    watch = StopWatch()
    watch.start()
    report = product.pull()
    figures = watch.stop()
    _require(report.rows_landed == place.rows)
    return {**figures, "pages": report.pages, "bytes": _landed_bytes(product)}


def quiet_pull(place: Place) -> dict[str, float]:
    """A pull that finds nothing new."""
    product = _pulled(place)
    watch = StopWatch()
    watch.start()
    for _ in range(_TICKS):
        _require(product.pull().pages == 1)
    return watch.stop(_TICKS)


def quiet_look(place: Place) -> dict[str, float]:
    """A look at the first page that finds nothing new, as the sensor does it."""
    product = _pulled(place)
    watch = StopWatch()
    watch.start()
    for _ in range(_TICKS):
        _require(not product.peek())
    return watch.stop(_TICKS)


def tick(place: Place) -> dict[str, float]:
    """Pull and resolve a thousand changes among all."""
    product = _pulled(place)
    product.resolve(is_full=True)
    product.change(_CHANGES)
    watch = StopWatch()
    watch.start()
    pulled, resolved = product.pull(), product.resolve(is_full=False)
    figures = watch.stop()
    _require(pulled.rows_landed == resolved.rows == _CHANGES)
    return {**figures, "pages": pulled.pages}


def resolve_all(place: Place) -> dict[str, float]:
    """Make every contact for the first time."""
    product = _pulled(place)
    watch = StopWatch()
    watch.start()
    _require(product.resolve(is_full=True).rows == place.rows)
    return watch.stop()


def sweep_twice(place: Place) -> dict[str, float]:
    """A sweep that finds nothing: two passes through everything."""
    product = _pulled(place)
    watch = StopWatch()
    watch.start()
    _require(product.sweep().rows_landed == 0)
    return watch.stop()


def _pulled(place: Place) -> Product:
    product = Product(place)
    product.pull()
    return product


def _landed_bytes(product: Product) -> float:
    return product.ws.lake.size_bytes("bench", "landed/loke/customers")


def _require(is_so: bool) -> None:
    if not is_so:
        raise RuntimeError("The case did not do the work that it measures.")


SUITE: dict[str, Measured] = {
    "pull_and_land": Measured(pull_and_land, floor, "<= 1.25 x floor, < 300 MB"),
    "quiet_pull": Measured(quiet_pull, target="one request, < 15 ms CPU"),
    "quiet_look": Measured(quiet_look, target="one request, < 15 ms CPU"),
    "tick": Measured(tick, target="< 0.5 s CPU, independent of rows"),
    "resolve_all": Measured(resolve_all),
    "sweep_twice": Measured(sweep_twice),
    "first_plan": Measured(first_plan, target="1,000,000: < 15 s, < 600 MB"),
    "full_plan": Measured(full_plan, diff_floor, "<= 1.3 x DuckDB alone, < 1 GB"),
    "keyed_plan": Measured(keyed_plan, target="< 0.5 s CPU, independent of rows"),
}
