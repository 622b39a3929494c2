"""A kill at any point of a sync, a full sweep, a receipt or an erasure is healed by itself."""

import pytest

from crm_pipeline_tests.nights import night
from crm_pipeline_tests.simulation.crash import WORKS, die, points_of

#: `make test` takes one point in so many, `make night` four, `make simulate POINTS=1` all.
STRIDE = 48


@pytest.mark.parametrize("first", [0, *night(12, 24, 36)])
@pytest.mark.parametrize("work", WORKS)
def test_a_kill_at_any_point_is_healed_without_a_person(work: str, first: int) -> None:
    points = points_of(work)
    assert points > 1
    for point in range(first, points, STRIDE):
        death = die(work, point)
        assert death.is_killed, f"point {point} of {points}"
        assert death.wrong == [], f"point {point} of {points}"
