"""One organisation's world under a seed: fake vendors, a virtual clock, our code, real stores.

Here: what can happen, and the process that may die at any moment. Not here: what must hold
(``laws``), and the order of events (``history``).
"""

import datetime as dt
import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from crm_pipeline.core.guards import GuardRules
from crm_pipeline.core.policies import PlanPolicy, VerifyPolicy
from crm_pipeline.core.ports import DestinationConnection, SourceConnection
from crm_pipeline.core.pulling import PullRules
from crm_pipeline.core.purchases import PurchaseRules
from crm_pipeline.core.records import Limits, Waits
from crm_pipeline.destinations.crm_com import DESTINATION
from crm_pipeline.destinations.crm_com.api import CrmComApi
from crm_pipeline.errors import CrmPipelineError
from crm_pipeline.http import Seams
from crm_pipeline.sandbox import SandboxOrganisation, SandboxSettings
from crm_pipeline.sandbox.asgi import VendorApp
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline.sandbox.crm_com.routes import PREFIX, CrmComRoutes
from crm_pipeline.sandbox.crm_com.vendor import CrmCom
from crm_pipeline.sandbox.loke.routes import LokeRoutes
from crm_pipeline.sandbox.loke.vendor import Loke
from crm_pipeline.sources.loke import SOURCE
from crm_pipeline.sources.loke.api import LokeApi
from crm_pipeline.store.lake import Lake
from crm_pipeline.store.ledger import Ledger, Received
from crm_pipeline.sync.binding import DestinationBinding, OrganisationBinding, SourceBinding
from crm_pipeline.sync.resolve import PurchasingRules, ResolveRules
from crm_pipeline.sync.run import SyncReport, sync_organisation
from crm_pipeline.sync.verify import verify
from crm_pipeline.sync.workspace import Workspace
from crm_pipeline.webhooks.events import loke_event
from crm_pipeline_tests.simulation.wire import Fate, Killed, Wire

