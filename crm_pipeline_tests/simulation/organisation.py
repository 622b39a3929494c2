"""One organisation of a world: what happens at its vendors, and what our process does for it.

Here: its people and payments at LOKE, its CRM, its webhooks. Not here: lists, samples, erasures
(modules of their own), the process (``world``), what must hold (``laws``).
"""

import json
from collections.abc import Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

from crm_pipeline.defs.maintenance import CompactionConfig, compact_one
from crm_pipeline.http import Seams
from crm_pipeline.sandbox import SandboxOrganisation
from crm_pipeline.sandbox.crm_com.desk import Desk
from crm_pipeline.store.ledger import Received
from crm_pipeline.sync.erase.running import leased
from crm_pipeline.sync.plan import iter_changes
from crm_pipeline.sync.retention import apply_retention
from crm_pipeline.sync.run import SyncReport, sync_organisation
from crm_pipeline.sync.undo import undo
from crm_pipeline.sync.verify import verify
from crm_pipeline.webhooks.events import loke_event, sopost_event
from crm_pipeline_tests.simulation.binding import bind
from crm_pipeline_tests.simulation.erasures import Erasures
from crm_pipeline_tests.simulation.lists import Lists
from crm_pipeline_tests.simulation.parts import Parts
from crm_pipeline_tests.simulation.samples import Samples
from crm_pipeline_tests.simulation.wire import Wire

if TYPE_CHECKING:
    from crm_pipeline_tests.simulation.world import World


