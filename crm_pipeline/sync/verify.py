"""Verify: read the CRM back and report where it no longer holds what it acknowledged.

Drift is a finding, never an overwrite. One finding is acted on: a person who opted out inside the
CRM is recorded in the consent log, so that no later plan opens that channel again without a newer
consent (``MISSION.md``, "must never happen" 2).
"""

import datetime as dt
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from typing import Literal

import msgspec
import pyarrow as pa

from crm_pipeline.core.consent import is_news
from crm_pipeline.core.ports import DestinationApi, ObjectKind, visible_fields
from crm_pipeline.core.records import (
    AppliedObject,
    ConsentRecord,
    Fields,
    Progress,
    RemoteObject,
)
from crm_pipeline.core.subject import CRM_ID
from crm_pipeline.sync.account import require_same_account
from crm_pipeline.sync.beside import beside_sync
from crm_pipeline.sync.binding import DestinationBinding
from crm_pipeline.sync.erase.checking import erased_of
from crm_pipeline.sync.workspace import Workspace

DRIFT_SCHEMA = pa.schema(
    [
        ("verified_at", pa.timestamp("us", tz="UTC")),
        ("object_kind", pa.string()),
        ("key", pa.string()),
        ("crm_id", pa.string()),
        ("kind", pa.string()),
        ("field", pa.string()),
        ("wrote", pa.string()),
        ("wanted", pa.string()),
        ("found", pa.string()),
        ("policy", pa.string()),
    ]
)
CHANNELS: Mapping[str, Literal["email", "sms"]] = {"email_opt_out": "email", "sms_opt_out": "sms"}
#: Findings written and desired objects looked up at a time.
CHUNK_ROWS = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class DriftReport:
    """What a verification found, in objects of all kinds.

    ``fields`` counts objects by drifted field. ``foreign`` counts contacts only: a CRM has other
    people's purchases and products by right. ``moving`` are not compared: a write of ours was on
    its way to them, or had only just been acknowledged.
    """

    checked: int
    changed: int
    missing: int
    foreign: int
    opted_out: int
    moving: int
    fields: Mapping[str, int]
    seconds: float

    @property
    def is_clean(self) -> bool:
        """Whether the CRM holds exactly what it acknowledged (foreign objects do not count)."""
        return self.changed == 0 and self.missing == 0


@dataclass(slots=True)
class _Findings:
    checked: int = 0
    moving: int = 0
    rows: list[dict[str, object]] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    fields: Counter[str] = field(default_factory=Counter)
    refusals: list[ConsentRecord] = field(default_factory=list)


def verify(
    ws: Workspace,
    organisation: str,
    binding: DestinationBinding,
    api: DestinationApi,
    *,
    sample: int | None = None,
    chance: random.Random | None = None,
    monotonic: Callable[[], float] = time.monotonic,
) -> DriftReport:
    """Read back every object, or ``sample`` of ours of each kind, and replace the drift table.

    A sample finds neither foreign objects nor all that is missing. A kind that the CRM does not
    list is read in samples only. Raises what the destination raises, and LeaseHeldError while
    another process verifies or erases somebody; then the drift table stays as it was.
    """
    require_same_account(ws, organisation, binding)
    dice = chance or random.Random()  # noqa: S311  no secret
    with beside_sync(ws, organisation, "verify"):
        return _verify(ws, organisation, binding, api, sample, dice, monotonic)


def _verify(
    ws: Workspace,
    organisation: str,
    binding: DestinationBinding,
    api: DestinationApi,
    sample: int | None,
    chance: random.Random,
    monotonic: Callable[[], float],
) -> DriftReport:
    started = monotonic()
    found = _Findings()
    works = [
        _Verification(ws, organisation, binding, api, kind, found)
        for kind in binding.spec.kinds
        if kind.name in binding.kinds and kind.is_readable
    ]
    for work in works:
        if sample is not None:
            work.read_sample(sample, chance)
        elif work.kind.is_listed:
            work.read_all()
    _store(ws, organisation, binding.spec.name, found, works)
    return DriftReport(
        checked=found.checked,
        changed=found.kinds["changed"],
        missing=found.kinds["missing"],
        foreign=found.kinds["foreign"],
        opted_out=len({refusal.key for refusal in found.refusals}),
        moving=found.moving,
        fields=dict(found.fields.most_common()),
        seconds=monotonic() - started,
    )


