"""Two processes on one ledger file, for real."""

import datetime as dt
import itertools
import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack

import pytest

from crm_pipeline.errors import LeaseHeldError
from crm_pipeline.store.ledger import this_process
from crm_pipeline.store.ledger.leases import is_dead
from crm_pipeline_tests.store.ledger import contender
from crm_pipeline_tests.store.ledger.conftest import sqlite_url


def start(stack, url, lease_name):
    command = [sys.executable, "-m", contender.__spec__.name, url, lease_name]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    stack.enter_context(process)
    stack.callback(process.kill)
    return process


def test_two_new_processes_share_one_ledger_and_one_budget_and_the_dead_hold_nothing(
    tmp_path, opened
):
    url = sqlite_url(tmp_path / "folder" / "ledger.sqlite3")
    with ExitStack() as stack:
        both = [start(stack, url, name) for name in ("one", "two")]
        told = [json.loads(process.stdout.readline()) for process in both]

        times = sorted(time for each in told for time in each["times"])
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert len(times) == 40
        assert min(gaps) >= 2 / 50 - 0.001

        ledger = opened(url, lambda: dt.datetime.now(dt.UTC))
        ledger.require_current()
        with pytest.raises(LeaseHeldError), ledger.leases.hold("one", this_process(), 60):
            pytest.fail("its holder lives")
        both[0].send_signal(signal.SIGKILL)
        os.waitid(os.P_PID, both[0].pid, os.WEXITED | os.WNOWAIT)  # dead, and not yet buried
        assert is_dead(told[0]["label"])
        with ledger.leases.hold("one", this_process(), 60) as lease:
            assert lease.generation == 2
        both[0].wait()
        assert is_dead(told[0]["label"])
        assert not is_dead(told[1]["label"])


def test_opening_another_connection_keeps_the_locks_of_the_first(tmp_path, opened):
    """Without them another process takes itself for the last one and deletes what we still read."""
    path = tmp_path / "ledger.sqlite3"
    ours = opened(sqlite_url(path), lambda: dt.datetime.now(dt.UTC))
    ours.migrate()
    ours.organisations.set_paused("a", is_paused=True)
    ours.organisations.paused()  # a second connection, as in every pool
    script = (
        f"import sqlite3; sqlite3.connect({str(path)!r}).execute('SELECT * FROM plans').close()"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
    assert path.with_name("ledger.sqlite3-wal").exists()
