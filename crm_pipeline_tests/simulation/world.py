"""The world under a seed: fake vendors, a virtual clock, our code, real stores.

Here: the process that may die at any moment, and whom it works for. Not here: what happens to them
(``organisation``), what must hold (``laws``), and the order of events (``history``).
"""

import datetime as dt
import random
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from crm_pipeline.errors import CrmPipelineError
from crm_pipeline.sandbox import SandboxOrganisation, SandboxSettings
from crm_pipeline.sandbox.asgi import VendorApp
from crm_pipeline.sandbox.crm_com.routes import CrmComRoutes
from crm_pipeline.sandbox.crm_com.vendor import CrmCom
from crm_pipeline.sandbox.loke.routes import LokeRoutes
from crm_pipeline.sandbox.loke.vendor import Loke
from crm_pipeline.sandbox.sopost.routes import SopostRoutes
from crm_pipeline.sandbox.sopost.vendor import Sopost
from crm_pipeline.store.keyfile import FILE_MODE, KeyFile
from crm_pipeline.store.ledger import Ledger
from crm_pipeline.sync.workspace import Workspace
from crm_pipeline_tests.simulation.binding import NOWHERE, WAITS
from crm_pipeline_tests.simulation.organisation import Organisation
from crm_pipeline_tests.simulation.parts import PLAIN, Parts
from crm_pipeline_tests.simulation.storage import FaultyLake, make_faulty
from crm_pipeline_tests.simulation.wire import Fate, Killed

PLUM = SandboxOrganisation(
    id="01HPLUM0000000000000000000", name="Plum", slug="plum", customers=4, lists=()
)
PEAR = SandboxOrganisation(id="01HPEAR0000000000000000000", name="Pear", slug="pear", lists=())
#: What tombstones are made with: the same in every history, so that it replays.
KEY = "5a" * 32
#: Nobody looks at the wall clock: the history begins here.
BEGINNING = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)


class Clock:
    """A clock that moves when somebody looks, and when it is told to."""

    def __init__(self) -> None:
        self.now = BEGINNING

    def __call__(self) -> dt.datetime:
        self.now += dt.timedelta(microseconds=200)
        return self.now

    def turn(self, seconds: float) -> None:
        """Let time pass."""
        self.now += dt.timedelta(seconds=seconds)


class World:
    """Vendors that live on, and a process that may be killed and started again.

    ``main`` is the organisation to which everything happens; ``neighbour`` shares the process,
    the ledger and the lake with it, in some worlds.
    """

    def __init__(self, seed: int, folder: Path, parts: Parts = PLAIN) -> None:
        self.chance = random.Random(seed)
        self.clock = Clock()
        self.fate = Fate(random.Random(seed + 1))
        self.folder = folder
        self.parts = parts
        known = (PLUM, PEAR) if parts.neighbour else (PLUM,)
        settings = SandboxSettings(organisations=known, clock=self.clock, page_size=3)
        self.loke = Loke(settings)
        self.loke.base_url = NOWHERE
        self.crm = CrmCom(settings)
        self.sopost = Sopost(settings)
        self.apps: dict[str, Callable[..., Any]] = {
            "loke": VendorApp(LokeRoutes(self.loke)),
            "crm": VendorApp(CrmComRoutes(self.crm)),
            "sopost": VendorApp(SopostRoutes(self.sopost)),
        }
        self.killed = self.syncs = 0
        self.main = Organisation(self, PLUM, parts)
        self.neighbour: Organisation | None = None
        if parts.neighbour:
            self.neighbour = Organisation(self, PEAR, PLAIN, mark="Other")
            self.neighbour.copy_people(self.main)
        self._key = KeyFile(folder / "tombstone.key")
        self._key.path.touch(mode=FILE_MODE)
        self._key.path.write_text(KEY)
        (folder / "ledger.db").write_bytes(_empty_ledger())
        (folder / "ledger.db").chmod(FILE_MODE)
        self._start()

    def close(self) -> None:
        """End the process."""
        self.ledger.close()

    @property
    def organisations(self) -> tuple[Organisation, ...]:
        """Everybody for whom the process works."""
        return (self.main,) if self.neighbour is None else (self.main, self.neighbour)

    def writes(self) -> int:
        """Count the writes that the CRM was sent so far."""
        return self.crm.requests.count("POST") + self.crm.requests.count("PUT")

    def as_process(self, work: Callable[[], Any]) -> Any:
        """Do something as the process would; a killed one is started anew."""
        try:
            return work()
        except CrmPipelineError:
            return None
        except Killed:
            self.killed += 1
            return None
        finally:
            if self.fate.is_dead:
                self.ledger.close()
                self.clock.turn(WAITS.lease_seconds * 2)
                self.fate.revive()
                self._start()

    def _start(self) -> None:
        self.ledger = Ledger(f"sqlite:///{self.folder}/ledger.db", clock=self.clock)
        self.ledger.migrate()
        make_faulty(self.ledger, self.fate)
        self.workspace = Workspace(
            ledger=self.ledger,
            lake=FaultyLake(str(self.folder / "lake"), clock=self.clock, fate=self.fate),
            clock=self.clock,
            waits=WAITS,
            tombstone_key=self._key,
            receipts=self.folder / "receipts",
        )


@cache
def _empty_ledger() -> bytes:
    """Return the file of a new ledger: to make one takes as long as some syncs."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        ledger = Ledger(f"sqlite:///{file}", clock=Clock())
        ledger.migrate()
        ledger.close()
        return file.read_bytes()
