"""Histories of faults, kills and webhooks in any order: our code, real stores, a virtual clock."""

import pytest

from crm_pipeline_tests.nights import night
from crm_pipeline_tests.simulation.history import play
from crm_pipeline_tests.simulation.parts import EVERYTHING

#: Seeds of every run, and of ``make night``. More of them: ``make simulate SEEDS=10000``.
SEEDS, SEEDS_OF_THE_NIGHT = 500, 700
A_GROUP = 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "first",
    [*range(0, SEEDS, A_GROUP), *night(*range(SEEDS, SEEDS_OF_THE_NIGHT, A_GROUP))],
)
def test_every_law_holds_in_every_history(first: int) -> None:
    broken = {ended.seed: ended.wrong for ended in map(play, range(first, first + A_GROUP))}
    assert {seed: wrong for seed, wrong in broken.items() if wrong} == {}


@pytest.mark.timeout(300)
def test_a_seed_replays_the_very_same_history() -> None:
    first, again = play(7, EVERYTHING), play(7, EVERYTHING)
    assert (first.trace, first.calls, first.killed, first.wrong) == (
        again.trace,
        again.calls,
        again.killed,
        again.wrong,
    )
