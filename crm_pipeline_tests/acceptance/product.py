"""One installation of the product in a folder, driven as a user drives it: files and commands."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from crm_pipeline.cli.failures import handle_failures
from crm_pipeline.cli.main import app
from crm_pipeline.sandbox import Sandbox, SandboxOrganisation
from crm_pipeline_tests.webhooks.running import RunningReceiver

COMMAND = (sys.executable, "-m", "crm_pipeline")
SECONDS = 110
#: What signs LOKE's webhooks, and what ends the addresses of those that nobody signs.
HOOK_SECRET, PATH_SECRET = "hook-secret", "f3c9/path secret"
#: Where webhooks go while no receiver runs.
NOWHERE = "http://127.0.0.1:9"
SENDS_ALL = ("contacts", "memberships", "products", "purchases")
LOKE_DATASETS = ("customers", "payments", "list_members")


@dataclass
class Answer:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass
class Product:
    """State, configuration and environment of one installation."""

    folder: Path
    sandbox: Sandbox
    waits: dict[str, str] = field(
        default_factory=lambda: {
            "CRM_PIPELINE_TEST": "1",
            "CRM_PIPELINE_RETRY_BASE_MS": "10",
            "CRM_PIPELINE_RETRY_MAX_MS": "100",
            "CRM_PIPELINE_SETTLE_MS": "20",
            "CRM_PIPELINE_TIMEOUT_S": "5",
        }
    )

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        return {
            **kept,
            "CRM_PIPELINE_HOME": str(self.folder / "home"),
            "CRM_PIPELINE_CONFIG": str(self.config),
            "LOKE_CLIENT_ID": self.sandbox.settings.client_id,
            "LOKE_CLIENT_SECRET": self.sandbox.settings.client_secret,
            "SOPOST_USER_ID": self.sandbox.settings.sopost_user_id,
            "SOPOST_PASSWORD": self.sandbox.settings.sopost_password,
            "LOKE_HOOK_SECRET": HOOK_SECRET,
            "HOOK_PATH_SECRET": PATH_SECRET,
            **{
                f"CRM_COM_KEY_{_slug(each).upper().replace('-', '_')}": each.crm_test_key
                for each in self.sandbox.settings.organisations
            },
            **self.waits,
        }

    @property
    def config(self) -> Path:
        return self.folder / "organisations"

    def add(self, organisation: SandboxOrganisation, **changes: Any) -> Path:
        """Write an organisation's file; ``changes`` replace parts of its destination."""
        self.config.mkdir(exist_ok=True)
        slug = _slug(organisation)
        document = {
            "slug": slug,
            "name": organisation.name,
            "sources": {
                "loke": {
                    "base_url": self.sandbox.loke_url,
                    "token_url": self.sandbox.token_url,
                    "organisation_id": organisation.id,
                    "client_id": {"env": "LOKE_CLIENT_ID"},
                    "client_secret": {"env": "LOKE_CLIENT_SECRET"},
                }
            },
            "destinations": {
                "crm_com": {
                    "base_url": self.sandbox.crm_com_url,
                    "api_key": {"env": f"CRM_COM_KEY_{slug.upper().replace('-', '_')}"},
                    "limits": {"calls_per_second": 1000, "concurrency": 4},
                    **changes,
                }
            },
        }
        path = self.config / f"{slug}.yaml"
        path.write_text(yaml.safe_dump(document))
        return path

    def add_all(
        self,
        organisation: SandboxOrganisation,
        *,
        url: str = NOWHERE,
        datasets: Sequence[str] = LOKE_DATASETS,
        lists: Mapping[str, str] | None = None,
        sources: Mapping[str, Any] | None = None,
        rules: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> Path:
        """Write a file that sends everything; ``lists`` gives ids of lists their tags.

        Webhooks come to the receiver at ``url``. Without lists there are no memberships.
        ``sources`` come besides LOKE, ``rules`` are further members of the file.
        """
        sends = [each for each in SENDS_ALL if lists or each != "memberships"]
        path = self.add(organisation, sends=sends, **changes)
        document = yaml.safe_load(path.read_text())
        document["sources"]["loke"] |= {
            "datasets": list(datasets),
            "webhooks": {"url": url, "secret": {"env": "LOKE_HOOK_SECRET"}},
        }
        document["purchases"] = {"go_live": "2015-01-01T00:00:00Z"}
        document["lists"] = [
            {"id": list_id, "name": tag.removeprefix("LOKE: "), "tag": tag}
            for list_id, tag in (lists or {}).items()
        ]
        document["sources"] |= sources or {}
        path.write_text(yaml.safe_dump({**document, **(rules or {})}))
        return path

    def receiver(self) -> RunningReceiver:
        """Start a receiver and wait until it accepts; it ends with its context."""
        return RunningReceiver(self.folder, self.environment)

    def run(self, *arguments: str) -> Answer:
        """Run one command to its end."""
        done = subprocess.run(
            [*COMMAND, *arguments],
            env=self.environment,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
        return Answer(done.returncode, done.stdout, done.stderr)

    def run_here(self, *arguments: str) -> Answer:
        """Run one command to its end in this process: the same, without the start of a process."""
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = handle_failures(app, arguments, self.environment)
        return Answer(code, out.getvalue(), err.getvalue())

    def start(self, *arguments: str) -> "subprocess.Popen[bytes]":
        """Start one command and leave it running."""
        return subprocess.Popen(
            [*COMMAND, *arguments],
            env=self.environment,
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )


def _slug(organisation: SandboxOrganisation) -> str:
    return organisation.name.lower().replace(" ", "-")
