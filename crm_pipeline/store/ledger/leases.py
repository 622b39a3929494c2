"""Leases: who does a piece of work right now.

A lease is renewed by a thread of its holder and ends by itself when the holder stops. One whose
owner was a process of this host that is dead is taken over at once. Every take-over raises the
generation, and a worker of an older generation can write nothing more (``FAULTS.md`` D22, O05).
"""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from crm_pipeline.errors import LeaseHeldError, TryLaterError
from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.schema import leases
from crm_pipeline.store.ledger.times import Clock, to_micros

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_PROCESSES = Path("/proc/self/ns/pid")
#: Fields of ``/proc/<pid>/stat`` after the command: the state, and the start in clock ticks.
_STATE, _START_TICKS = 0, 19
_ENDED = ("Z", "X")
#: A holder renews this many times while its lease lasts.
_RENEWALS = 3


def this_process() -> str:
    """Return a label of this process that no later process can have.

    It holds the host, its boot, the container (PID namespace), the PID and the start time.
    """
    pid = os.getpid()
    return "|".join((*_this_host(), str(pid), _started(pid)))


def is_dead(owner: str) -> bool:
    """Whether the process with this label surely runs no more.

    False for a process of another host, boot or container: only time can tell.
    """
    _, boot, container, pid, started = _parts(owner)
    _, this_boot, this_container = _this_host()
    is_near = boot == this_boot != "" and container == this_container
    return is_near and pid.isdigit() and _has_ended(int(pid), started)


def is_elsewhere(owner: str) -> bool:
    """Whether the label is surely of another machine, or of an earlier boot of this one.

    Containers of one machine share its boot.
    """
    boot, this_boot = _parts(owner)[1], _this_host()[1]
    return bool(boot and this_boot) and boot != this_boot


def _parts(owner: str) -> list[str]:
    return (owner.split("|") + [""] * 5)[:5]


def _this_host() -> tuple[str, str, str]:
    """Return the host's name, its boot and our PID namespace; empty where the system has none."""
    boot = container = ""
    with suppress(OSError):
        boot = _BOOT_ID.read_text().strip()
    with suppress(OSError):
        container = str(_PROCESSES.readlink())
    return socket.gethostname(), boot, container


def _has_ended(pid: int, started: str) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # another user's, whom /proc may hide (hidepid), and alive
    return _started(pid) != started


def _started(pid: int) -> str:
    """Return when a process started, in ticks after boot; empty when it runs no more."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[_STATE] in _ENDED else fields[_START_TICKS]


@dataclass(frozen=True, slots=True)
class Lease:
    """A held lease. ``generation`` grows with every take-over."""

    name: str
    generation: int
    _leases: "Leases"
    _seconds: float

    def renew(self) -> None:
        """Hold the lease for its full time again. Raises LeaseHeldError when it was lost."""
        self._leases.extend(self, self._seconds)


class Leases:
    """Hands leases out, one holder a name."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @contextmanager
    def hold(self, name: str, owner: str, seconds: float) -> Iterator[Lease]:
        """Hold a lease for the block; it lasts ``seconds`` longer than the process runs.

        Raises LeaseHeldError while a living owner holds it.
        """
        lease = self._take(name, owner, seconds)
        ended = threading.Event()
        keeper = threading.Thread(
            target=self._keep, args=(lease, seconds, ended), name=f"lease {name}", daemon=True
        )
        keeper.start()
        try:
            yield lease
        finally:
            ended.set()
            keeper.join()
            with suppress(TryLaterError):  # it ends by itself; the block's own error goes on
                self._give_back(lease)

    def _keep(self, lease: Lease, seconds: float, ended: threading.Event) -> None:
        while not ended.wait(seconds / _RENEWALS):
            try:
                self.extend(lease, seconds)
            except LeaseHeldError:
                return  # whoever writes next in the block is told
            except TryLaterError:
                continue  # two more tries before it ends

    def extend(self, lease: Lease, seconds: float) -> None:
        """Hold a lease for ``seconds`` from now. Raises LeaseHeldError when it was lost."""
        until = to_micros(self._clock() + timedelta(seconds=seconds))
        statement = (
            sa.update(leases)
            .where(leases.c.name == lease.name, leases.c.generation == lease.generation)
            .values(until=until)
        )
        with self._database.write() as connection:
            if connection.execute(statement).rowcount != 1:
                raise _held(lease.name)

    def _take(self, name: str, owner: str, seconds: float) -> Lease:
        now = self._clock()
        until = to_micros(now + timedelta(seconds=seconds))
        new = self._database.upsert(leases).values(name=name, owner="", until=0, generation=0)
        query = sa.select(leases).where(leases.c.name == name).with_for_update()
        with self._database.write() as connection:
            self._require_one_machine(connection, to_micros(now))
            connection.execute(new.on_conflict_do_nothing())
            row = connection.execute(query).one()
            if row.owner and row.until > to_micros(now) and not is_dead(row.owner):
                raise _held(name)
            generation = row.generation + 1
            connection.execute(
                sa.update(leases)
                .where(leases.c.name == name)
                .values(owner=owner, until=until, generation=generation)
            )
        return Lease(name, generation, self, seconds)

    def _require_one_machine(self, connection: sa.Connection, now: int) -> None:
        """A SQLite file must not be shared between machines: their locks may not meet (S09)."""
        if not self._database.is_sqlite:
            return
        owners = connection.execute(sa.select(leases.c.owner).where(leases.c.until > now))
        if any(is_elsewhere(owner) for owner in owners.scalars()):
            raise LeaseHeldError(
                "Another machine, or this one before its restart, works with this ledger's file.",
                not_done="Nothing was done here.",
                remedy="After a restart wait a minute. Machines share a ledger in Postgres only.",
            )

    def _give_back(self, lease: Lease) -> None:
        statement = (
            sa.update(leases)
            .where(leases.c.name == lease.name, leases.c.generation == lease.generation)
            .values(owner="", until=0)
        )
        with self._database.write() as connection:
            connection.execute(statement)


def require(connection: sa.Connection, lease: Lease) -> None:
    """Raise LeaseHeldError when a lease was taken over; keep it until the transaction ends."""
    query = (
        sa.select(leases.c.generation).where(leases.c.name == lease.name).with_for_update(read=True)
    )
    if connection.execute(query).scalar_one_or_none() != lease.generation:
        raise LeaseHeldError(
            f"The lease {lease.name} was taken over by another process.",
            not_done="This process wrote nothing more.",
            remedy="Nothing to do: the other process goes on.",
        )


def _held(name: str) -> LeaseHeldError:
    return LeaseHeldError(
        f"Another process is at work ({name}).",
        not_done="Nothing was done here.",
        remedy="Wait until it has finished, or run again later.",
    )
