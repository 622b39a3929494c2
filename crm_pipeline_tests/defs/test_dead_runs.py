"""Runs whose process is gone are ended; all others are left alone."""

import datetime as dt
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from uuid import uuid4

import dagster as dg
import pytest
from dagster._core.events import EngineEventData

from crm_pipeline.defs.dead_runs import close_run, find_dead_runs
from crm_pipeline_tests.defs.support import asked_for, evaluated

WAITING = [sys.executable, "-c", "import sys; sys.stdin.read()"]


@pytest.fixture
def worker() -> Iterator["subprocess.Popen[bytes]"]:
    """A process that stands for the one of a run; it is reaped when it was killed."""
    with subprocess.Popen(WAITING, stdin=subprocess.PIPE) as process:
        yield process
        process.kill()


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral(tempdir=str(tmp_path)) as opened:
        yield opened


def begun(
    instance: dg.DagsterInstance,
    pid: int | None,
    status: str = "STARTED",
    run_config: Mapping[str, object] | None = None,
    **tags: str,
) -> dg.DagsterRun:
    """Note a run as Dagster does, up to the event in which its process tells its number."""
    run = dg.DagsterRun(
        job_name="sweep_job",
        run_id=str(uuid4()),
        status=dg.DagsterRunStatus(status),
        run_config=run_config,
        tags=tags,
    )
    instance.add_run(run)
    if pid is not None:
        message = f"Started process for run (pid: {pid})."
        instance.report_engine_event(message, run, EngineEventData.in_process(pid))
    return run


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def dead(instance: dg.DagsterInstance, **later: float) -> list[str]:
    return [each.run_id for each in find_dead_runs(instance, now() + dt.timedelta(**later))]


@pytest.mark.parametrize(
    ("status", "end"), [("STARTING", "FAILURE"), ("STARTED", "FAILURE"), ("CANCELING", "CANCELED")]
)
def test_a_run_is_dead_when_its_process_is_gone_and_is_ended_once(instance, worker, status, end):
    run = begun(instance, worker.pid, status)
    assert dead(instance) == []
    worker.kill()
    worker.wait()
    [found] = find_dead_runs(instance, now())
    assert (found.run_id, found.pid, str(worker.pid) in found.reason) == (
        run.run_id, worker.pid, True)  # fmt: skip
    assert close_run(instance, found)
    assert instance.get_run_by_id(run.run_id).status.value == end
    assert not close_run(instance, found)
    assert dead(instance) == []


def test_a_process_that_nobody_has_waited_for_is_gone(instance, worker):
    run = begun(instance, worker.pid)
    worker.kill()
    while b"Z" not in Path(f"/proc/{worker.pid}/stat").read_bytes().rpartition(b")")[2]:
        pass
    assert dead(instance) == [run.run_id]


def test_a_younger_process_with_the_same_number_is_another_one(instance, worker):
    run = begun(instance, worker.pid)
    assert dead(instance) == []
    assert dead(instance, seconds=5) == [run.run_id]


def test_a_run_that_waits_or_has_ended_is_left_alone(instance, worker):
    worker.kill()
    worker.wait()
    for status in ("NOT_STARTED", "SUCCESS", "FAILURE", "CANCELED"):
        begun(instance, worker.pid, status)
    assert dead(instance, days=1) == []


def test_a_run_without_a_process_is_dead_when_no_code_server_is_left_to_start_one(
    instance, tmp_path
):
    gone = begun(instance, None, "STARTING", **{
        ".dagster/grpc_info": f'{{"host": "localhost", "socket": "{tmp_path}/gone"}}'})  # fmt: skip
    assert dead(instance) == []
    assert dead(instance, minutes=2) == [gone.run_id]


def test_the_sensor_ends_dead_runs_so_that_their_organisations_count_as_idle_again(world, worker):
    for each in ("changes_sensor", "dead_runs_sensor"):
        assert world.definitions.get_repository_def().has_sensor_def(each)
    run = begun(world.instance, worker.pid)
    assert "ended: 0." in evaluated(world, "dead_runs_sensor").skip_message
    worker.kill()
    worker.wait()
    assert "ended: 1." in evaluated(world, "dead_runs_sensor").skip_message
    assert world.instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.FAILURE


def test_a_sweep_whose_process_is_gone_holds_nobody_up_before_it_is_ended(world, worker):
    first = evaluated(world, "changes_sensor")
    assert asked_for(first) == ["alfa", "bravo", "charlie"]
    begun(world.instance, worker.pid, run_config=first.run_requests[0].run_config)
    assert asked_for(evaluated(world, "changes_sensor")) == []
    worker.kill()
    worker.wait()
    assert asked_for(evaluated(world, "changes_sensor")) == ["alfa", "bravo", "charlie"]


def test_a_sync_that_broke_off_is_asked_for_though_the_source_has_nothing_new(world):
    assert world.run_job("sweep_job", "sweep", which="ALL").success
    assert asked_for(evaluated(world, "changes_sensor")) == []
    with world.runtime() as runtime:
        lease = runtime.ledger.leases._take("sync:bravo", "a|process|that|died|long ago", 0)
    first = evaluated(world, "changes_sensor")
    assert asked_for(first) == ["bravo"]
    with world.runtime() as runtime:
        runtime.ledger.leases._give_back(lease)
        assert runtime.ledger.organisations.status("bravo").broken_off == 0
        runtime.ledger.leases._take("sync:bravo", "a|process|that|died|long ago", 0)
    again = evaluated(world, "changes_sensor")
    assert asked_for(again) == ["bravo"]
    assert first.run_requests[0].run_key != again.run_requests[0].run_key
