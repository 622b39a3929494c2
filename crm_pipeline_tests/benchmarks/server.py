"""The sandbox in a process of its own, its customer pages made before it accepts."""

import sys
from pathlib import Path

from crm_pipeline.sandbox import SandboxOrganisation, SandboxSettings, run_sandbox

ORGANISATION = "01HBENCH000000000000000001"


def main() -> None:
    """Serve ``argv[1]`` customers; say where in the file ``argv[2]``."""
    organisation = SandboxOrganisation(
        id=ORGANISATION, name="Bench", slug="bench", customers=int(sys.argv[1])
    )
    settings = SandboxSettings(organisations=(organisation,), preserialise=True)
    run_sandbox(settings, ready_file=Path(sys.argv[2]), announce=lambda _line: None)


if __name__ == "__main__":
    main()
