"""Play many histories: ``python -m crm_pipeline_tests.simulation --seeds 10000 [--first 0]``.

Exit code 1 when a law was broken; the seed replays the very same history:
``python -m crm_pipeline_tests.simulation --first SEED --seeds 1``. With ``--points`` a process is
killed instead at every point of a sync, a full sweep, a receipt and an erasure, one by one.
"""

import argparse
import os
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import TypeVar

from crm_pipeline_tests.simulation.crash import WORKS, die, points_of
from crm_pipeline_tests.simulation.history import Ended, play

T = TypeVar("T")


def main() -> int:
    """Play, tell of each broken law, and say how much was played."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=500, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--points", action="store_true", help="kill at every point instead")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    chosen = parser.parse_args()
    started = time.monotonic()
    with ProcessPoolExecutor(chosen.jobs) as pool:
        told, broken = (
            _kill_everywhere(pool)
            if chosen.points
            else _play_histories(pool, range(chosen.first, chosen.first + chosen.seeds))
        )
    print(f"{told}, {broken:,} broken, {time.monotonic() - started:.0f} s.")
    return 1 if broken else 0


def _play_histories(pool: ProcessPoolExecutor, seeds: range) -> tuple[str, int]:
    calls = killed = broken = 0
    spent: dict[str, list[float]] = {}
    for ended, seconds in _counted(pool.map(_timed, seeds)):
        calls, killed = calls + ended.calls, killed + ended.killed
        spent.setdefault(str(ended.parts), []).append(seconds)
        broken += _tell(f"seed {ended.seed} ({ended.parts})", ended.wrong)
    for parts, each in sorted(spent.items()):
        told = f"{sum(each) / len(each):.1f} s of a processor each"
        print(f"{parts}: {len(each):,} histories, {told}", file=sys.stderr)
    return f"{len(seeds):,} histories, {calls:,} calls, {killed:,} kills", broken


def _timed(seed: int) -> tuple[Ended, float]:
    began = time.process_time()
    return play(seed), time.process_time() - began


def _kill_everywhere(pool: ProcessPoolExecutor) -> tuple[str, int]:
    points = [
        (work, point)
        for work, count in zip(WORKS, pool.map(points_of, WORKS), strict=True)
        for point in range(count)
    ]
    broken = 0
    deaths = _counted(pool.map(die, *zip(*points, strict=True)))
    for (work, point), death in zip(points, deaths, strict=True):
        wrong = death.wrong if death.is_killed else ["nothing was killed"]
        broken += _tell(f"{work}, point {point}", wrong)
    return f"{len(points):,} kills", broken


def _counted(played: Iterable[T]) -> Iterable[T]:
    for number, each in enumerate(played, 1):
        if number % 100 == 0:
            print(f"{number:,} played", file=sys.stderr, flush=True)
        yield each


def _tell(where: str, wrong: Iterable[str]) -> bool:
    told = "; ".join(list(wrong)[:5])
    if told:
        print(f"{where}: {told}", flush=True)
    return bool(told)


if __name__ == "__main__":
    sys.exit(main())
