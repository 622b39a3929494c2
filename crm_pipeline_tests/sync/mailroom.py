"""An organisation with an inbox to put webhooks into, and the sandbox behind it."""

import dataclasses
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from crm_pipeline.core.ports import SourceConnection
from crm_pipeline.sources.loke import SOURCE as LOKE
from crm_pipeline.sources.sopost import SOURCE as SOPOST
from crm_pipeline.store.ledger import Received
from crm_pipeline.sync.binding import OrganisationBinding, SourceBinding
from crm_pipeline.sync.drain import drain
from crm_pipeline.sync.land import landed_table
from crm_pipeline.sync.resolve import ResolveRules
from crm_pipeline.sync.workspace import Workspace
from crm_pipeline_tests.sync.conftest import ORGANISATION, SLUG

#: An organisation at the source that nobody answers for.
NOWHERE = "http://127.0.0.1:9"
STATISTICS = {"pointsBalance": 5, "totalSpend": 100}
CUSTOMER = {
    "id": "01HDRA1NCUST0MER0000000001",
    "createdAt": "2026-11-20T10:00:00Z",
    "updatedAt": "2026-11-20T10:00:00Z",
    "firstName": "Mina",
    "lastName": "Okafor",
    "hasAgreedToMarketing": True,
    "statistics": STATISTICS,
}
PAYMENT = {
    "id": "5e0c1c1e-6a44-4e0e-9b3c-0d8f1f6f2a10",
    "state": "COMPLETED",
    "createdAt": "2026-11-20T11:00:00Z",
    "completedAt": "2026-11-20T11:00:10Z",
    "currency": "AUD",
    "total": 1450,
    "customer": {"id": CUSTOMER["id"], "firstName": "Mina", "lastName": "Okafor"},
    "items": [{"id": "FOOD014", "name": "Flat white", "amount": 500, "quantity": 2}],
}
UPDATED = {**CUSTOMER, "updatedAt": "2026-11-20T10:05:00Z", "hasAgreedToMarketing": False}
REFUNDED = {**PAYMENT, "state": "REFUNDED", "refundedAt": "2026-11-20T12:00:00Z"}
CREATED_EVENT = ("customer.created", {"customer": CUSTOMER})
UPDATED_EVENT = ("customer.updated", {"customer": UPDATED})
COMPLETED_EVENT = ("payment.completed", {"payment": PAYMENT, "location": {"id": "LOC207"}})
REFUNDED_EVENT = ("payment.refunded", {"payment": REFUNDED, "location": {"id": "LOC207"}})
STORY = (CREATED_EVENT, UPDATED_EVENT, COMPLETED_EVENT, REFUNDED_EVENT)


@dataclass
class Mailbox:
    """A workspace, an inbox to put events into, and the sources behind it."""

    ws: Workspace
    sources: dict[str, SourceBinding]
    clock: object
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def organisation(self):
        return OrganisationBinding(
            slug=SLUG,
            name="Test Cafe",
            is_paused=False,
            sources=self.sources,
            destinations={},
            resolve=ResolveRules(),
        )

    def post(self, event, body=None, *, source="loke", entity_id="", at=None):
        """Put one event into the inbox as the receiver does, never the same twice."""
        if not isinstance(body, bytes):
            whole = {"event": event, "organization": {"id": ORGANISATION.id}, **(body or {})}
            body = json.dumps(whole, ensure_ascii=False, separators=(",", ":")).encode()
        received = Received(
            organisation=SLUG,
            source=source,
            event=event,
            entity_id=entity_id,
            dedup=f"{next(self.numbers)}",
            body=body,
            received_at=at or self.ws.clock(),
        )
        return self.ws.ledger.inbox.append([received])[0].number

    def drain(self, **how):
        return drain(self.ws, self.organisation, **how)

    def current(self, dataset="customers", source="loke"):
        table = landed_table(source, dataset)
        if not self.ws.lake.exists(SLUG, table):
            return {}
        rows = self.ws.lake.current(SLUG, table, "id").read_all().to_pylist()
        return {row["id"]: row for row in rows}

    def rows(self, dataset="customers", source="loke"):
        return self.ws.lake.row_count(SLUG, landed_table(source, dataset))

    def reject_reasons(self):
        return dict(self.ws.ledger.rejects.counts(SLUG))


class Shared:
    """A connection that several drains use; the fixture closes it."""

    def __init__(self, api):
        self._api = api

    def __getattr__(self, name):
        return getattr(self._api, name)

    def close(self):
        pass


def binding(spec, connect, datasets, rules):
    return SourceBinding(spec=spec, connect=connect, datasets=datasets, rules=rules)


@contextmanager
def loke_at(url, waits):
    """Connect to a LOKE at an address."""
    api = LOKE.connect(
        SourceConnection(
            organisation=SLUG,
            base_url=url,
            token_url=f"{url}/token",
            organisation_id=ORGANISATION.id,
            secrets={"client_id": lambda: "id", "client_secret": lambda: "secret"},
            waits=waits,
        )
    )
    try:
        yield Shared(api)
    finally:
        api.close()


@contextmanager
def opened(desk):
    """A mailbox with the sandbox's LOKE and SoPost."""
    desk.sandbox.sopost.reset()
    sopost = SOPOST.connect(
        SourceConnection(
            organisation=SLUG,
            base_url=desk.sandbox.sopost_url,
            secrets={
                "user_id": lambda: "sandbox-user",
                "password": lambda: "sandbox-password",
            },
            options={
                "entity_type": "Organisation",
                "entity_id": desk.sandbox.sopost.brand(SLUG).id,
            },
            waits=desk.ws.waits,
        )
    )
    sources = {
        "loke": binding(LOKE, lambda: Shared(desk.api), ("customers", "payments"), desk.rules),
        "sopost": binding(SOPOST, lambda: Shared(sopost), ("orders",), desk.rules),
    }
    yield Mailbox(desk.ws, sources, desk.clock)
    sopost.close()


@contextmanager
def cut_off(mailbox):
    """The same while LOKE cannot be reached."""
    with loke_at(NOWHERE, mailbox.ws.waits) as api:
        known = mailbox.sources["loke"]
        mailbox.sources["loke"] = dataclasses.replace(known, connect=lambda: api)
        yield mailbox
