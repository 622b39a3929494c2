"""One history: a seed decides everything that happens, and the laws are asked all along."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from crm_pipeline_tests.simulation.laws import ConsentWitness, liveness, safety
from crm_pipeline_tests.simulation.world import World

#: Events of a history, and how many of them are syncs.
EVENTS = 14
ROUNDS_TO_QUIET = 12


@dataclass(frozen=True, slots=True)
class Ended:
    """How a history ended; ``wrong`` is empty when every law held."""

    seed: int
    wrong: tuple[str, ...]
    calls: int
    syncs: int
    killed: int
    trace: tuple[str, ...]


def play(seed: int) -> Ended:
    """Play one history from its beginning until all is quiet."""
    with tempfile.TemporaryDirectory(prefix="simulation-") as folder:
        world = World(seed, Path(folder))
        try:
            return _play(seed, world)
        finally:
            world.close()


def _play(seed: int, world: World) -> Ended:
    witness = ConsentWitness(world)
    trace: list[str] = []

    wrong: list[str] = []
    world.sync()
    for _ in range(EVENTS):
        trace.append(_step(world, witness))
        witness.look()
        wrong = safety(world, witness)
        if wrong:
            break
    wrong = wrong or quiet(world, witness)
    return Ended(seed, tuple(wrong), world.fate.calls, world.syncs, world.killed, tuple(trace))


def _step(world: World, witness: ConsentWitness) -> str:
    """Let one thing happen."""
    chance, fate = world.chance, world.fate
    world.clock.turn(chance.choice([0.0, 0.5, 2.0, 30.0]))
    happening = chance.choices(
        ["change", "add", "pay", "refund", "receive", "lose", "unsubscribe", "sync", "sweep"],
        [5, 1, 4, 2, 5, 1, 1, 6, 1],
    )[0]
    if happening == "unsubscribe":
        code = world.unsubscribe_in_the_crm()
        if code is not None:
            world.verify()
            witness.saw_unsubscription(code)
        return happening
    if happening in ("sync", "sweep"):
        fate.rate = chance.choice([0.0, 0.0, 0.1, 0.4])
        fate.storage_rate = chance.choice([0.0, 0.0, 0.0, 0.05])
        fate.kill_after = chance.choice([None, None, chance.randrange(150)])
        world.sync(is_full=happening == "sweep")
        told = f"{happening} (faults {fate.rate:g}, storage {fate.storage_rate:g})"
        fate.rate = fate.storage_rate = 0.0
        fate.kill_after = None
        return told
    {
        "change": world.change_customer,
        "add": world.add_customer,
        "pay": world.pay,
        "refund": world.refund,
        "receive": world.receive,
        "lose": world.lose_a_webhook,
    }[happening]()
    return happening


def quiet(world: World, witness: ConsentWitness) -> list[str]:
    """End all faults, deliver what is under way, sync until nothing is written, and judge."""
    while world.hooks:
        world.receive()
    for number in range(ROUNDS_TO_QUIET):
        world.clock.turn(3_600)
        before = writes(world)
        report = world.sync(is_full=not number)
        witness.look()
        if number and report is not None and not report.errors and before == writes(world):
            return safety(world, witness) + liveness(world, witness)
    return [f"not quiet after {ROUNDS_TO_QUIET} syncs"]


def writes(world: World) -> int:
    """Return how many writes the CRM was asked for so far."""
    return world.crm.requests.count("POST") + world.crm.requests.count("PUT")