SLUG = "plum"
ORGANISATION = SandboxOrganisation(
    id="01HPLUM0000000000000000000", name="Plum", slug=SLUG, customers=4, lists=()
)
UNLIMITED = GuardRules(
    max_update_share=None,
    max_archives=None,
    max_archive_share=None,
    max_consent_widened=None,
    max_consent_widened_share=None,
    min_source_share=None,
)
WAITS = Waits(
    retry_base_seconds=0.0001,
    retry_max_seconds=0.001,
    attempts=3,
    settle_seconds=0.0,
    lease_seconds=60.0,
    overlap_seconds=5.0,
)
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
    """Vendors that live on, and a process that may be killed and started again."""

    def __init__(self, seed: int, folder: Path) -> None:
        self.chance = random.Random(seed)
        self.clock = Clock()
        self.fate = Fate(random.Random(seed + 1))
        self._folder = folder
        settings = SandboxSettings(organisations=(ORGANISATION,), clock=self.clock, page_size=3)
        self.loke = Loke(settings)
        self.loke.base_url = "http://127.0.0.1:1"
        self.crm = CrmCom(settings)
        self.desk = Desk(self.crm, ORGANISATION.crm_test_key)
        self._apps: dict[str, Callable[..., Any]] = {
            "loke": VendorApp(LokeRoutes(self.loke)),
            "crm": VendorApp(CrmComRoutes(self.crm)),
        }
        self.hooks: list[bytes] = []
        self.killed = self.syncs = 0
        self._start()

    def close(self) -> None:
        """End the process."""
        self._ledger.close()

    # -- what happens at the vendors ----------------------------------------------------------

    def people(self) -> list[dict[str, Any]]:
        """Return LOKE's customers as they are."""
        return self.loke.customers(ORGANISATION.id)

    def change_customer(self) -> None:
        """Change somebody: name, address, number, or their consent."""
        people = self.people()
        person = self.chance.choice(people)
        other = self.chance.choice(people)
        fields = self.chance.choice(
            [
                {"firstName": f"Name {self.chance.randrange(100)}"},
                {"email": f"{self.chance.randrange(6)}@example.com"},
                {"email": other.get("email")},
                {"phoneNumber": f"+6140000000{self.chance.randrange(4)}"},
                {"hasAgreedToMarketing": self.chance.choice([True, False, None])},
                {"hasAgreedToMarketing": self.chance.choice([True, False])},
            ]
        )
        self.loke.mutate(SLUG, ids=[person["id"]], fields=fields)
        self._tell("customer.updated", "customer", person["id"])

    def add_customer(self) -> None:
        """Let somebody join."""
        number = self.chance.randrange(1_000)
        created = self.loke.create_customer(SLUG, email=f"new{number}@example.com")
        self._tell("customer.created", "customer", created["id"])

    def pay(self) -> None:
        """Let somebody pay."""
        person = self.chance.choice(self.people())
        paid = self.loke.complete_payment(SLUG, customer=person["id"])
        self._tell("payment.completed", "payment", paid["id"])

    def refund(self) -> None:
        """Refund a payment that was not refunded, when there is one."""
        open_ones = [
            each for each in self.loke.payments(ORGANISATION.id) if not each.get("refundedAt")
        ]
        if open_ones:
            chosen = self.chance.choice(open_ones)
            self.loke.refund(SLUG, chosen["id"])
            self._tell("payment.refunded", "payment", chosen["id"])

    def unsubscribe_in_the_crm(self) -> str | None:
        """Let somebody who was open unsubscribe inside the CRM; return their code."""
        contacts = self.crm.contacts(ORGANISATION.crm_test_key)
        open_ones = [each for each in contacts if not each["email_opt_out"]]
        if not open_ones:
            return None
        chosen = self.chance.choice(open_ones)
        flags = {"email_opt_out": True, "sms_opt_out": True}
        self.crm.mutate(ORGANISATION.crm_test_key, ids=[chosen["id"]], fields=flags)
        return str(chosen["code"])

    def _tell(self, event: str, member: str, record_id: str) -> None:
        """Send a webhook into the world; when and how often it arrives is another question."""
        rows = self.people() if member == "customer" else self.loke.payments(ORGANISATION.id)
        record = next((each for each in rows if each["id"] == record_id), None)
        if record is not None:
            body = {"event": event, "organization": {"id": ORGANISATION.id}, member: record}
            self.hooks.append(json.dumps(body).encode())

    # -- what our process does ----------------------------------------------------------------

    def receive(self) -> None:
        """Let one webhook arrive: any, perhaps not the oldest, perhaps again later."""
        if not self.hooks:
            return
        place = self.chance.randrange(len(self.hooks))
        body = self.hooks[place]
        if self.chance.random() < 0.7:
            del self.hooks[place]
        event = loke_event(body, ORGANISATION.id)
        received = Received(
            organisation=SLUG,
            source="loke",
            event=event.name,
            entity_id=event.entity_id,
            dedup=event.dedup,
            body=body,
            received_at=self.clock(),
        )
        self._as_process(lambda: self._ledger.inbox.append([received]))

    def lose_a_webhook(self) -> None:
        """Let one webhook never arrive."""
        if self.hooks:
            del self.hooks[self.chance.randrange(len(self.hooks))]

    def sync(self, *, is_full: bool = False) -> SyncReport | None:
        """Sync once; None when the process was killed on the way."""
        self.syncs += 1
        return self._as_process(
            lambda: sync_organisation(self._workspace, self._binding, is_full=is_full)
        )

    def verify(self) -> None:
        """Read the CRM back, so that we know who unsubscribed there."""
        binding = self._binding.destinations["crm_com"]
        with closing(binding.connect()) as api:
            self._as_process(lambda: verify(self._workspace, SLUG, binding, api))

    def _as_process(self, work: Callable[[], Any]) -> Any:
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
                self._ledger.close()
                self.clock.turn(WAITS.lease_seconds * 2)
                self.fate.revive()
                self._start()

    def _start(self) -> None:
        self._ledger = Ledger(f"sqlite:///{self._folder}/ledger.db", clock=self.clock)
        self._ledger.migrate()
        lake = FaultyLake(str(self._folder / "lake"), clock=self.clock, fate=self.fate)
        make_faulty(self._ledger, self.fate)
        self._workspace = Workspace(ledger=self._ledger, lake=lake, clock=self.clock, waits=WAITS)
        self._binding = self._bind()

    @property
    def ledger(self) -> Ledger:
        """The process's ledger."""
        return self._ledger

    def _seams(self, vendor: str) -> Seams:
        return Seams(
            clock=self.clock,
            monotonic=lambda: self.clock().timestamp(),
            sleep=self.clock.turn,
            chance=lambda: 0.5,
            wire=lambda: Wire(self._apps[vendor], self.fate),
        )

    def _bind(self) -> OrganisationBinding:
        loke = SourceConnection(
            organisation=SLUG,
            base_url="http://127.0.0.1:1",
            token_url="http://127.0.0.1:1/token",
            organisation_id=ORGANISATION.id,
            secrets={
                "client_id": lambda: "sandbox-client",
                "client_secret": lambda: "sandbox-secret",
            },
            waits=WAITS,
        )
        limits = Limits(calls_per_second=100_000, concurrency=1)
        crm = DestinationConnection(
            organisation=SLUG,
            base_url=f"http://127.0.0.1:1{PREFIX}",
            api_key=lambda: ORGANISATION.crm_test_key,
            limits=limits,
            waits=WAITS,
            conflict="withhold",
            options={"key_prefix": "loke:"},
        )
        return OrganisationBinding(
            slug=SLUG,
            name="Plum",
            is_paused=False,
            sources={
                "loke": SourceBinding(
                    spec=SOURCE,
                    connect=lambda: LokeApi(loke, seams=self._seams("loke")),
                    datasets=("customers", "payments"),
                    rules=PullRules(overlap_seconds=5.0, clean_sweeps=1),
                )
            },
            destinations={
                "crm_com": DestinationBinding(
                    spec=DESTINATION,
                    connect=lambda: CrmComApi(crm, seams=self._seams("crm")),
                    account="sandbox",
                    plan=PlanPolicy(guards=UNLIMITED, limits=limits),
                    verify=VerifyPolicy(),
                    kinds=("contact", "purchase", "refund"),
                )
            },
            resolve=ResolveRules(),
            purchases=PurchasingRules(payments=PurchaseRules()),
        )


