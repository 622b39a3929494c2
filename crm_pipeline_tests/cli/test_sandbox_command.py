"""``crm-pipeline sandbox``: the fake vendors as a process."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from crm_pipeline_tests.cli.conftest import Run

FREE = ("--loke-port", "0", "--crm-com-port", "0", "--sopost-port", "0")


def test_it_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    ready = tmp_path / "ready.json"
    command = [sys.executable, "-m", "crm_pipeline", "sandbox", "--small", *FREE]
    with subprocess.Popen(
        [*command, "--ready-file", str(ready)], env=dict(os.environ), stdout=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 60
        while not ready.exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        names = {"loke_url", "token_url", "crm_com_url", "classic_url", "sopost_url"}
        assert json.loads(ready.read_text()).keys() == names
        process.send_signal(signal.SIGTERM)
    assert process.returncode == 0
    assert not ready.exists()


def test_a_taken_port_is_told_with_a_way_out(run: Run) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        answer = run("sandbox", "--small", *FREE[2:], "--loke-port", port)
    assert answer.code == 78
    assert "--loke-port" in answer.err
