"""``python -m crm_pipeline_tests.sync.dying N ARGUMENTS``: a command that dies at its Nth step.

A step is a statement of the ledger, a file opened, renamed or removed, or a connection made, after
the erasure was opened. 0 dies nowhere and tells the number of steps.
"""

import os
import sys
from typing import Any

from crm_pipeline.cli.failures import handle_failures
from crm_pipeline.cli.main import app
from crm_pipeline.store.ledger.engine import Database
from crm_pipeline.store.ledger.tombstones import Tombstones

EXIT_DIED = 137
_EVENTS = {"open", "os.remove", "os.rename", "socket.connect", "os.listdir", "os.scandir"}


class Steps:
    def __init__(self, last: int) -> None:
        self.last = last
        self.count = 0
        self.is_counting = False

    def take(self) -> None:
        if self.is_counting:
            self.count += 1
            if self.count == self.last:
                os._exit(EXIT_DIED)

    def hear(self, event: str, _arguments: Any) -> None:
        if event in _EVENTS:
            self.take()


def main() -> None:
    steps = Steps(int(sys.argv[1]))
    begin, write = Tombstones.begin, Database.write

    def begin_counting(*arguments: Any, **named: Any) -> None:
        begin(*arguments, **named)
        steps.is_counting = True

    def counted(self: Database) -> Any:
        steps.take()
        return write(self)

    Tombstones.begin = begin_counting  # type: ignore[method-assign]
    Database.write = counted  # type: ignore[method-assign]
    sys.addaudithook(steps.hear)
    code = handle_failures(app, sys.argv[2:], os.environ)
    steps.is_counting = False
    print(f"steps {steps.count}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
