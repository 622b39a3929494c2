"""One at a time for one name: two tills that send the same reference at once post it once.

Between threads by a lock; between processes by what is passed in (a lease of the ledger).
"""

import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

#: Holds a name for a block, or raises TryLaterError while somebody else holds it.
Hold = Callable[[str], AbstractContextManager[object]]

#: Names share this many places, so that their number stays bounded.
PLACES = 1024


def place_of(name: str) -> int:
    """Return the place that a name has, the same in every process.

    >>> place_of("R-1") == place_of("R-1") < PLACES
    True
    """
    return zlib.crc32(name.encode()) % PLACES


class Turns:
    """Gives turns by name. A block must not take another turn."""

    def __init__(self, hold: Hold | None) -> None:
        self._hold = hold or (lambda _name: nullcontext())
        self._locks = [threading.Lock() for _ in range(PLACES)]

    @contextmanager
    def taking(self, name: str) -> Iterator[None]:
        """Wait for this process's other threads, then hold the name everywhere."""
        with self._locks[place_of(name)], self._hold(name):
            yield
