"""System calls of running processes, in the order in which they happened."""

import re
import shutil
import signal
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

CALLS = "fdatasync,fsync,write,writev,sendto,sendmsg"


def can_trace(folder: Path) -> bool:
    """Whether strace is there and may trace its own child."""
    strace = shutil.which("strace")
    if strace is None:
        return False
    probe = [strace, "-f", "-o", str(folder / "probe"), "-e", "trace=none", "true"]
    return subprocess.run(probe, capture_output=True, check=False).returncode == 0


@contextmanager
def traced(trace: Path, pids: Collection[int]) -> Iterator[None]:
    """Write what processes and their children call into a file, until the block ends.

    Skips the test where strace is missing or may not attach.
    """
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    processes = [word for pid in pids for word in ("-p", str(pid))]
    watch = subprocess.Popen(
        [strace, "-f", "-e", f"trace={CALLS}", "-s", "16", "-o", str(trace), *processes],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert watch.stderr is not None
    left = set(map(str, pids))
    while left:
        told = watch.stderr.readline()
        if "attached" not in told:
            watch.kill()
            watch.communicate()
            pytest.skip(f"strace may not attach here: {told.strip()}")
        left -= set(re.findall(r"\d+", told))
    try:
        yield
    finally:
        watch.send_signal(signal.SIGINT)
        watch.communicate()


def acknowledged(trace: Path) -> tuple[int, int]:
    """Count the answers 200, and those of them with no fsync between them and the one before."""
    is_synced, answers, bare = False, 0, 0
    for line in trace.read_text().splitlines():
        if re.search(r"(fdatasync|fsync)(\(\d+\)| resumed>\)).*= 0", line):
            is_synced = True
        elif '"HTTP/1.1 200' in line:
            answers += 1
            bare += not is_synced
            is_synced = False
    return answers, bare
