"""One history: a seed decides everything that happens, and the laws are asked all along."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from crm_pipeline_tests.simulation.binding import WAITS
from crm_pipeline_tests.simulation.laws import Laws
from crm_pipeline_tests.simulation.organisation import Organisation
from crm_pipeline_tests.simulation.parts import Parts, parts_of
from crm_pipeline_tests.simulation.world import World

#: Steps of a history, at least and at most: a short one ends before later steps mend what it broke.
EVENTS = (6, 14)
ROUNDS_TO_QUIET = 12
#: Bytes that have to be free in memory for the folders of some histories.
_ROOM = 256 * 1024 * 1024
#: What may happen in every world, and how often.
_ALWAYS = {
    "change": 5, "add": 1, "pay": 4, "refund": 2, "receive": 5, "lose": 1, "unsubscribe": 1,
    "sync": 6, "sweep": 1,
}  # fmt: skip
#: What may happen in addition in the parts of a world, how often each, and in what share of steps.
_OF_PARTS: dict[str, tuple[float, dict[str, int]]] = {
    "lists": (0.5, {"join": 3, "leave": 2, "doubt": 2, "trust": 1, "read lists": 4}),
    "samples": (0.7, {"order": 3, "move": 5, "answer": 2, "become": 1, "receive": 4}),
    "housekeeping": (0.4, {"retain": 2, "fold": 1}),
    "undo": (0.2, {"undo": 1}),
    "erasure": (0.24, {"erase": 1, "inherit": 1}),
    "neighbour": (
        0.5,
        {"change there": 3, "pay there": 3, "refund there": 1, "receive there": 3, "sync there": 3},
    ),
}
#: Events whose calls may fail, and which may be killed.
_OF_PROCESS = ("sync", "sweep", "read lists", "erase", "retain", "fold", "undo")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a history ended; ``wrong`` is empty when every law held."""

    seed: int
    wrong: tuple[str, ...]
    calls: int
    syncs: int
    killed: int
    trace: tuple[str, ...]
    parts: Parts


def play(seed: int, parts: Parts | None = None) -> Ended:
    """Play one history from its beginning until all is quiet.

    ``parts`` other than the seed's own make another history.
    """
    chosen = parts_of(seed) if parts is None else parts
    with tempfile.TemporaryDirectory(prefix="simulation-", dir=_fast_folder()) as folder:
        world = World(seed, Path(folder), chosen)
        try:
            return _play(seed, world)
        finally:
            world.close()


def _fast_folder() -> str | None:
    """Return a folder in memory, where an fsync costs nothing: no power is lost here."""
    memory = Path("/dev/shm")
    is_there = memory.is_dir() and shutil.disk_usage(memory).free > _ROOM
    return str(memory) if is_there else None


def _play(seed: int, world: World) -> Ended:
    laws = Laws(world)
    trace: list[str] = []

    wrong: list[str] = []
    _begin(world)
    for _ in range(world.chance.randint(*EVENTS)):
        for happening in _chosen(world):
            trace.append(_step(world, laws, happening))
            laws.look()
            wrong = wrong or laws.safety()
        if wrong:
            break
    wrong = wrong or quiet(world, laws)
    return Ended(
        seed,
        tuple(wrong),
        world.fate.calls,
        world.syncs,
        world.killed,
        tuple(trace),
        world.parts,
    )


def _begin(world: World) -> None:
    """Let there be some members and orders, then sync everybody for the first time."""
    main = world.main
    if main.lists is not None:
        main.lists.join()
    if main.samples is not None:
        for _ in range(3):
            main.samples.order()
    for each in world.organisations:
        each.sync()


def _chosen(world: World) -> list[str]:
    """Return what happens in one step: to everybody's world, and in some of its parts."""
    chance = world.chance
    world.clock.turn(chance.choice([0.0, 0.5, 2.0, 30.0]))
    found: list[str] = chance.choices([*_ALWAYS], [*_ALWAYS.values()])
    for name, (share, happenings) in _OF_PARTS.items():
        if getattr(world.parts, name) and chance.random() < share:
            found += chance.choices([*happenings], [*happenings.values()])
    return found


def _step(world: World, laws: Laws, happening: str) -> str:
    """Let one thing happen."""
    if happening in _OF_PROCESS:
        return work(world, laws, happening)
    if happening.endswith(" there"):
        _next_door(world, laws, happening)
    else:
        happen(world, laws, happening)
    return happening


