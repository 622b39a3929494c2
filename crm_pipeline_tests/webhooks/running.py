"""A receiver as a process of its own, and how a test speaks to it."""

import http.client
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from crm_pipeline.core.signature import loke_signature

START_SECONDS = 60.0
LOKE_SECRET, OLD_SECRET, PATH_SECRET = "new-loke-secret", "old-loke-secret", "f3c9-secret/part"
ORGANISATION_ID = "01HACME"
ORDER_ID = "9a7b6c5d-4e3f-4a2b-8c1d-0e9f8a7b6c5d"
ACME = """
sources:
  loke:
    base_url: http://127.0.0.1:1
    organisation_id: 01HACME
    webhooks:
      url: http://127.0.0.1:1
      secret: {env: LOKE_HOOK_ACME}
      old_secret: {env: LOKE_HOOK_ACME_OLD}
  sopost:
    base_url: http://127.0.0.1:1
    entity_type: Organisation
    entity_id: 0c8d6a55-6f0e-4a52-9a51-0f9f5b7a1c11
    webhooks: {url: "http://127.0.0.1:1", secret: {env: PATH_SECRET_ACME}}
  crm_com:
    webhooks: {url: "http://127.0.0.1:1", secret: {env: PATH_SECRET_ACME}}
destinations: {crm_com: {base_url: "http://127.0.0.1:1"}}
"""
BLUE = """
paused: true
sources:
  loke:
    base_url: http://127.0.0.1:1
    organisation_id: 01HBLUE
    webhooks: {url: "http://127.0.0.1:1", secret: {env: LOKE_HOOK_BLUE}}
destinations: {crm_com: {base_url: "http://127.0.0.1:2"}}
"""


def environment(folder: Path, ledger_url: str = "") -> dict[str, str]:
    """Write two organisations into a folder; return the variables of a receiver there."""
    organisations = folder / "organisations"
    organisations.mkdir()
    (organisations / "acme.yaml").write_text(ACME)
    (organisations / "blue.yaml").write_text(BLUE)
    return {
        **os.environ,
        "CRM_PIPELINE_HOME": str(folder / "home"),
        "CRM_PIPELINE_CONFIG": str(organisations),
        "CRM_PIPELINE_LEDGER_URL": ledger_url,
        "LOKE_HOOK_ACME": LOKE_SECRET,
        "LOKE_HOOK_ACME_OLD": OLD_SECRET,
        "LOKE_HOOK_BLUE": "blue-secret",
        "PATH_SECRET_ACME": PATH_SECRET,
    }


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of one answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class RunningReceiver:
    """Starts a receiver and waits until it accepts; ``out`` is its standard output so far."""

    def __init__(self, folder: Path, environ: dict[str, str], *options: str) -> None:
        self._ready = folder / f"ready-{time.monotonic_ns()}"
        command = [sys.executable, "-m", "crm_pipeline", "receiver", "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--ready-file", str(self._ready), *options],
            env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self._ready.exists():
            if self.process.poll() is not None or time.monotonic() > deadline:
                self.process.kill()
                raise AssertionError(self.process.communicate())
            time.sleep(0.02)
        self.port = int(self._ready.read_text())

    def __enter__(self) -> "RunningReceiver":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()

    @property
    def is_announced(self) -> bool:
        """Whether the ready file is there."""
        return self._ready.exists()

    def line(self) -> str:
        """Return the next line that it announced."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> tuple[int, str, str]:
        """Tell it to stop; return exit code, output and log."""
        self.process.send_signal(signal.SIGTERM)
        out, err = self.process.communicate(timeout=30)
        return self.process.returncode, out, err

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> Answer:
        return call(self.port, "POST", path, body, headers)

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return call(self.port, "GET", path, None, headers)

    def post_loke(self, body: bytes, secret: str = LOKE_SECRET, org: str = "acme") -> Answer:
        headers = {"X-Event-Signature": loke_signature(body, secret)}
        return self.post(f"/webhooks/loke/{org}", body, headers)


def call(
    port: int,
    method: str,
    path: str,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
    seconds: float = 20,
) -> Answer:
    """Make one call on a connection of its own."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)) as connection:
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())


def loke_body(
    number: int = 1, *, event: str = "customer.updated", organisation_id: str = ORGANISATION_ID
) -> bytes:
    """Return one event of LOKE with a name that is not ASCII."""
    return (
        f'{{"event":"{event}","organization":{{"id":"{organisation_id}"}},'
        f'"customer":{{"id":"01HP{number}","firstName":"Zoë","updatedAt":"2024-06-07T10:00:00Z"}}}}'
    ).encode()


def sopost_body(
    event: str = "APPROVED", *, order_id: str = ORDER_ID, event_id: str = "a1"
) -> bytes:
    """Return SoPost's thin event."""
    return (
        f'{{"event_id":"{event_id}","event":"{event}","order_id":"{order_id}",'
        '"activity_id":"4d3c2b1a-0f9e-4d8c-b7a6-5f4e3d2c1b0a"}'
    ).encode()
