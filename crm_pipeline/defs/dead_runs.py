"""Runs that Dagster believes to go on while their process is gone.

Dagster's code server ends the runs of its own processes. When it dies with them, as when a host
loses power, nobody else knows: such a run would stay open until its longest runtime is over, keep
its place in the queue, and its organisations would count as being at work. Not here: what the run
was doing. The ledger's leases see the dead by themselves.

A process is looked for on this machine and in this container: where the daemon starts its runs.
"""

import datetime as dt
import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import dagster as dg

OPEN = [
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
#: How Dagster begins the event in which a run's process tells its number.
_PROCESS_STARTED = "Started process for run"
#: Where Dagster keeps the address of the code server that was asked to start a run.
_CODE_SERVER_TAG = ".dagster/grpc_info"
#: A process that is this much younger than the event of its number got the number later.
_SLACK_SECONDS = 2.0
#: A run without a process is given this long to get one.
_START_SECONDS = 60.0
_ANSWER_SECONDS = 2.0
#: Fields of ``/proc/<pid>/stat`` after the command: the state, and the start in clock ticks.
_STATE, _START_TICKS = 0, 19
_ENDED = ("Z", "X")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadRun:
    """One open run whose process is gone. ``pid`` None: it never got one."""

    run_id: str
    job: str
    status: str
    pid: int | None

    @property
    def reason(self) -> str:
        """Why it is taken for dead, in one sentence."""
        if self.pid is None:
            return "It never got a process, and the code server that was to start one is gone."
        return f"Its process {self.pid} does not run any more."


def find_dead_runs(instance: dg.DagsterInstance, now: dt.datetime) -> list[DeadRun]:
    """Return the open runs whose process is gone from this machine, the oldest first."""
    records = instance.get_run_records(dg.RunsFilter(statuses=OPEN), ascending=True)
    return list(_dead_of(instance, records, now))


def close_run(instance: dg.DagsterInstance, dead: DeadRun) -> bool:
    """End a dead run as failed, or as cancelled when that was asked; False when it has ended."""
    run = instance.get_run_by_id(dead.run_id)
    if run is None or run.is_finished:
        return False
    message = f"{dead.reason} What it finished stays recorded; the next sync does the rest."
    if run.status is dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message)
    else:
        instance.report_run_failed(run, message)
    return True


def close_dead_runs(instance: dg.DagsterInstance, now: dt.datetime) -> list[DeadRun]:
    """End every open run whose process is gone; return them."""
    return [each for each in find_dead_runs(instance, now) if close_run(instance, each)]


def _dead_of(
    instance: dg.DagsterInstance, records: Sequence[dg.RunRecord], now: dt.datetime
) -> Iterator[DeadRun]:
    for record in records:
        run = record.dagster_run
        started = _process_of(instance, run.run_id)
        if started is not None:
            pid, at = started
            is_dead = is_process_gone(pid, age_seconds=now.timestamp() - at)
        else:
            pid = None
            waited = now.timestamp() - record.update_timestamp.timestamp()
            is_dead = waited > _START_SECONDS and not _is_code_server_up(run)
        # What a process tells at its end is there before it is gone: so look once more.
        if is_dead and not _has_ended(instance, run.run_id):
            yield DeadRun(run_id=run.run_id, job=run.job_name, status=run.status.value, pid=pid)


def _has_ended(instance: dg.DagsterInstance, run_id: str) -> bool:
    run = instance.get_run_by_id(run_id)
    return run is None or run.is_finished


def _process_of(instance: dg.DagsterInstance, run_id: str) -> tuple[int, float] | None:
    """Return the number of a run's newest process and when it told it, in seconds since 1970."""
    found = None
    for record in instance.all_logs(run_id, of_type=dg.DagsterEventType.ENGINE_EVENT):
        event = record.dagster_event
        if event is None or not (event.message or "").startswith(_PROCESS_STARTED):
            continue
        number = event.engine_event_data.metadata.get("pid")
        with suppress(TypeError, ValueError):
            found = int(str(getattr(number, "value", None))), record.timestamp
    return found


def is_process_gone(pid: int, *, age_seconds: float) -> bool:
    """Whether the process that had this number so many seconds ago surely runs no more.

    Where a system does not tell when a process began, whoever has the number counts as it.
    """
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False  # another user's, whom /proc may hide
    try:
        uptime = float(Path("/proc/uptime").read_text().split()[0])
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return False
    age = uptime - int(fields[_START_TICKS]) / os.sysconf("SC_CLK_TCK")
    return fields[_STATE] in _ENDED or age < age_seconds - _SLACK_SECONDS


def _is_code_server_up(run: dg.DagsterRun) -> bool:
    """Whether the code server that was asked to start a run still takes connections."""
    try:
        place = json.loads(run.tags[_CODE_SERVER_TAG])
    except (KeyError, ValueError):
        return False
    port, path = place.get("port"), place.get("socket")
    family = socket.AF_INET if port else socket.AF_UNIX
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(_ANSWER_SECONDS)
        try:
            probe.connect((place.get("host", "localhost"), port) if port else str(path))
        except OSError:
            return False
    return True
