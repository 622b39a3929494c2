"""Exit codes of several organisations in one: which is the worst."""

from collections.abc import Iterable

from crm_pipeline.errors import (
    EXIT_BUG,
    EXIT_CHANGES,
    EXIT_CONFIGURATION,
    EXIT_DATA,
    EXIT_OK,
    EXIT_TRY_LATER,
)

#: From harmless to worst. A bug comes first because its consequences are unknown, then what only
#: a person can change, then data, then what may pass by itself.
BY_SEVERITY = (
    EXIT_OK,
    EXIT_CHANGES,
    EXIT_TRY_LATER,
    EXIT_DATA,
    EXIT_CONFIGURATION,
    EXIT_BUG,
)


def worst(codes: Iterable[int]) -> int:
    """Return the worst of several exit codes, 0 when there are none.

    >>> worst([0, 75, 65, 2]), worst([78, 70]), worst([])
    (65, 70, 0)
    """
    return max(codes, key=BY_SEVERITY.index, default=EXIT_OK)
