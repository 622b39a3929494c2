"""Who writes to an organisation's lake beside its sync, and what has to wait for them.

A sync, an undo and whatever else holds the organisation's sync lease cannot meet an erasure. Who
does without it could write down somebody whose rows an erasure has just taken out.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Literal, get_args

from crm_pipeline.store.ledger import this_process
from crm_pipeline.sync.workspace import Workspace

Work = Literal["plan", "verify"]


@contextmanager
def beside_sync(ws: Workspace, organisation: str, *works: Work) -> Iterator[None]:
    """Hold the leases of some works for a block. Raises LeaseHeldError while another has one."""
    with ExitStack() as held:
        for work in works:
            name = f"{work}:{organisation}"
            held.enter_context(ws.ledger.leases.hold(name, this_process(), ws.waits.lease_seconds))
        yield


@contextmanager
def nobody_beside(ws: Workspace, organisation: str) -> Iterator[None]:
    """Keep all of them away for a block. Raises LeaseHeldError while one is at work."""
    with beside_sync(ws, organisation, *get_args(Work)):
        yield
