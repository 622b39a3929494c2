"""``runs close-dead``: told first, done when asked for."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import dagster as dg
from dagster._core.events import EngineEventData

from crm_pipeline_tests.cli.conftest import Run


def test_without_a_dagster_there_is_nothing_to_end(run: Run, tmp_path: Path):
    assert run("runs", "close-dead", "--yes").out == "Dagster has never run here.\n"
    assert not (tmp_path / "home" / "dagster").exists()


def test_a_run_whose_process_is_gone_is_told_and_ended_when_asked_for(run: Run, tmp_path: Path):
    home = tmp_path / "home" / "dagster"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    runs = {pid: str(uuid4()) for pid in (gone.pid, os.getpid())}
    started = dg.DagsterRunStatus.STARTED
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for pid, run_id in runs.items():
            each = dg.DagsterRun(job_name="sweep_job", run_id=run_id, status=started)
            instance.add_run(each)
            message = f"Started process for run (pid: {pid})."
            instance.report_engine_event(message, each, EngineEventData.in_process(pid))
        dry = run("runs", "close-dead")
        assert f"Run {runs[gone.pid]} of sweep_job (STARTED) would be ended." in dry.out
        assert runs[os.getpid()] not in dry.out
        assert instance.get_run_by_id(runs[gone.pid]).status is started
        done = run("runs", "close-dead", "--yes", "--json")
        assert (done.code, done.document) == (
            0,
            {
                "runs": [
                    {
                        "run": runs[gone.pid],
                        "job": "sweep_job",
                        "status": "STARTED",
                        "pid": gone.pid,
                        "reason": f"Its process {gone.pid} does not run any more.",
                        "is_closed": True,
                    }
                ],
                "is_dry_run": False,
            },
        )
        assert instance.get_run_by_id(runs[gone.pid]).status is dg.DagsterRunStatus.FAILURE
        assert instance.get_run_by_id(runs[os.getpid()]).status is started
    assert run("runs", "close-dead", "--yes").out == "No open run has lost its process.\n"


def test_a_dagster_that_cannot_be_read_is_worth_another_try(run: Run, tmp_path: Path):
    home = tmp_path / "home" / "dagster"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text("storage: {postgres: {postgres_url: {env: NOT_SET}}}\n")
    answer = run("runs", "close-dead")
    assert answer.code == 75
    assert "storage cannot be read" in answer.err
