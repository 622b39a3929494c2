"""Time, sleep, chance and the wire, as values, so that tests can hold them in their hands.

Here: the one place where the HTTP layer takes them from the machine. Not here: waits.
"""

import datetime as dt
import random
import time
from collections.abc import Callable
from dataclasses import dataclass

import httpx


def _utc_now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seams:
    """What a client takes from the outside world.

    ``chance`` gives a number from 0 up to 1; it spreads retries and guards no secret. ``wire``
    gives the transport that requests go out by; None is the network.
    """

    clock: Callable[[], dt.datetime] = _utc_now
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random
    wire: Callable[[], httpx.BaseTransport] | None = None
