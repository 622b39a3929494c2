"""What the product is made of, and that no secret was ever put among its files."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCAN = [sys.executable, str(ROOT / "scripts" / "scan_secrets.py")]


def scan(repository: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*SCAN, str(repository)], capture_output=True, text=True, check=False)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True, env=environ)
    return tmp_path


def commit(repository: Path, content: str) -> None:
    (repository / "file").write_text(content)
    who = ["-c", "user.name=t", "-c", "user.email=t@t.invalid"]
    for command in (["add", "file"], [*who, "commit", "-qm", "x"]):
        subprocess.run(["git", "-C", str(repository), *command], check=True)


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="there is no history here")
def test_no_commit_holds_what_looks_like_a_secret():
    done = scan(ROOT)
    assert done.returncode == 0, done.stdout


def test_a_secret_that_was_taken_out_again_is_still_found(repository):
    commit(repository, "token = 'ghp_" + "a" * 36 + "'")
    commit(repository, "token = None")
    done = scan(repository)
    assert done.returncode == 1
    assert "GitHub token" in done.stdout
    assert "aaaa" not in done.stdout


def test_a_repository_without_anything_to_search_is_not_called_clean(repository):
    assert scan(repository).returncode == 1


def test_every_locked_package_is_in_the_bill_of_materials(tmp_path):
    tool = shutil.which("cyclonedx-py", path=str(Path(sys.executable).parent))
    assert tool is not None
    bill = tmp_path / "sbom.json"
    lock = ROOT / "requirements.lock"
    subprocess.run(
        [tool, "requirements", str(lock), "-o", str(bill)], check=True, capture_output=True
    )
    found = {(each["name"], each["version"]) for each in json.loads(bill.read_text())["components"]}
    pinned = set(
        re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;\\]+)", lock.read_text(), re.M)
    )
    assert found == pinned
