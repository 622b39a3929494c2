"""What one op hands to the next: a few words of JSON, never rows.

Organisations, digests and codes only, so that a run can be re-executed from its failed step. Files
are private to the user and live under the instance's storage folder. Dagster's default would
pickle, which is unsafe to load and hides what it holds.
"""

import json
import os
from pathlib import Path
from typing import Any

import dagster as dg

FOLDER = "handover"
MAX_BYTES = 1_000_000


class HandoverIOManager(dg.IOManager):
    """Keeps each op's output as one JSON file; refuses what is not JSON or is large."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write one output."""
        text = json.dumps(obj, allow_nan=False)
        if len(text) > MAX_BYTES:
            raise ValueError(f"a hand-over has {len(text):,} bytes, at most {MAX_BYTES:,}")
        path = self._path(context)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)

    def load_input(self, context: dg.InputContext) -> Any:
        """Read the output that an input is connected to."""
        if context.upstream_output is None:
            raise ValueError("an input of this manager is always another op's output")
        return json.loads(self._path(context.upstream_output).read_text(encoding="utf-8"))

    def _path(self, context: dg.OutputContext) -> Path:
        return self._folder.joinpath(*context.get_identifier())


@dg.io_manager(description="Hands organisations and digests from op to op, as JSON.")
def handover_io_manager(context: dg.InitResourceContext) -> HandoverIOManager:
    """Keep hand-overs beside the instance's other local files."""
    if context.instance is None:
        raise ValueError("runs always have an instance")
    return HandoverIOManager(Path(context.instance.storage_directory()) / FOLDER)
