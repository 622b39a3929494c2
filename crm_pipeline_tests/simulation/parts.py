"""Which parts the world of a seed has, besides one organisation's people, payments and CRM."""

import random
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What may happen in a world. ``neighbour``: a second organisation with the same people's ids
    and addresses, in the same process, ledger and lake.
    """

    lists: bool = False
    samples: bool = False
    erasure: bool = False
    neighbour: bool = False

    def __str__(self) -> str:
        """Name the parts."""
        return "+".join(each.name for each in fields(self) if getattr(self, each.name)) or "plain"


PLAIN = Parts()
EVERYTHING = Parts(lists=True, samples=True, erasure=True, neighbour=True)


def parts_of(seed: int) -> Parts:
    """Return the parts of a seed's world: the same for the same seed, for ever.

    >>> [str(parts_of(seed)) for seed in range(3)] == [str(parts_of(seed)) for seed in range(3)]
    True
    """
    chance = random.Random(f"parts of {seed}")
    return Parts(
        lists=chance.random() < 1 / 3,
        samples=chance.random() < 1 / 3,
        erasure=chance.random() < 1 / 4,
        neighbour=chance.random() < 1 / 4,
    )
