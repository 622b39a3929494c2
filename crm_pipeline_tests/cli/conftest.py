"""The command line in this process: arguments and variables in, exit code and texts out."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from crm_pipeline.cli.failures import handle_failures
from crm_pipeline.cli.main import app

MINIMAL = "sources: {loke: {organisation_id: X}}\ndestinations: {crm_com: {}}\n"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """Standard output as the one JSON document that it must be."""
        parsed: dict[str, Any] = json.loads(self.out)
        return parsed


Run = Callable[..., Answer]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """Variables that keep all state in the test's own folder."""
    (tmp_path / "organisations").mkdir()
    return {
        "CRM_PIPELINE_HOME": str(tmp_path / "home"),
        "CRM_PIPELINE_CONFIG": str(tmp_path / "organisations"),
        "CRM_PIPELINE_TEST": "1",
        "CRM_PIPELINE_RETRY_BASE_MS": "20",
        "CRM_PIPELINE_RETRY_MAX_MS": "100",
        "CRM_PIPELINE_SETTLE_MS": "0",
    }


@pytest.fixture
def run(environ: dict[str, str], capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command in this process."""

    def run_command(*arguments: str) -> Answer:
        capsys.readouterr()
        code = handle_failures(app, arguments, environ)
        captured = capsys.readouterr()
        return Answer(code=code, out=captured.out, err=captured.err)

    return run_command
