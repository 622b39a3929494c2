"""How a plan ended."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyReport:
    """One number for each outcome of a plan; they add up to the plan's size.

    ``calls`` and ``seconds`` are of this process; ``counts`` include what an earlier, killed
    process had finished. ``reject_reasons`` maps a reason's code to records.
    """

    digest: str
    counts: Mapping[str, int]
    calls: int
    seconds: float
    reject_reasons: Mapping[str, int]
