"""Leases: one holder a name, nobody waits for the dead."""

import os
import socket
import threading

import pytest

from crm_pipeline.errors import LeaseHeldError, TryLaterError
from crm_pipeline.store.ledger import this_process
from crm_pipeline.store.ledger.leases import is_dead

#: A process whose life cannot be judged from here: of another container.
ELSEWHERE = this_process().replace("pid:[", "pid:[9")


def test_a_lease_has_one_holder_and_is_free_again_afterwards(ledger, other):
    with ledger.leases.hold("sync:acme", this_process(), 60) as lease:
        assert lease.generation == 1
        with (
            pytest.raises(LeaseHeldError, match=r"at work \(sync:acme\)"),
            other.leases.hold("sync:acme", this_process(), 60),
        ):
            pytest.fail("two holders")
        with other.leases.hold("sync:blue", this_process(), 60):
            pass
    with other.leases.hold("sync:acme", ELSEWHERE, 60) as lease:
        assert lease.generation == 2


def test_an_ended_lease_is_taken_over_and_its_holder_told(ledger, other, clock):
    with ledger.leases.hold("sync:acme", ELSEWHERE, 60) as stale:
        clock.forward(59)
        stale.renew()
        clock.forward(59)
        with (
            pytest.raises(LeaseHeldError),
            other.leases.hold("sync:acme", this_process(), 60),
        ):
            pytest.fail("it was renewed")
        clock.forward(1)
        with other.leases.hold("sync:acme", this_process(), 60) as lease:
            assert lease.generation == stale.generation + 1
            with pytest.raises(LeaseHeldError):
                stale.renew()
            lease.renew()


def test_a_late_holder_does_not_end_the_lease_of_the_next(ledger, other, clock):
    stale = ledger.leases.hold("sync:acme", ELSEWHERE, 60)
    stale.__enter__()
    clock.forward(61)
    with other.leases.hold("sync:acme", ELSEWHERE, 60) as lease:
        stale.__exit__(None, None, None)
        lease.renew()
        with pytest.raises(LeaseHeldError), ledger.leases.hold("sync:acme", ELSEWHERE, 60):
            pytest.fail("two holders")


def test_a_lease_is_renewed_while_its_block_runs(ledger, other, monkeypatch):
    renewed = threading.Event()
    extend = ledger.leases.extend

    def extend_and_tell(lease, seconds):
        extend(lease, seconds)
        renewed.set()

    monkeypatch.setattr(ledger.leases, "extend", extend_and_tell)
    with ledger.leases.hold("sync:acme", ELSEWHERE, 0.03):
        assert renewed.wait(10)
    assert not any(thread.name == "lease sync:acme" for thread in threading.enumerate())


class Turns:
    """Stands for the end of a block that comes after some renewals."""

    def __init__(self, number):
        self.number = number

    def wait(self, _seconds):
        self.number -= 1
        return self.number < 0


@pytest.mark.parametrize(
    ("error", "tries"), [(TryLaterError("busy"), 3), (LeaseHeldError("lost"), 1)]
)
def test_renewing_goes_on_after_bad_luck_and_ends_when_the_lease_is_lost(
    ledger, lease, monkeypatch, error, tries
):
    calls = []

    def fail(*arguments):
        calls.append(arguments)
        raise error

    monkeypatch.setattr(ledger.leases, "extend", fail)
    ledger.leases._keep(lease, 60, Turns(3))
    assert len(calls) == tries


def test_a_lease_that_cannot_be_given_back_does_not_hide_the_error_of_its_block(
    ledger, monkeypatch
):
    def fail(_lease):
        raise TryLaterError("the disk is full")

    monkeypatch.setattr(ledger.leases, "_give_back", fail)
    with (
        pytest.raises(ZeroDivisionError),
        ledger.leases.hold("sync:acme", this_process(), 60),
    ):
        raise ZeroDivisionError


def test_a_living_process_is_not_dead():
    assert not is_dead(this_process())


@pytest.mark.parametrize(
    ("change", "dead"),
    [
        ({}, False),
        ({"start": "1"}, True),  # the PID belongs to a later process
        ({"pid": "4194304"}, True),
        ({"boot": "another", "pid": "4194304"}, False),
        ({"boot": "", "pid": "4194304"}, False),
        ({"host": "a container's", "pid": "4194304"}, True),
        ({"container": "pid:[1]", "pid": "4194304"}, False),
        ({"pid": "x"}, False),
    ],
)
def test_death_is_told_only_when_it_is_sure(change, dead):
    names = ("host", "boot", "container", "pid", "start")
    parts = dict(zip(names, this_process().split("|"), strict=True)) | change
    assert is_dead("|".join(parts.values())) is dead


@pytest.mark.parametrize("label", ["", "owner", socket.gethostname(), "a|b|c|d|e|f"])
def test_a_label_of_another_kind_tells_nothing(label):
    assert not is_dead(label)


def test_without_a_proc_file_system_only_time_can_tell(monkeypatch, tmp_path):
    monkeypatch.setattr("crm_pipeline.store.ledger.leases._BOOT_ID", tmp_path / "none")
    monkeypatch.setattr("crm_pipeline.store.ledger.leases._PROCESSES", tmp_path / "none")
    label = this_process()
    assert label.split("|")[:4] == [socket.gethostname(), "", "", str(os.getpid())]
    assert not is_dead(label.replace(str(os.getpid()), "4194304"))


def test_two_machines_share_postgres_and_not_a_file(ledger, other, clock):
    far_away = "elsewhere|another boot|pid:[1]|7|99"
    with ledger.leases.hold("sync:acme", far_away, 60):
        if ledger._database.is_sqlite:
            with (
                pytest.raises(LeaseHeldError, match="Another machine"),
                other.leases.hold("sync:blue", this_process(), 60),
            ):
                pytest.fail("two machines on one file")
        else:
            with other.leases.hold("sync:blue", this_process(), 60):
                pass
        clock.forward(61)
        with other.leases.hold("sync:blue", this_process(), 60):
            pass
