"""One organisation with a real ledger and lake, and a sandbox CRM, without a source."""

import datetime as dt
import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa

from crm_pipeline.core.fingerprint import canonical_json, fingerprint
from crm_pipeline.core.guards import GuardRules
from crm_pipeline.core.media import normal_form
from crm_pipeline.core.policies import PlanPolicy, VerifyPolicy
from crm_pipeline.core.ports import ConflictRule, DestinationApi, DestinationConnection
from crm_pipeline.core.records import Fields, Limits, PlanHeader, Waits
from crm_pipeline.core.subject import CUSTOMER, Subject
from crm_pipeline.core.tombstones import key_name, tombstone
from crm_pipeline.destinations import load_destinations
from crm_pipeline.sandbox import Sandbox
from crm_pipeline.store.keyfile import KeyFile
from crm_pipeline.store.lake import Lake
from crm_pipeline.store.ledger import Ledger, Stone
from crm_pipeline.sync.apply import ApplyReport, apply_plan, recover_writes
from crm_pipeline.sync.binding import DestinationBinding
from crm_pipeline.sync.plan import make_plan
from crm_pipeline.sync.verify import DriftReport, verify
from crm_pipeline.sync.workspace import Workspace

ORGANISATION = "acme"
KEY = "crm_test_acme"
UNLIMITED = GuardRules(
    max_update_share=None,
    max_archives=None,
    max_archive_share=None,
    max_consent_widened=None,
    max_consent_widened_share=None,
    min_source_share=None,
)
DESIRED = pa.schema(
    [
        ("key", pa.string()),
        ("source_id", pa.string()),
        ("version_at", pa.timestamp("us", tz="UTC")),
        ("fingerprint", pa.string()),
        ("fields", pa.string()),
        ("issues", pa.list_(pa.string())),
        ("email", pa.string()),
        ("phone", pa.string()),
        ("email_opt_out", pa.bool_()),
        ("sms_opt_out", pa.bool_()),
        ("batch", pa.int64()),
    ]
)


def contact(first_name: str = "Mina", **changes: Any) -> Fields:
    fields = {
        "first_name": first_name,
        "last_name": "Okafor",
        "email_opt_out": True,
        "sms_opt_out": True,
        **changes,
    }
    return {name: value for name, value in fields.items() if value is not None}


@dataclass
class Clock:
    """A clock that moves a millisecond each time somebody looks."""

    now: dt.datetime = dt.datetime(2026, 6, 1, 12, tzinfo=dt.UTC)

    def __call__(self) -> dt.datetime:
        self.now += dt.timedelta(milliseconds=1)
        return self.now


@dataclass
class Workbench:
    folder: Path
    sandbox: Sandbox
    policy: PlanPolicy = field(
        default_factory=lambda: PlanPolicy(
            guards=UNLIMITED, limits=Limits(calls_per_second=10_000, concurrency=4)
        )
    )
    conflict: ConflictRule = "withhold"
    waits: Waits = field(
        default_factory=lambda: Waits(
            retry_base_seconds=0.001,
            retry_max_seconds=0.01,
            settle_seconds=0.001,
            timeout_seconds=2.0,
        )
    )

    def __post_init__(self) -> None:
        self.clock = Clock()
        ledger = Ledger(f"sqlite:///{self.folder}/ledger.db", clock=self.clock)
        ledger.migrate()
        lake = Lake(str(self.folder / "lake"), clock=self.clock)
        self.ws = Workspace(ledger=ledger, lake=lake, clock=self.clock, waits=self.waits)
        self._batches = itertools.count(1)

    @property
    def binding(self) -> DestinationBinding:
        return DestinationBinding(
            spec=load_destinations()["crm_com"],
            connect=self.connect,
            account="sandbox",
            plan=self.policy,
            verify=VerifyPolicy(),
        )

    def connect(self) -> DestinationApi:
        return load_destinations()["crm_com"].connect(
            DestinationConnection(
                organisation=ORGANISATION,
                base_url=self.sandbox.crm_com_url,
                api_key=lambda: KEY,
                limits=self.policy.limits,
                waits=self.waits,
                conflict=self.conflict,
                options={},
            )
        )

    def want(self, contacts: Mapping[str, Fields], *, is_whole: bool = False) -> None:
        """Say what the CRM should hold: these contacts on top of the others, or only these."""
        batch = next(self._batches)
        rows = [
            {
                "key": key,
                "source_id": key,
                "version_at": self.clock(),
                "fingerprint": fingerprint(fields),
                "fields": canonical_json(fields),
                "issues": [],
                "email": normal_form("email", fields),
                "phone": normal_form("phone", fields),
                "email_opt_out": fields["email_opt_out"],
                "sms_opt_out": fields["sms_opt_out"],
                "batch": batch,
            }
            for key, fields in contacts.items()
        ]
        batches = [pa.RecordBatch.from_pylist(rows, schema=DESIRED)]
        reader = pa.RecordBatchReader.from_batches(DESIRED, batches)
        write = self.ws.lake.replace if is_whole else self.ws.lake.append
        write(ORGANISATION, "desired/contacts", reader)

    def plan(self, *, is_full: bool = False) -> PlanHeader:
        return make_plan(self.ws, ORGANISATION, self.binding.spec, self.policy, is_full=is_full)

    def apply(self, header: PlanHeader) -> ApplyReport:
        api = self.connect()
        try:
            return apply_plan(self.ws, ORGANISATION, self.binding, api, header)
        finally:
            api.close()

    def begin_erasure(self, customer: str) -> None:
        """Write one tombstone of a customer of LOKE's; everything else of them stays for now."""
        self.ws = replace(self.ws, tombstone_key=KeyFile(self.folder / "tombstone.key"))
        key = self.ws.tombstone_key.ensure()
        digest = tombstone(key, ORGANISATION, CUSTOMER, customer)
        stone = Stone(kind=CUSTOMER, digest=digest, key_name=key_name(key))
        self.ws.ledger.tombstones.begin(ORGANISATION, "erasure", Subject(), [stone])

    def recover(self) -> int:
        """Find out what became of writes without an outcome; return how many there were."""
        api = self.connect()
        try:
            return recover_writes(self.ws, ORGANISATION, self.binding, api)
        finally:
            api.close()

    def bring(self, contacts: Mapping[str, Fields], **how: bool) -> ApplyReport:
        """Want, plan and apply."""
        self.want(contacts)
        return self.apply(self.plan(**how))

    def verify(self, *, sample: int | None = None) -> DriftReport:
        api = self.connect()
        try:
            return verify(self.ws, ORGANISATION, self.binding, api, sample=sample)
        finally:
            api.close()

    def remote(self) -> dict[str, dict[str, Any]]:
        """What the CRM holds, by code."""
        return {contact["code"]: contact for contact in self.sandbox.crm_com.contacts(KEY)}

    def writes(self) -> tuple[int, int]:
        """Creations and updates that the CRM was asked for since the last ``forget``."""
        log = self.sandbox.crm_com.requests
        return log.count("POST"), log.count("PUT")

    def forget(self) -> None:
        self.sandbox.crm_com.requests.clear()