class _Verification:
    def __init__(
        self,
        ws: Workspace,
        organisation: str,
        binding: DestinationBinding,
        api: DestinationApi,
        kind: ObjectKind,
        findings: _Findings,
    ) -> None:
        self.kind = kind
        self.findings = findings
        self._ws = ws
        self._organisation = organisation
        self._binding = binding
        self._api = api
        self._now = ws.clock()
        self._erased = erased_of(ws, organisation)
        self._object_kind = kind.name
        self._known = ws.ledger.applied.count(organisation, binding.spec.name, self._object_kind)
        self._compared = 0

    def read_all(self) -> None:
        """Compare every object of the CRM with what it acknowledged."""
        began, seen = self._ws.clock(), set[str]()
        for asked_at, page in self._pages():
            keys = [remote.key for remote in page if remote.key is not None]
            applied, moving = self._looked_up(keys, asked_at)
            seen |= applied.keys()
            for remote in page:
                known = applied.get(remote.key) if remote.key is not None else None
                if remote.key not in moving:
                    self._compare(remote, known)
            self._count(len(page))
        if len(seen) < self._known:
            self._find_missing(seen, began)

    def _pages(self) -> Iterator[tuple[dt.datetime, Sequence[RemoteObject]]]:
        """Give each page of the CRM, with a moment before it was asked for."""
        pages = iter(self._api.read_all(self._object_kind))
        while True:
            asked_at = self._ws.clock()
            page = next(pages, None)
            if page is None:
                return
            yield asked_at, page

    def read_sample(self, size: int, chance: random.Random) -> None:
        """Compare ``size`` of our objects, chosen by chance."""
        keys = [key for batch in self._keys() for key in batch]
        chosen = chance.sample(keys, min(size, len(keys)))
        for start in range(0, len(chosen), CHUNK_ROWS):
            asked_at, found = self._ws.clock(), {}
            for known in self._applied(chosen[start : start + CHUNK_ROWS]).values():
                remote = self._api.find(self._object_kind, known.key, known.crm_id)
                found[known.key] = remote
                self._count(int(remote is not None))
            applied, moving = self._looked_up(list(found), asked_at)
            for key in sorted(found.keys() & applied.keys() - moving):
                remote = found[key]
                if remote is None:
                    self._add(key, applied[key].crm_id, "missing")
                else:
                    self._compare(remote, applied[key])

    def _looked_up(
        self, keys: Sequence[str], asked_at: dt.datetime
    ) -> tuple[Mapping[str, AppliedObject], Set[str]]:
        """Return what was acknowledged, and the keys of objects that were moving.

        What the CRM showed of those says nothing: it was asked before a write of ours was surely
        done and visible (``FAULTS.md`` D04).
        """
        # First: what is acknowledged in between has a later time then.
        sent = self._ws.ledger.outbox.unfinished(self._organisation, self._binding.spec.name)
        applied = self._applied(keys)
        settled = asked_at - dt.timedelta(seconds=self._ws.waits.settle_seconds)
        moving = {row.key for row in sent if row.object_kind == self._object_kind}
        moving |= {known.key for known in applied.values() if known.applied_at > settled}
        moving &= set(keys)
        self.findings.moving += len(moving)
        return applied, moving

    def _compare(self, remote: RemoteObject, known: AppliedObject | None) -> None:
        if self._erased.has_object(remote.key or "") or self._erased.has(CRM_ID, remote.crm_id):
            return
        if known is None:
            if self._object_kind == "contact":
                self._add(remote.key or "", remote.crm_id, "foreign")
            return
        wrote = visible_fields(known.fields, known.withheld)
        is_same = self._binding.spec.is_same
        drifted = [
            name
            for name, value in wrote.items()
            if self._is_held(name) and not is_same(name, value, remote.fields.get(name))
        ]
        if drifted:
            self.findings.kinds["changed"] += 1
        for name in drifted:
            self._add_field(known, remote, name)

    def _is_held(self, name: str) -> bool:
        """Whether the CRM holds a field at all: of what is no contact, only what it lists."""
        return self._object_kind == "contact" or name in self.kind.fields

    def _add_field(self, known: AppliedObject, remote: RemoteObject, name: str) -> None:
        self.findings.fields[name] += 1
        found = remote.fields.get(name)
        self._row(known.key, known.crm_id, "changed", name, known.fields[name], found)
        if name in CHANNELS and found is True:
            self.findings.refusals.append(
                ConsentRecord(
                    key=known.key,
                    channel=CHANNELS[name],
                    is_granted=False,
                    at=self._now,
                    seen_at=self._now,
                    origin=self._binding.spec.name,
                )
            )

    def _add(self, key: str, crm_id: str, kind: str) -> None:
        self.findings.kinds[kind] += 1
        self._row(key, crm_id, kind, "", None, None)

    def _row(
        self, key: str, crm_id: str, kind: str, name: str, wrote: object, found: object
    ) -> None:
        self.findings.rows.append(
            {
                "verified_at": self._now,
                "object_kind": self._object_kind,
                "key": key,
                "crm_id": crm_id,
                "kind": kind,
                "field": name,
                "wrote": _json(wrote),
                "wanted": None,
                "found": _json(found),
                "policy": self._binding.plan.field_policies.get(name, "always"),
            }
        )

    def _find_missing(self, seen: Set[str], began: dt.datetime) -> None:
        for keys in self._keys():
            applied, moving = self._looked_up([key for key in keys if key not in seen], began)
            for key in sorted(applied.keys() - moving):
                self._add(key, applied[key].crm_id, "missing")

    def _keys(self) -> Iterator[list[str]]:
        stream = self._ws.ledger.applied.stream(
            self._organisation, self._binding.spec.name, self._object_kind
        )
        for batch in stream:
            keys = batch.column("key").to_pylist()
            yield [key for key in keys if not self._erased.has_object(key)]

    def _applied(self, keys: Sequence[str]) -> Mapping[str, AppliedObject]:
        return self._ws.ledger.applied.get_many(
            self._organisation, self._binding.spec.name, self._object_kind, keys
        )

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Give the findings of the kind with what should be there now."""
        rows = [row for row in self.findings.rows if row["object_kind"] == self._object_kind]
        for start in range(0, len(rows), CHUNK_ROWS):
            chunk = rows[start : start + CHUNK_ROWS]
            wanted = self._wanted(sorted({str(row["key"]) for row in chunk if row["field"]}))
            for row in chunk:
                if row["field"]:
                    row["wanted"] = _json(wanted.get(str(row["key"]), {}).get(str(row["field"])))
            yield pa.RecordBatch.from_pylist(chunk, schema=DRIFT_SCHEMA)

    def _wanted(self, keys: Sequence[str]) -> Mapping[str, Fields]:
        """The newest desired objects of some keys: the third side of the comparison."""
        if not keys or not self._ws.lake.exists(self._organisation, self.kind.table):
            return {}
        reader = self._ws.lake.scan(
            self._organisation,
            self.kind.table,
            columns=("key", "fields", "batch"),
            where=f"key IN ({', '.join('?' for _ in keys)})",
            parameters=list(keys),
        )
        rows = sorted(
            (row for batch in reader for row in batch.to_pylist()), key=lambda row: row["batch"]
        )
        return {row["key"]: msgspec.json.decode(row["fields"]) for row in rows}

    def _count(self, objects: int) -> None:
        self.findings.checked += objects
        self._compared += objects
        self._ws.report_progress(
            Progress(
                stage="verify",
                done=self._compared,
                total=max(self._known, self._compared),
                unit="objects",
                notes=dict(self.findings.kinds),
            )
        )


def _store(
    ws: Workspace,
    organisation: str,
    destination: str,
    found: _Findings,
    works: Sequence[_Verification],
) -> None:
    """Record opt-outs, then replace the drift table."""
    refusals = _new_refusals(ws, organisation, found.refusals)
    if refusals:
        ws.ledger.consents.append(organisation, refusals)
    batches = (batch for work in works for batch in work.batches())
    reader = pa.RecordBatchReader.from_batches(DRIFT_SCHEMA, batches)
    ws.lake.replace(organisation, f"drift/{destination}", reader)


def _new_refusals(
    ws: Workspace, organisation: str, found: Sequence[ConsentRecord]
) -> list[ConsentRecord]:
    """The opt-outs that no earlier look recorded: a repeated look is no new refusal."""
    past = ws.ledger.consents.of(organisation, {each.key for each in found})
    return [
        refusal
        for refusal in found
        if is_news(
            False,
            [
                each
                for each in past.get(refusal.key, ())
                if (each.channel, each.origin) == (refusal.channel, refusal.origin)
            ],
        )
    ]


def _json(value: object) -> str:
    return msgspec.json.encode(value).decode()
