"""kill -9 before a system call of one pull, apply, erasure, receipt or sync: the next run heals it.

A few calls of each kind here; `make kills` takes every one. Which calls count, and why: `calls`.
"""

import os
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import pytest

from crm_pipeline_tests.docs.reading import ROOT
from crm_pipeline_tests.faults.rehearsing import WORKS, CannotWatchError, Rehearsal
from crm_pipeline_tests.nights import night

CANNOT_WATCH = "system calls can be watched on Linux x86_64 only, where ptrace is allowed"


@pytest.fixture
def rehearsal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rehearsal]:
    try:
        made = Rehearsal(request.param, tmp_path)
    except CannotWatchError:
        pytest.skip(CANNOT_WATCH)
    with made:
        yield made


def spread(calls: list[str], count: int) -> list[int]:
    """Return the numbers of so many calls, of each kind about as many, or of all of them."""
    kinds = defaultdict(list)
    for number, call in enumerate(calls, 1):
        kinds[call.split()[0]].append(number)
    chance = random.Random(count)
    mixed = [chance.sample(numbers, len(numbers)) for numbers in kinds.values()]
    mixed.sort(key=len, reverse=True)
    turns = [number for turn in zip_longest(*mixed) for number in turn if number is not None]
    return sorted(turns[:count])


@pytest.mark.slow
@pytest.mark.timeout(0)
@pytest.mark.parametrize("rehearsal", list(night(*WORKS)), indirect=True)
def test_a_command_that_is_killed_at_a_system_call_is_healed_by_the_next(
    rehearsal: Rehearsal, request: pytest.FixtureRequest
) -> None:
    chosen = spread(rehearsal.calls, int(request.config.getoption("--kills")))
    deaths = [rehearsal.play(number) for number in chosen]
    assert [(each.number, each.call, each.wrong) for each in deaths if each.wrong] == []
    assert sum(each.is_killed for each in deaths) > len(deaths) // 2


#: Writes a file in one thread after the other, and does what does not count in between.
PROGRAM = """
import os, socket, sys, threading
from crm_pipeline_tests.faults.calls import Watch, be_watched, can_watch

def work():
    os.mkdir("made")
    file = os.open("made/file", os.O_CREAT | os.O_WRONLY)
    thread = threading.Thread(target=os.write, args=(file, b"x"))
    thread.start()
    thread.join()
    inside, other = socket.socketpair()
    inside.send(b"x") and other.recv(1)
    os.write(os.pipe()[1], b"x")
    os.write(os.open("/dev/null", os.O_WRONLY), b"x")
    os.read(os.open("made/file", os.O_RDONLY), 1)
    called = socket.create_connection(listening.getsockname())
    called.send(b"x")
    os.fsync(file)
    os.rename("made/file", "made/other")

if not can_watch():
    sys.exit("cannot watch")
listening = socket.create_server(("127.0.0.1", 0))
pid = os.fork()
if pid == 0:
    be_watched()
    work()
    os._exit(0)
watch = Watch(pid, int(sys.argv[1]))
print(*watch.run(), watch.code, sep="\\n")
"""


def calls_of_the_program(folder: Path, at: int) -> list[str]:
    """Return its calls, without its folder, and the code with which it ended."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(at)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if "cannot watch" in done.stderr:
        pytest.skip(CANNOT_WATCH)
    return done.stdout.replace(f"{folder}/", "").splitlines()


def test_calls_that_outlive_a_process_are_seen_in_all_its_threads_and_no_others(
    tmp_path: Path,
) -> None:
    assert calls_of_the_program(tmp_path, at=0) == [
        "mkdir made",
        "openat made/file",
        "write made/file",
        "connect network",
        "sendto network",
        "fsync made/file",
        "rename made/file",
        "0",
    ]
    assert [each.name for each in (tmp_path / "made").iterdir()] == ["other"]


def test_a_process_dies_before_the_call_that_was_chosen_is_made(tmp_path: Path) -> None:
    assert calls_of_the_program(tmp_path, at=7)[-2:] == ["rename made/file", "-9"]
    assert [each.name for each in (tmp_path / "made").iterdir()] == ["file"]
    again = tmp_path / "again"
    again.mkdir()
    assert calls_of_the_program(again, at=3)[-2:] == ["write made/file", "-9"]
    assert (again / "made" / "file").read_bytes() == b""
