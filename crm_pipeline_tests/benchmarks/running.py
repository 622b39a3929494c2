"""Runs each repeat in a fresh process, warm-up first, case and baseline in turn."""

import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from crm_pipeline_tests.benchmarks.cases import SUITE

_PACKAGE = "crm_pipeline_tests.benchmarks"
_START_SECONDS = 600
_LIBRARIES = ("deltalake", "duckdb", "httpx", "msgspec", "pyarrow")


def run_suite(names: Sequence[str], *, rows: int, repeats: int) -> Iterator[dict[str, Any]]:
    """Give the figures of each case at one size."""
    with sandbox(rows) as urls:
        for name in names:
            yield from _run_case(name, urls, rows, repeats)


def _run_case(name: str, urls: dict[str, str], rows: int, repeats: int) -> Iterator[dict[str, Any]]:
    sides = ["baseline", "case"] if SUITE[name].baseline else ["case"]
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    for repeat in range(repeats + 1):
        for side in sides:
            figures = _run_once(name, side, urls, rows)
            if repeat:  # the first is the warm-up
                found[side].append(figures)
    for side, runs in found.items():
        yield {"case": name, "side": side, "rows": rows, "runs": runs, **_summary(runs)}


def _run_once(name: str, side: str, urls: dict[str, str], rows: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as home:
        place = {
            "loke_url": urls["loke_url"],
            "token_url": urls["token_url"],
            "home": home,
            "rows": rows,
        }
        done = subprocess.run(
            [sys.executable, "-m", f"{_PACKAGE}.child", name, side, json.dumps(place)],
            check=True,
            stdout=subprocess.PIPE,
        )
    print(f"{name} {side} {rows:,}: {done.stdout.decode().strip()}", file=sys.stderr)
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _summary(runs: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
    names = runs[0].keys()
    values = {name: [run[name] for run in runs] for name in names}
    return {
        name: {"median": median(each), "min": min(each), "max": max(each)}
        for name, each in values.items()
    }


@contextmanager
def sandbox(rows: int) -> Iterator[dict[str, str]]:
    """Start a sandbox with ``rows`` customers; stop it at the end."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "ready"
        process = subprocess.Popen([sys.executable, "-m", f"{_PACKAGE}.server", str(rows), ready])
        try:
            deadline = time.monotonic() + _START_SECONDS
            while not ready.exists():
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError("The sandbox did not start.")
                time.sleep(0.05)
            yield json.loads(ready.read_text(encoding="utf-8"))
        finally:
            process.terminate()
            process.wait()


def machine() -> dict[str, object]:
    """Return what the figures were measured on."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processors": os.cpu_count(),
        "versions": {name: version(name) for name in _LIBRARIES},
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
