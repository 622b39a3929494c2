"""Cases that `make night` runs and `make test` does not: more of the same, or slow by nature."""

from collections.abc import Iterator
from typing import Any

import pytest


def night(*cases: Any) -> Iterator[Any]:
    """Give the cases of a parametrised test, marked; a tuple is a case of several arguments."""
    for case in cases:
        yield pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=pytest.mark.night)