def work(world: World, laws: Laws, happening: str) -> str:
    """Let the process work for the organisation, and things go wrong meanwhile."""
    chance, main = world.chance, world.main
    rate = chance.choice([0.0, 0.0, 0.1, 0.4])
    storage_rate = chance.choice([0.0, 0.0, 0.0, 0.05])
    kill_after = chance.choice([None, None, chance.randrange(150)])
    if happening == "erase":
        kill_after = chance.choice([None, chance.randrange(60), chance.randrange(60)])
    with world.fate.strikes(rate=rate, storage_rate=storage_rate, kill_after=kill_after):
        if happening in ("sync", "sweep"):
            sync(laws, main, is_full=happening == "sweep")
        else:
            todo: dict[str, Callable[[], object]] = {
                "read lists": lambda: main.sync(datasets={"loke/list_members"}),
                "retain": main.retain,
                "fold": main.fold,
                "undo": main.undo,
            }
            if main.erasures is not None:
                todo |= {"erase": main.erasures.ask}
            todo[happening]()
    return f"{happening} (faults {rate:g}, storage {storage_rate:g})"


def sync(laws: Laws, organisation: Organisation, *, is_full: bool = False) -> bool:
    """Sync, and tell the witness when there was no trouble; return whether anything changed."""
    report = organisation.sync(is_full=is_full)
    if report is None or report.errors:
        return True
    laws.witnesses[organisation.slug].saw_sync()
    return bool(report.changes)


def happen(world: World, laws: Laws, happening: str) -> None:
    """Let one thing happen to the main organisation, in which our process is not disturbed."""
    main = world.main
    if happening == "unsubscribe":
        code = main.unsubscribe_in_the_crm()
        is_heard = main.verify()
        if not is_heard:  # an erasure that did not come to its end holds on to it for a while
            world.clock.turn(WAITS.lease_seconds * 2)
            is_heard = main.verify()
        if code is not None and is_heard:
            laws.main.saw_unsubscription(code)
        return
    todo: dict[str, Callable[[], None]] = {
        "change": main.change_customer,
        "add": main.add_customer,
        "pay": main.pay,
        "refund": main.refund,
        "receive": main.receive,
        "lose": main.lose_a_webhook,
    }
    if main.lists is not None:
        lists = main.lists
        todo |= {"join": lists.join, "leave": lists.leave}
        todo |= {"doubt": lists.doubt, "trust": lists.trust}
    if main.samples is not None:
        samples = main.samples
        todo |= {"order": samples.order, "move": samples.move, "answer": samples.answer}
        todo |= {"become": samples.become}
    if main.erasures is not None:
        todo |= {"inherit": main.erasures.inherit}
    todo[happening]()


def _next_door(world: World, laws: Laws, happening: str) -> None:
    """Let something happen to the neighbour, whose people have the same ids."""
    other, chance = world.neighbour, world.chance
    assert other is not None
    if happening == "sync there":
        rate, kill_after = chance.choice([0.0, 0.1]), chance.choice([None, chance.randrange(150)])
        with world.fate.strikes(rate=rate, kill_after=kill_after):
            sync(laws, other)
        return
    {
        "change there": other.change_customer,
        "pay there": lambda: other.pay_the_same(world.main),
        "refund there": other.refund,
        "receive there": other.receive,
    }[happening]()


def quiet(world: World, laws: Laws) -> list[str]:
    """End all faults, deliver what is under way, sync until nothing changes, and judge.

    The neighbour comes first, while every call of the main organisation still fails.
    """
    main, other = world.main, world.neighbour
    for each in world.organisations:
        while each.hooks:
            each.receive()
    wrong: list[str] = []
    if other is not None:
        world.fate.cut_off.add(main.slug)
        main.sync()
        wrong += _settle(laws, other)
        world.fate.cut_off.clear()
    if main.lists is not None:
        main.lists.trust()
    if main.erasures is not None:
        world.clock.turn(WAITS.lease_seconds * 2)  # to give one back may have failed
        for asked in main.erasures.waiting():
            main.erasures.go_on(main.erasures.begin(asked.code))
    wrong += _settle(laws, main)
    if other is not None:
        wrong += laws.liveness(other)
    return wrong


def _settle(laws: Laws, organisation: Organisation) -> list[str]:
    """Sync one organisation until nothing is written; return every law that is broken then."""
    world = laws.world
    for number in range(ROUNDS_TO_QUIET):
        world.clock.turn(3_600)
        before = world.writes()
        is_changing = sync(laws, organisation, is_full=not number)
        if organisation.lists is not None and not number:
            # That everybody left is believed when it is told twice.
            organisation.sync(datasets={"loke/list_members"})
        laws.look()
        if number and not is_changing and world.writes() == before:
            return laws.safety() + laws.liveness(organisation)
    return [f"{organisation.slug} is not quiet after {ROUNDS_TO_QUIET} syncs"]
