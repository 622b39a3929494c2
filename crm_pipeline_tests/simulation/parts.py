"""Which parts the world of a seed has, besides one organisation's people, payments and CRM."""

import random
from dataclasses import dataclass, fields


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What may happen in a world. ``neighbour``: a second organisation with the same people's ids
    and addresses, in the same process, ledger and lake. ``housekeeping``: everything that may be
    forgotten is forgotten at once, and the lake's files are folded. ``undo``: plans are taken back.
    """

    lists: bool = False
    samples: bool = False
    erasure: bool = False
    neighbour: bool = False
    housekeeping: bool = False
    undo: bool = False

    def __str__(self) -> str:
        """Name the parts."""
        return "+".join(each.name for each in fields(self) if getattr(self, each.name)) or "plain"


PLAIN = Parts()
#: The share of seeds without further parts: their histories cost half or a third of the others'.
PLAIN_SHARE = 0.8
#: How many parts the others have: rarely all of them, for these cost three times as much.
_SIZES = [1] * 6 + [2] * 5 + [3] * 3 + [len(fields(Parts))]
EVERYTHING = Parts(
    lists=True, samples=True, erasure=True, neighbour=True, housekeeping=True, undo=True
)


def parts_of(seed: int) -> Parts:
    """Return the parts of a seed's world: the same for the same seed, for ever.

    >>> [str(parts_of(seed)) for seed in range(3)] == [str(parts_of(seed)) for seed in range(3)]
    True
    """
    chance = random.Random(f"parts of {seed}")
    if chance.random() < PLAIN_SHARE:
        return PLAIN
    names = [each.name for each in fields(Parts)]
    some = chance.sample(names, chance.choice(_SIZES))
    return Parts(**dict.fromkeys(some, True))