class Organisation:
    """Vendors that live on; ``mark`` begins every name that its people ever get.

    ``lists``, ``samples`` and ``erasures`` are None in a world without them.
    """

    def __init__(
        self, world: "World", known: SandboxOrganisation, parts: Parts, *, mark: str = "Name"
    ) -> None:
        self.world = world
        self.known = known
        self.slug = known.slug
        self.loke = world.loke
        self.desk = Desk(world.crm, known.crm_test_key)
        self.hooks: list[tuple[str, bytes]] = []
        self.binding = bind(known, parts, self._seams)
        self.lists = Lists(self) if parts.lists else None
        self.samples = Samples(self) if parts.samples else None
        self.erasures = Erasures(self) if parts.erasure else None
        #: Contacts of which something was, or may have been, taken back: held as they are.
        self.undone: set[str] = set()
        self._mark = mark

    # -- what there is ------------------------------------------------------------------------

    def people(self) -> list[dict[str, Any]]:
        """Return LOKE's customers as they are."""
        return self.loke.customers(self.known.id)

    def payments(self) -> list[dict[str, Any]]:
        """Return LOKE's payments as they are."""
        return self.loke.payments(self.known.id)

    def contacts(self) -> list[dict[str, Any]]:
        """Return the CRM's contacts as they are."""
        return self.world.crm.contacts(self.known.crm_test_key)

    def codes(self) -> Mapping[str, str]:
        """Return the code of each customer's contact: LOKE's id, unless samples were first.

        Which contact a person is was decided once, and only our ledger knows; ``laws_of_samples``
        says which decisions are right.
        """
        own = {each["id"]: f"loke:{each['id']}" for each in self.people()}
        if self.samples is None:
            return own
        return {**own, **self.world.ledger.links.of(self.slug, "loke", own.keys())}

    # -- what happens at the vendors ----------------------------------------------------------

    def change_customer(self) -> None:
        """Change somebody: name, address, number, or their consent."""
        chance, people = self.world.chance, self.people()
        person = chance.choice(people)
        other = chance.choice(people)
        fields = chance.choice(
            [
                {"firstName": f"{self._mark} {chance.randrange(100)}"},
                {"email": f"{chance.randrange(6)}@example.com"},
                {"email": other.get("email")},
                {"phoneNumber": f"+6140000000{chance.randrange(4)}"},
                {"hasAgreedToMarketing": chance.choice([True, False, None])},
                {"hasAgreedToMarketing": chance.choice([True, False])},
            ]
        )
        self.loke.mutate(self.slug, ids=[person["id"]], fields=fields)
        self._tell("customer.updated", "customer", person["id"])

    def add_customer(self) -> None:
        """Let somebody join."""
        number = self.world.chance.randrange(1_000)
        created = self.loke.create_customer(self.slug, email=f"new{number}@example.com")
        self._tell("customer.created", "customer", created["id"])

    def pay(self) -> None:
        """Let somebody pay."""
        person = self.world.chance.choice(self.people())
        paid = self.loke.complete_payment(self.slug, customer=person["id"])
        self._tell("payment.completed", "payment", paid["id"])

    def refund(self) -> None:
        """Refund a payment that was not refunded, when there is one."""
        open_ones = [each for each in self.payments() if not each.get("refundedAt")]
        if open_ones:
            chosen = self.world.chance.choice(open_ones)
            self.loke.refund(self.slug, chosen["id"])
            self._tell("payment.refunded", "payment", chosen["id"])

    def unsubscribe_in_the_crm(self) -> str | None:
        """Let somebody who was open unsubscribe inside the CRM; return their code."""
        open_ones = [each for each in self.contacts() if not each["email_opt_out"]]
        if not open_ones:
            return None
        chosen = self.world.chance.choice(open_ones)
        flags = {"email_opt_out": True, "sms_opt_out": True}
        self.world.crm.mutate(self.known.crm_test_key, ids=[chosen["id"]], fields=flags)
        return str(chosen["code"])

    def copy_people(self, other: "Organisation") -> None:
        """Let people with the same ids, addresses and numbers be customers here, too."""
        names = ("id", "email", "phoneNumber", "hasAgreedToMarketing")
        for number, person in enumerate(other.people()):
            same = {name: person[name] for name in names if name in person}
            named = {"firstName": f"{self._mark} {number}", "lastName": self._mark}
            self.loke.create_customer(self.slug, **same, **named)

    def pay_the_same(self, other: "Organisation") -> None:
        """Let somebody pay here under the id that a payment has there, when there is one."""
        known = {each["id"] for each in self.payments()}
        free = [each["id"] for each in other.payments() if each["id"] not in known]
        fields = {"id": self.world.chance.choice(free)} if free else {}
        person = self.world.chance.choice(self.people())
        paid = self.loke.complete_payment(self.slug, customer=person["id"], fields=fields)
        self._tell("payment.completed", "payment", paid["id"])

    def _tell(self, event: str, member: str, record_id: str) -> None:
        """Send a webhook into the world; when and how often it arrives is another question."""
        rows = self.people() if member == "customer" else self.payments()
        record = next((each for each in rows if each["id"] == record_id), None)
        if record is not None:
            body = {"event": event, "organization": {"id": self.known.id}, member: record}
            self.hooks.append(("loke", json.dumps(body).encode()))

    # -- what our process does ----------------------------------------------------------------

    def receive(self) -> None:
        """Let one webhook arrive: any, perhaps not the oldest, perhaps again later."""
        if not self.hooks:
            return
        chance = self.world.chance
        place = chance.randrange(len(self.hooks))
        source, body = self.hooks[place]
        if chance.random() < 0.7:
            del self.hooks[place]
        event = loke_event(body, self.known.id) if source == "loke" else sopost_event(body)
        received = Received(
            organisation=self.slug,
            source=source,
            event=event.name,
            entity_id=event.entity_id,
            dedup=event.dedup,
            body=body,
            received_at=self.world.clock(),
        )
        self.world.as_process(lambda: self.world.ledger.inbox.append([received]))
        if self.samples is not None and source == "sopost":
            self.samples.told.add(event.entity_id)

    def lose_a_webhook(self) -> None:
        """Let one webhook never arrive."""
        if self.hooks:
            del self.hooks[self.world.chance.randrange(len(self.hooks))]

    def sync(self, *, is_full: bool = False, **narrow: Any) -> SyncReport | None:
        """Sync once; None when the process was killed on the way."""
        self.world.syncs += 1
        report = self.world.as_process(
            lambda: sync_organisation(self.world.workspace, self.binding, is_full=is_full, **narrow)
        )
        return report if isinstance(report, SyncReport) else None

    def verify(self) -> bool:
        """Read the CRM back and return whether that went well: then we know who unsubscribed."""
        binding = self.binding.destinations["crm_com"]
        with closing(binding.connect()) as api:
            report = self.world.as_process(
                lambda: verify(self.world.workspace, self.slug, binding, api)
            )
        return report is not None

    def retain(self) -> None:
        """Forget all that may be forgotten by now."""
        world = self.world
        world.as_process(lambda: apply_retention(world.workspace, self.binding, by="simulation"))

    def undo(self) -> None:
        """Take one of the last plans back, and perhaps opt out whom it created."""
        world, chance, ledger = self.world, self.world.chance, self.world.ledger
        plans = [
            each.header
            for each in ledger.plans.list(self.slug, "crm_com")
            if each.status == "applied" and each.header.object_kind == "contact"
        ]
        if not plans:
            return
        header, is_archiving = chance.choice(plans), chance.random() < 0.3
        self.undone |= {change.key for change in iter_changes(world.workspace, header)}
        world.as_process(
            lambda: undo(
                world.workspace,
                self.slug,
                self.binding.destinations["crm_com"],
                header.digest,
                by="simulation",
                is_archiving=is_archiving,
            )
        )

    def fold(self) -> None:
        """Fold the lake's small files."""
        world, config = self.world, CompactionConfig(least_files=2, retention_hours=24)

        def work() -> None:
            with leased(world.workspace, self.binding):
                compact_one(world.workspace, self.binding, config)

        world.as_process(work)

    def _seams(self, vendor: str) -> Seams:
        world = self.world
        return Seams(
            clock=world.clock,
            monotonic=lambda: world.clock().timestamp(),
            sleep=world.clock.turn,
            chance=lambda: 0.5,
            wire=lambda: Wire(world.apps[vendor], world.fate, self.slug),
        )
