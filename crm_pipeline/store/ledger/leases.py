"""Leases: who does a piece of work right now.

A lease ends by itself. One whose owner was a process of this host that is dead is taken over at
once. Every take-over raises the generation, and a worker of an older generation can write nothing
more (``FAULTS.md`` D22, O05).
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa

from crm_pipeline.core.ports import Clock
from crm_pipeline.errors import LeaseHeldError
from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.schema import leases
from crm_pipeline.store.ledger.times import to_micros

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
#: Field of ``/proc/<pid>/stat`` after the command: when the process started, in clock ticks.
_START_TICKS = 19


def this_process() -> str:
    """Return a label of this process that no later process can have: host, boot, pid, start."""
    pid = os.getpid()
    return f"{_this_boot()}|{pid}|{_started(pid)}"


def _this_boot() -> str:
    boot = _BOOT_ID.read_text().strip() if _BOOT_ID.exists() else ""
    return f"{socket.gethostname()}|{boot}"


def _started(pid: int) -> str:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    return stat.rpartition(")")[2].split()[_START_TICKS]


def is_dead(owner: str) -> bool:
    """Whether the process with this label surely runs no more.

    False for a process of another host: only time can tell.
    """
    boot, _, process = owner.rpartition("|")[0].rpartition("|")
    started = owner.rpartition("|")[2]
    host = socket.gethostname()
    if not boot.startswith(f"{host}|") or not process.isdigit():
        return False
    return boot != _this_boot() or _started(int(process)) != started


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
        """Hold a lease for the block. Raises LeaseHeldError while a living owner holds it."""
        lease = self._take(name, owner, seconds)
        try:
            yield lease
        finally:
            self._give_back(lease)

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
        query = sa.select(leases).where(leases.c.name == name).with_for_update()
        with self._database.write() as connection:
            row = connection.execute(query).one_or_none()
            if row is None:
                connection.execute(
                    sa.insert(leases).values(name=name, owner=owner, until=until, generation=1)
                )
                return Lease(name, 1, self, seconds)
            if row.owner and row.until > to_micros(now) and not is_dead(row.owner):
                raise _held(name)
            generation = row.generation + 1
            connection.execute(
                sa.update(leases)
                .where(leases.c.name == name)
                .values(owner=owner, until=until, generation=generation)
            )
        return Lease(name, generation, self, seconds)

    def _give_back(self, lease: Lease) -> None:
        statement = (
            sa.update(leases)
            .where(leases.c.name == lease.name, leases.c.generation == lease.generation)
            .values(owner="", until=0)
        )
        with self._database.write() as connection:
            connection.execute(statement)


def _held(name: str) -> LeaseHeldError:
    return LeaseHeldError(
        f"Another process is at work ({name}).",
        not_done="Nothing was done here.",
        remedy="Wait until it has finished, or run again later.",
    )
