"""kill -9 before and after every call and every durable write of one sync and of one receipt.

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
from crm_pipeline_tests.simulation.laws import ConsentWitness, safety
from crm_pipeline_tests.simulation.world import World

#: More points than any work has.
NEVER = 100_000


class Death(NamedTuple):
    """What a kill left behind; ``wrong`` is empty when it was healed without a person."""

    wrong: list[str]
    is_killed: bool
    points: int


def _sync(world: World) -> None:
    world.sync()


def _sweep(world: World) -> None:
    world.sync(is_full=True)


def _receive(world: World) -> None:
    world.pay()
    world.receive()


WORKS: dict[str, Callable[[World], None]] = {
    "sync": _sync,
    "sweep": _sweep,
    "receive": _receive,
}


def die(work: str, point: int) -> Death:
    """Do some work that dies after so many points, then let the pipeline go on by itself."""
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        world = World(11, Path(folder))
        try:
            witness = ConsentWitness(world)
            _prepare(world, witness)
            killed = world.killed
            world.fate.kill_after = point
            WORKS[work](world)
            left = world.fate.kill_after or 0
            world.fate.kill_after = None
            wrong = safety(world, witness) or quiet(world, witness)
            return Death(wrong, world.killed > killed, point - left)
        finally:
            world.close()


def points_of(work: str) -> int:
    """Return how many points the work has when nothing kills it."""
    return die(work, NEVER).points


def _prepare(world: World, witness: ConsentWitness) -> None:
    """Let there be something of everything to do: people, media that move, sales, webhooks."""
    world.sync()
    for happening in (
        world.add_customer,
        world.change_customer,
        world.pay,
        world.pay,
        world.refund,
        world.change_customer,
    ):
        happening()
        witness.look()
    while world.hooks and world.chance.random() < 0.8:
        world.receive()