class FaultyLake(Lake):
    """The real lake, on a disk that fails now and then, of a process that may die."""

    def __init__(self, root: str, *, clock: Callable[[], dt.datetime], fate: Fate) -> None:
        super().__init__(root, clock=clock)
        self._fate = fate

    def append(self, *arguments: Any, **more: Any) -> int:
        """Append, unless the disk fails or the process dies; it may die right after, too."""
        return self._guarded(super().append, *arguments, **more)

    def replace(self, *arguments: Any, **more: Any) -> int:
        """Replace, unless the disk fails or the process dies; it may die right after, too."""
        return self._guarded(super().replace, *arguments, **more)

    def _guarded(self, write: Callable[..., int], *arguments: Any, **more: Any) -> int:
        if self._fate.before_write():
            raise OSError(28, "No space left on device")
        rows = write(*arguments, **more)
        self._fate.after_call()
        return rows


def make_faulty(ledger: Ledger, fate: Fate) -> None:
    """Let the ledger's transactions fail now and then, or the process die before or after one."""
    database = ledger._database
    whole = database.write

    @contextmanager
    def write() -> Iterator[Any]:
        has_failed = fate.before_write()
        with whole() as connection:
            yield connection
            if has_failed:
                raise sqlite3.OperationalError("disk I/O error")
        fate.after_call()

    database.write = write  # type: ignore[method-assign]
