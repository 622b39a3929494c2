"""One act by hand at a running demo."""

import subprocess
import sys
import time
from collections.abc import Mapping
from functools import partial

from crm_pipeline.cli.demo.acts import ACTS, SLUG, World, titles
from crm_pipeline.cli.demo.day import Following
from crm_pipeline.cli.demo.landed import is_landed
from crm_pipeline.cli.demo.reading import reading_command
from crm_pipeline.cli.demo.state import child_environment, demo_folder, find_running
from crm_pipeline.cli.demo.vendors import Vendors
from crm_pipeline.errors import EXIT_OK, EXIT_TRY_LATER, ConfigurationError

_POLL_SECONDS = 0.2
_READ_TRIES = 20
_READ_PAUSE_SECONDS = 2.0


def list_acts() -> str:
    """Return a line for each act."""
    return "\n".join(f"{name:<15} {title}" for name, title in titles().items())


def run_act(name: str, environ: Mapping[str, str]) -> int:
    """Let one thing happen and wait until it has arrived; return the exit code.

    Raises ConfigurationError for an unknown act or when no demo runs, TryLaterError when the
    vendors do not answer, DataError when there is nobody to whom it could happen.
    """
    if name not in ACTS:
        raise ConfigurationError(
            f"There is no act `{name}`.",
            not_done="Nothing happened.",
            remedy=f"Known: {', '.join(ACTS)}.",
        )
    folder = demo_folder(environ)
    ports = find_running(folder)
    own = child_environment(environ, folder)
    world = World(Vendors(ports), partial(is_landed, own, SLUG))
    following = Following(ACTS[name](world), _say, partial(_read, own))
    while not following.move():
        time.sleep(_POLL_SECONDS)
    return EXIT_OK if following.arrived_after is not None else EXIT_TRY_LATER


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _read(environ: Mapping[str, str], dataset: str) -> None:
    """Have a dataset read; again while another process works on the organisation."""
    for _ in range(_READ_TRIES):
        done = subprocess.run(  # noqa: S603  the command is ours
            reading_command(dataset), env=dict(environ), capture_output=True, check=False
        )
        if done.returncode != EXIT_TRY_LATER:
            return
        time.sleep(_READ_PAUSE_SECONDS)
