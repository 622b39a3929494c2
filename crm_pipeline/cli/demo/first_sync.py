"""The demo's first sync as runs in Dagster, so that it can be watched there while it goes on."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from crm_pipeline.cli.demo.dagster_ui import ENDED, launch, run_status
from crm_pipeline.cli.demo.state import SLUGS, Ports
from crm_pipeline.cli.demo.watch import Watch

LAUNCH_SECONDS = 120.0
#: Between two lines about how far the running syncs are.
TELL_SECONDS = 10.0
_STATUS_SECONDS = 30.0


@dataclass(slots=True)
class FirstSync:
    """Starts one run for each organisation, tells how far they are, and what became of them."""

    ports: Ports
    watch: Watch
    say: Callable[[str], None]
    _open: dict[str, str] = field(default_factory=dict)
    _told_at: float = 0.0

    def run(self) -> None:
        """Sync every organisation, then read the CRM back and judge; return when all is over."""
        self.say("\nFirst sync, in Dagster:")
        for slug in SLUGS:
            config = {"sweep": {"config": {"which": "LISTED", "organisations": [slug]}}}
            self._launch(slug, "sweep_job", config)
        self._wait()
        self.say("\nReading the CRM back, and judging what was sent:")
        self._launch("verification", "verify_job", {"read_back": {"config": {"which": "ALL"}}})
        self._wait()
        self._launch("checks", "checks_job", {})
        self._wait()

    def _launch(self, name: str, job: str, ops: Mapping[str, object]) -> None:
        config = {"ops": ops} if ops else {}
        started: list[str] = []

        def is_launched() -> bool:
            run = launch(self.ports.dagster, job, config, name)
            started.extend([run] if run else [])
            return bool(run)

        self.watch.until(is_launched, seconds=LAUNCH_SECONDS)
        self._open[name] = started[0]
        self.say(f"  {name:<18} {self.ports.dagster_url}/runs/{started[0]}")

    def _wait(self) -> None:
        self._told_at = time.monotonic()
        self.watch.until(self._is_over)

    def _is_over(self) -> bool:
        for name, run in list(self._open.items()):
            status = run_status(self.ports.dagster, run)
            if status in ENDED:
                del self._open[name]
                self.say(f"  {name}: {'done' if status == 'SUCCESS' else status.lower()}.")
        if self._open and time.monotonic() - self._told_at > TELL_SECONDS:
            self._told_at = time.monotonic()
            self._tell()
        return not self._open

    def _tell(self) -> None:
        for slug, state in self._states().items():
            pending = state.get("outbox_pending", 0)
            if slug in self._open and pending:
                self.say(f"  {slug}: {pending:,} changes to go.")

    def _states(self) -> dict[str, dict[str, Any]]:
        """Ask the product itself, as anybody else would."""
        try:
            done = subprocess.run(
                [sys.executable, "-m", "crm_pipeline", "status", "--json"],
                env=dict(self.watch.children.environment),
                capture_output=True,
                timeout=_STATUS_SECONDS,
                check=False,
            )
            states: dict[str, dict[str, Any]] = json.loads(done.stdout)["organisations"]
        except (subprocess.TimeoutExpired, ValueError, KeyError):
            return {}
        return states
