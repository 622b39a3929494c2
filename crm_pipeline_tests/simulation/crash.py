"""kill -9 before and after every call and every durable write of a sync, a receipt, an erasure.

A point is a call to a vendor (before it, and between the vendor's work and its answer), a ledger
transaction (before it, and after its commit) or a write of the lake (the same). A kill between two
system calls of one such write is the business of the store: SQLite and the lake are tested for it
by themselves (``store``), and processes are killed at any moment in ``acceptance``.
"""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from crm_pipeline_tests.simulation.history import quiet
from crm_pipeline_tests.simulation.laws import Laws
from crm_pipeline_tests.simulation.parts import PLAIN, Parts
from crm_pipeline_tests.simulation.world import World

#: More points than any work has.
NEVER = 100_000


class Death(NamedTuple):
    """What a kill left behind; ``wrong`` is empty when it was healed without a person."""

    wrong: list[str]
    is_killed: bool
    points: int


def _sync(world: World) -> None:
    world.main.sync()


def _sweep(world: World) -> None:
    world.main.sync(is_full=True)


def _receive(world: World) -> None:
    world.main.pay()
    world.main.receive()


def _erase(world: World) -> None:
    erasures = world.main.erasures
    assert erasures is not None
    oldest = min(world.main.codes().values())
    erasures.go_on(erasures.begin(oldest))


WORKS: dict[str, Callable[[World], None]] = {
    "sync": _sync,
    "sweep": _sweep,
    "receive": _receive,
    "erase": _erase,
}
#: What the world of a work has besides one organisation's people, payments and CRM.
_PARTS = {"erase": Parts(lists=True, samples=True, erasure=True)}


def die(work: str, point: int) -> Death:
    """Do some work that dies after so many points, then let the pipeline go on by itself."""
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        world = World(11, Path(folder), _PARTS.get(work, PLAIN))
        try:
            laws = Laws(world)
            _prepare(world, laws)
            killed = world.killed
            world.fate.kill_after = point
            WORKS[work](world)
            left = world.fate.kill_after or 0
            world.fate.kill_after = None
            wrong = _judged(world, laws)
            return Death(wrong, world.killed > killed, point - left)
        finally:
            world.close()


def points_of(work: str) -> int:
    """Return how many points the work has when nothing kills it."""
    return die(work, NEVER).points


def _judged(world: World, laws: Laws) -> list[str]:
    laws.look()
    return laws.safety() or quiet(world, laws)


def _prepare(world: World, laws: Laws) -> None:
    """Let there be something of everything to do: people, media that move, sales, webhooks."""
    main = world.main
    more = []
    if main.lists is not None and main.samples is not None:
        more = [main.lists.join, main.samples.order, main.samples.move]
    main.sync()
    for happening in (
        main.add_customer,
        main.change_customer,
        main.pay,
        main.pay,
        main.refund,
        main.change_customer,
        *more,
    ):
        happening()
        laws.look()
    while main.hooks and world.chance.random() < 0.8:
        main.receive()
    if more:
        main.sync(is_full=True)
        laws.look()
