"""How long until everything is right again after a host died in the middle of a sync.

Dagster and the receiver run as processes, with the instance file that is shipped, beside fake
vendors. All of them are killed at once while the CRM is written to, and started again; nobody does
anything else. Seconds count from that start. `make recovery`.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import dagster as dg

from crm_pipeline_tests.acceptance.trading import Trading, trading
from crm_pipeline_tests.faults.dagster_host import DagsterHost, kill_in_the_middle, until

#: What each may take at most, in seconds.
GOALS = {"receiver": 5.0, "dead_run": 60.0, "right": 60.0}
_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Recovered:
    """Seconds after the start until the receiver accepts, the run that died with the host is
    closed, and the CRM equals the sources."""

    receiver: float
    dead_run: float
    right: float


def main() -> int:
    """Let a host die some times, and tell."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=3, help="how often the host dies (default 3)")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    chosen = parser.parse_args()
    found: list[Recovered] = []
    for number in range(chosen.times):
        with tempfile.TemporaryDirectory(prefix="recovery-") as folder:
            found.append(measure(Path(folder)))
        if not chosen.json:
            print(f"{number + 1}: {_told(asdict(found[-1]))}", flush=True)
    middle = {name: median(getattr(each, name) for each in found) for name in GOALS}
    if chosen.json:
        print(json.dumps({"median": middle, "each": [asdict(each) for each in found]}))
    else:
        print(f"Median: {_told(middle)}")
    return int(any(middle[name] > goal for name, goal in GOALS.items()))


def measure(folder: Path) -> Recovered:
    """Let one host die in the middle of a sync, start it again, and wait."""
    with trading(folder, customers=20, payments=20) as market:
        market.product.run_here("ledger", "migrate")
        host = DagsterHost(market.product)
        try:
            host.start()
            host.switch_sensors_on()
            until(lambda: market.wrong() == [], _SECONDS)
            until(lambda: not host.open_runs(), _SECONDS)
            return _after_death(market, host)
        finally:
            host.stop()


def _after_death(market: Trading, host: DagsterHost) -> Recovered:
    receiver = market.product.receiver()
    market.sell_to_newcomers()
    kill_in_the_middle(market, lambda: [receiver.process.pid, *host.tree()])
    host.reap()
    receiver.process.wait()
    [run] = host.open_runs()
    began = time.monotonic()
    with market.product.receiver():
        ready = time.monotonic() - began
        host.start()
        seconds = _watched(
            began,
            dead_run=lambda: host.status(run) is dg.DagsterRunStatus.FAILURE,
            right=lambda: market.wrong() == [],
        )
    return Recovered(receiver=ready, **seconds)


def _watched(began: float, **conditions: Callable[[], bool]) -> dict[str, float]:
    """Return the seconds after which each condition was true, the first time that it was seen."""
    found: dict[str, float] = {}

    def all_seen() -> bool:
        for name, is_true in conditions.items():
            if name not in found and is_true():
                found[name] = time.monotonic() - began
        return len(found) == len(conditions)

    until(all_seen, _SECONDS)
    return found


def _told(seconds: dict[str, float]) -> str:
    return ", ".join(
        f"{name.replace('_', ' ')} {seconds[name]:.1f} s (goal {goal:.0f})"
        for name, goal in GOALS.items()
    )


if __name__ == "__main__":
    sys.exit(main())
