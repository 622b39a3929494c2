"""Applies planted bugs one by one to a copy of the work tree and runs the tests that should tell.

The copy is in a temporary folder; the work tree itself is only read.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from crm_pipeline_tests.planted.reading import ROOT, Patch

_WITNESS = "crm_pipeline_tests.planted.witness"
_PYTEST = ("-q", "-p", _WITNESS, "-p", "no:cacheprovider", "-p", "no:xdist")
#: A planted bug may make a test wait for ever.
_LONGEST_SECONDS = 600


class PlantingError(Exception):
    """The tests cannot tell anything: the copy, a patch or the unpatched tests are wrong."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one planted bug. ``caught_by`` is empty when nothing caught it.

    ``otherwise`` names a test that failed, but not by assertion.
    """

    number: str
    bug: str
    caught_by: str
    otherwise: str
    seconds: float


class Garden:
    """A copy of the work tree's files, in which bugs are planted."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        # Git must not take the copy for a part of a checkout around it.
        self._environ = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "GIT_CEILING_DIRECTORIES": str(folder.parent),
        }

    def copy(self) -> None:
        """Copy what Git tracks, or would with the next commit, as it is in the work tree now."""
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
        for name in filter(None, listed.stdout.decode().split("\0")):
            source, target = ROOT / name, self._folder / name
            if source.is_file():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, target)

    def require_own_package(self) -> None:
        """Raise PlantingError unless a process beside the copy imports the copy's package."""
        program = "import crm_pipeline; print(crm_pipeline.__file__)"
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tempfile.gettempdir(),
            env=self._environ,
            capture_output=True,
            text=True,
            check=True,
        )
        found = Path(done.stdout.strip()).resolve()
        if found != (self._folder / "crm_pipeline" / "__init__.py").resolve():
            raise PlantingError(f"the tests would import {found}, which holds no planted bug")

    def require_green(self, tests: Sequence[str]) -> None:
        """Raise PlantingError unless the unpatched tests pass."""
        done = self._pytest(tests, {})
        if done.returncode != 0:
            raise PlantingError(f"the tests fail without any bug:\n{done.stdout[-3000:]}")

    def judge(self, patch: Patch) -> Verdict:
        """Plant one bug, run its tests, take it out again."""
        started = time.monotonic()
        verdict = self._folder / f".verdict-{patch.number}.json"
        with self._planted(patch):
            done = self._pytest(patch.tests, {"PLANTED_VERDICT": str(verdict)})
        told = json.loads(verdict.read_text()) if verdict.is_file() else {}
        if not told and done.returncode != 0:
            told = {"otherwise": f"pytest ended with {done.returncode}"}
        return Verdict(
            number=patch.number,
            bug=patch.bug,
            caught_by=told.get("caught_by", ""),
            otherwise=told.get("otherwise", ""),
            seconds=time.monotonic() - started,
        )

    @contextmanager
    def _planted(self, patch: Patch) -> Iterator[None]:
        self._git_apply(patch)
        try:
            yield
        finally:
            self._git_apply(patch, "--reverse")

    def _git_apply(self, patch: Patch, *options: str) -> None:
        done = subprocess.run(
            ["git", "apply", *options, str(patch.path)],
            cwd=self._folder, env=self._environ, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode != 0:
            raise PlantingError(f"{patch.path.name} does not apply: {done.stderr.strip()}")
        for name in patch.files:
            # Compiled files go by size and second: a patched module could be taken for the old one.
            file = self._folder / name
            for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
                compiled.unlink()

    def _pytest(
        self, tests: Sequence[str], extra: Mapping[str, str]
    ) -> "subprocess.CompletedProcess[str]":
        try:
            return subprocess.run(
                [sys.executable, "-m", "pytest", *_PYTEST, *tests],
                cwd=self._folder,
                env={**self._environ, **extra},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
                timeout=_LONGEST_SECONDS,
            )
        except subprocess.TimeoutExpired:
            raise PlantingError(f"pytest took more than {_LONGEST_SECONDS} s: {tests}") from None


@contextmanager
def garden() -> Iterator[Garden]:
    """Give a fresh copy that surely is what its tests import."""
    with tempfile.TemporaryDirectory(prefix="planted-") as folder:
        made = Garden(Path(folder) / "tree")
        made.copy()
        made.require_own_package()
        yield made
