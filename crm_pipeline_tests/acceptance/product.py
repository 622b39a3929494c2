"""One installation of the product in a folder, driven as a user drives it: files and commands."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from crm_pipeline.sandbox import Sandbox, SandboxOrganisation

COMMAND = (sys.executable, "-m", "crm_pipeline")
SECONDS = 110


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
