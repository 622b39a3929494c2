"""Leases: one holder, ended by time or by the holder's death, never by a wake-up."""

from collections.abc import Callable, Iterator

import pytest

from crm_pipeline.errors import LeaseHeldError
from crm_pipeline.store.ledger import Ledger, this_process
from crm_pipeline.store.ledger.leases import is_dead
from crm_pipeline_tests.store.ledger.conformance.workbench import ANOTHER_CONTAINER, at_once, python

NAME = "apply:acme:crm_com"
SAY_LABEL_AND_WAIT = (
    "import sys; from crm_pipeline.store.ledger.leases import this_process;"
    " print(this_process(), flush=True); sys.stdin.read()"
)


@pytest.fixture(scope="module")
def labels() -> Iterator[dict[str, str]]:
    """Labels of processes that really ran here: ended, killed but not waited for, alive."""
    processes = {name: python(SAY_LABEL_AND_WAIT) for name in ("ended", "killed", "alive")}
    known = {name: one.stdout.readline().strip() for name, one in processes.items()}
    processes["ended"].communicate()
    processes["killed"].kill()
    processes["killed"].stdout.read()  # it is over, and stays a zombie until somebody waits
    yield known
    for one in processes.values():
        one.communicate()


@pytest.mark.parametrize("end", ["ended", "killed"])
def test_a_dead_owner_of_this_host_is_taken_over_at_once(
    ledger: Ledger, labels: dict[str, str], end: str
) -> None:
    first = ledger.leases._take(NAME, labels[end], 3_600)
    with ledger.leases.hold(NAME, this_process(), 60) as second:
        assert second.generation == first.generation + 1


def test_a_living_owner_is_not_disturbed(ledger: Ledger, labels: dict[str, str]) -> None:
    with (
        ledger.leases.hold(NAME, labels["alive"], 60),
        pytest.raises(LeaseHeldError, match="Nothing was done"),
        ledger.leases.hold(NAME, this_process(), 60),
    ):
        pass


def test_of_two_processes_that_take_a_new_name_at_once_one_is_refused(
    ledger: Ledger, open_ledger: Callable[..., Ledger]
) -> None:
    other = open_ledger()
    for number in range(5):
        taken = at_once(
            lambda name=f"n{number}": ledger.leases._take(name, ANOTHER_CONTAINER, 60),
            lambda name=f"n{number}": other.leases._take(name, ANOTHER_CONTAINER, 60),
        )
        assert sorted(type(one).__name__ for one in taken) == ["Lease", "LeaseHeldError"]


def test_another_users_process_that_proc_hides_counts_as_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(_pid: int, _signal: int) -> None:
        raise PermissionError

    host, boot, container, pid, started = this_process().split("|")
    gone = "|".join((host, boot, container, pid, started + "0"))
    assert is_dead(gone)
    monkeypatch.setattr("os.kill", refuse)
    assert not is_dead(gone)
