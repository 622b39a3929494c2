"""Play many histories: ``python -m crm_pipeline_tests.simulation --seeds 10000 [--first 0]``.

Exit code 1 when a law was broken; the seed replays the very same history:
``python -m crm_pipeline_tests.simulation --first SEED --seeds 1``.
"""

import argparse
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from crm_pipeline_tests.simulation.history import Ended, play


def main() -> int:
    """Play, tell of each broken law, and say how many histories there were."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=500, help="how many histories")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes")
    chosen = parser.parse_args()
    started = time.monotonic()
    broken: list[Ended] = []
    calls = killed = 0
    with ProcessPoolExecutor(chosen.jobs) as pool:
        seeds = range(chosen.first, chosen.first + chosen.seeds)
        for number, ended in enumerate(pool.map(play, seeds), 1):
            calls, killed = calls + ended.calls, killed + ended.killed
            if ended.wrong:
                broken.append(ended)
                print(f"seed {ended.seed}: {'; '.join(ended.wrong[:5])}", flush=True)
            if number % 100 == 0:
                print(f"{number:,} histories", file=sys.stderr, flush=True)
    seconds = time.monotonic() - started
    print(
        f"{chosen.seeds:,} histories, {calls:,} calls, {killed:,} kills, {len(broken):,} broken,"
        f" {seconds:.0f} s."
    )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
