"""Contacts: landed customers, mapping and consent log in; the contacts that should exist out.

An incremental pass maps what landed since the last one; a full pass maps the newest version of
every row and replaces the table. Both give the same contacts, byte for byte (a property test says
so). Landing never adds a row that is older than the one it has, so the newest of the new batches
is the newest of all. Whom complete sweeps no longer see leaves with the next full pass.
"""

import datetime as dt
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import pyarrow as pa

from crm_pipeline.core.consent import is_consent, is_news, is_open
from crm_pipeline.core.mapping import (
    CONSENT_FIELDS,
    DEFAULT_LOKE_CUSTOMER,
    ChannelConsent,
    ContactMapping,
    Mapper,
    MappingContext,
    sources_of,
)
from crm_pipeline.core.media import normal_form
from crm_pipeline.core.pulling import latest_plausible
from crm_pipeline.core.records import ConsentRecord, Fields, FieldValue, Progress, Reject
from crm_pipeline.core.times import parse_times
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.sync.erase.checking import erased_of, refusals
from crm_pipeline.sync.land.missing import attach_away
from crm_pipeline.sync.land.report import landed_table
from crm_pipeline.sync.resolve.joining import Joining
from crm_pipeline.sync.resolve.samples import Facet, SampleRules
from crm_pipeline.sync.resolve.tables import (
    DESIRED_SCHEMA,
    ResolveReport,
    desired_row,
    to_desired,
)
from crm_pipeline.sync.workspace import Workspace

DESIRED_TABLE = "desired/contacts"
#: The ledger's name for how far landed batches were resolved.
STAGE = "resolve:contacts"

_CHANNELS = ("email", "sms")
_PRESENT = """
CREATE OR REPLACE TEMP VIEW present AS SELECT fresh.* FROM fresh
ANTI JOIN (SELECT id FROM away WHERE sweeps >= {sweeps}) AS gone USING (id)
"""
_CARRIED = """
SELECT old.* FROM old_contacts AS old SEMI JOIN refused ON refused.key = old.key
"""
_fields_decoder = msgspec.json.Decoder(dict[str, FieldValue])

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolveRules:
    """How one organisation's people become contacts. ``key_prefix`` begins their keys.

    Who was missing from this many complete sweeps in a row is no longer a contact. With
    ``samples``, sample orders are parts of contacts, and make contacts of their own.
    """

    source: str = "loke"
    dataset: str = "customers"
    key_prefix: str = "loke"
    mapping: ContactMapping = DEFAULT_LOKE_CUSTOMER
    context: MappingContext = MappingContext()  # noqa: RUF009  frozen
    missing_after_sweeps: int = 3
    samples: SampleRules | None = None


def resolve_contacts(
    ws: Workspace, organisation: str, rules: ResolveRules, *, is_full: bool
) -> ResolveReport:
    """Bring ``desired/contacts`` up to the landed rows; the caller holds the organisation's lease.

    A pass is full when asked for, when there are no contacts yet, and when the mapping is another
    one than last time. The stage advances only after the contacts are durably written, so a
    killed pass is repeated. Contacts that came out as before are written again by an incremental
    pass: finding them would cost a scan, and the plan drops them by their fingerprint.
    """
    return _Resolver(ws, organisation, rules).resolve(is_full=is_full)


class _Resolver:
    def __init__(self, ws: Workspace, organisation: str, rules: ResolveRules) -> None:
        self._ws = ws
        self._organisation = organisation
        self._rules = rules
        self._landed = landed_table(rules.source, rules.dataset)
        self._mapper = Mapper(rules.mapping, rules.context)
        self._version = _version_of(rules)
        self._started_at = ws.clock()
        self._issues: Counter[str] = Counter()
        self._rows = 0
        self._consents = 0
        self._refused: dict[str, ChannelConsent] = {}
        self._once_refused: set[str] = set()
        self._has_log = False
        self._position = ws.ledger.stages.position(organisation, STAGE)
        self._joining: Joining | None = None
        self._erased = erased_of(ws, organisation)

    def resolve(self, *, is_full: bool) -> ResolveReport:
        """Work out what there is to do, and do it."""
        ws, organisation = self._ws, self._organisation
        newest = ws.lake.newest_batch(organisation, self._landed)
        self._joining = self._join(is_full=is_full)
        has_news = self._joining is not None and self._joining.has_news
        batch = 0
        if newest or has_news:
            is_full = is_full or not self._is_same_mapping()
            if is_full or has_news or newest > self._position:
                batch = self._write(is_full=is_full, has_customers=newest > 0)
                ws.ledger.stages.advance(organisation, STAGE, newest)
        if self._joining is not None:
            self._joining.end()
        return self._report(batch, is_full=is_full)

    def _join(self, *, is_full: bool) -> Joining | None:
        if self._rules.samples is None:
            return None
        return Joining(
            self._ws,
            self._organisation,
            self._rules.samples,
            source=self._rules.source,
            key_prefix=self._rules.key_prefix,
            desired_table=DESIRED_TABLE,
            is_full=is_full,
        )

    def _is_same_mapping(self) -> bool:
        """Whether the contacts that there are were made by this mapping."""
        newest = self._ws.lake.newest_batch(self._organisation, DESIRED_TABLE)
        if not newest:
            return False
        with self._ws.lake.session() as session:
            session.attach("written", self._organisation, DESIRED_TABLE, newest - 1)
            found = session.value("SELECT any_value(mapping_version) FROM written")
        return bool(found == self._version)

    def _write(self, *, is_full: bool, has_customers: bool) -> int:
        ws = self._ws
        batch = ws.ledger.watermarks.next_batch(self._organisation)
        self._has_log = ws.ledger.consents.count(self._organisation) > 0
        refused = ws.ledger.rejects.names(self._organisation, self._rules.source, "resolve")
        self._once_refused = {key for _, key in refused}
        with ws.lake.session() as session:
            if has_customers:
                since = None if is_full else self._position
                session.attach_current("fresh", self._organisation, self._landed, "id", since)
                self._leave_out_missing(session)
            contacts = self._contacts(session, batch, is_full=is_full, has_customers=has_customers)
            rows = pa.RecordBatchReader.from_batches(DESIRED_SCHEMA, contacts)
            write = ws.lake.replace if is_full else ws.lake.append
            write(self._organisation, DESIRED_TABLE, rows)
        return batch

    def _leave_out_missing(self, session: LakeSession) -> None:
        """Make ``present`` visible: the fresh rows of everybody who is not known to be gone."""
        rules = self._rules
        attach_away(
            self._ws,
            session,
            self._organisation,
            rules.source,
            rules.dataset,
            versions="fresh_versions",
        )
        session.execute(_PRESENT.format(sweeps=int(rules.missing_after_sweeps)))

    def _contacts(
        self, session: LakeSession, batch: int, *, is_full: bool, has_customers: bool
    ) -> Iterator[pa.RecordBatch]:
        """Give the contacts in batches of bounded size."""
        if has_customers:
            for landed in self._customers(session, is_full=is_full):
                yield self._to_batch(self._map(session, landed), batch)
                progress = Progress(stage="resolve", done=self._rows, total=None, unit="contacts")
                self._ws.report_progress(progress)
        if self._joining is not None:
            for some in self._joining.own_contacts(is_full=is_full):
                yield self._to_batch([_sample_contact(key, fields) for key, fields in some], batch)
        if self._refused:
            yield self._to_batch(self._carried(session), batch)

    def _customers(self, session: LakeSession, *, is_full: bool) -> Iterator[pa.RecordBatch]:
        """Give the landed customers to map: the fresh ones, and those with another facet."""
        names = ("id", "version_at", "landed_at", "updated_at", *sources_of(self._rules.mapping))
        if self._joining is not None:
            names = (*names, "email")
        columns = ", ".join(f'"{name}"' for name in dict.fromkeys(names))
        yield from session.sql(f"SELECT {columns} FROM present")  # noqa: S608
        if self._joining is not None and not is_full:
            yield from self._joining.touched_customers(session, self._landed, columns)

    def _to_batch(self, contacts: list[dict[str, Any]], batch: int) -> pa.RecordBatch:
        self._rows += len(contacts)
        return to_desired(contacts, self._version, batch)

    def _keys_of(self, session: LakeSession, rows: Sequence[Row]) -> list[str]:
        if self._joining is None:
            return [f"{self._rules.key_prefix}:{row['id']}" for row in rows]
        return self._joining.keys_of(session, self._landed, self._position, rows)

    def _map(self, session: LakeSession, landed: pa.RecordBatch) -> list[dict[str, Any]]:
        landed = self._without_erased(landed)
        rows = landed.to_pylist()
        keys = self._keys_of(session, rows)
        facets = self._joining.facets(keys) if self._joining is not None else {}
        times = parse_times(landed.column("updated_at")).values.to_pylist()
        consents = self._consent(keys, rows, times, facets)
        contacts: list[dict[str, Any]] = []
        rejects: list[Reject] = []
        for key, row, consent in zip(keys, rows, consents, strict=True):
            mapped = self._mapper.map(row, consent)
            self._issues.update(mapped.issues)
            if mapped.rejected:
                self._refused[key] = consent
                rejects.append(self._reject(key, row, mapped.rejected))
            else:
                facet = facets.get(key)
                fields = {**mapped.fields, **facet.fields} if facet else mapped.fields
                contacts.append(_contact(key, row, fields, mapped.issues))
        self._settle(keys, rejects)
        return contacts

    def _without_erased(self, landed: pa.RecordBatch) -> pa.RecordBatch:
        """Leave out who was erased: a lake that was put back from before may hold them."""
        kept = self._erased.kept(self._rules.source, self._rules.dataset, landed)
        if kept.num_rows < landed.num_rows:
            self._issues["erased"] += landed.num_rows - kept.num_rows
        return kept

    def _reject(self, key: str, row: Row, reason: str) -> Reject:
        return Reject(
            stage="resolve",
            dataset=self._rules.dataset,
            key=key,
            reason=reason,
            detail="The organisation's mapping refuses the record.",
            payload=msgspec.json.encode(row).decode(),
        )

    def _settle(self, keys: Sequence[str], rejects: Sequence[Reject]) -> None:
        """Set the refused aside, and forget the refusals of those that are fine by now."""
        ledger, party = self._ws.ledger, self._rules.source
        ledger.rejects.add(self._organisation, party, rejects)
        fine = self._once_refused.intersection(keys) - {each.key for each in rejects}
        if fine:
            ledger.rejects.clear(self._organisation, party, "resolve", fine)

    def _consent(
        self,
        keys: Sequence[str],
        rows: Sequence[Row],
        times: Sequence[dt.datetime | None],
        facets: Mapping[str, Facet],
    ) -> list[ChannelConsent]:
        """Record what was newly said, and decide each channel from all that was ever said."""
        log = self._ws.ledger.consents
        past = log.of(self._organisation, keys) if self._has_log else {}
        media = [(row.get("email"), row.get("phone_number")) for row in rows]
        refused = refusals(self._ws, self._organisation, self._erased, media)
        column = self._rules.mapping.consent_source
        new: list[ConsentRecord] = []
        decided = []
        for key, row, time, refusal in zip(keys, rows, times, refused, strict=True):
            said = list(past.get(key, ()))
            answer = is_consent(row[column])
            if answer is not None:
                heard = self._heard(key, row, time, answer, said)
                new += heard
                said += heard
            facet = facets.get(key)
            granted = facet.granted if facet else ()
            decided.append(_decided(row[column], granted, [*said, *refusal]))
        if new:
            log.append(self._organisation, new)
        self._consents += len(new)
        return decided

    def _heard(
        self,
        key: str,
        row: Row,
        time: dt.datetime | None,
        answer: bool,
        past: Sequence[ConsentRecord],
    ) -> list[ConsentRecord]:
        """Return the answers that differ from what the source said last, by channel."""
        origin = self._rules.source
        is_plausible = time is not None and time <= latest_plausible(row["landed_at"])
        return [
            ConsentRecord(
                key=key,
                channel=channel,
                is_granted=answer,
                at=time if is_plausible else None,
                seen_at=self._started_at,
                origin=origin,
            )
            for channel in ("email", "sms")
            if is_news(
                answer,
                [each for each in past if each.channel == channel and each.origin == origin],
            )
        ]

    def _carried(self, session: LakeSession) -> list[dict[str, Any]]:
        """Return the earlier contacts of refused records; a consent that was closed is closed."""
        if not self._ws.lake.exists(self._organisation, DESIRED_TABLE):
            return []
        session.attach_current("old_contacts", self._organisation, DESIRED_TABLE, "key")
        session.register("refused", pa.table({"key": list(self._refused)}))
        contacts = []
        for old in session.sql(_CARRIED).read_all().to_pylist():
            consent = self._refused[old["key"]]
            fields: dict[str, FieldValue] = _fields_decoder.decode(old["fields"])
            for name, is_open_now in zip(CONSENT_FIELDS, (consent.email, consent.sms), strict=True):
                fields[name] = bool(fields[name]) or not is_open_now
            row = {"id": old["source_id"], "version_at": old["version_at"]}
            contacts.append(_contact(old["key"], row, fields, old["issues"]))
        return contacts

    def _report(self, batch: int, *, is_full: bool) -> ResolveReport:
        return ResolveReport(
            is_full=is_full,
            rows=self._rows,
            rejects=len(self._refused),
            consents=self._consents,
            issues=dict(self._issues.most_common()),
            batch=batch,
            size_bytes=self._ws.lake.size_bytes(self._organisation, DESIRED_TABLE) if batch else 0,
            seconds=(self._ws.clock() - self._started_at).total_seconds(),
        )


def _version_of(rules: ResolveRules) -> str:
    samples = f"-{rules.samples.version}" if rules.samples else ""
    return f"{rules.mapping.version}-{rules.context.currency}-{rules.key_prefix}{samples}"


def _sample_contact(key: str, fields: Fields) -> dict[str, Any]:
    return _contact(key, {"id": key.partition(":")[2], "version_at": None}, fields, ())


def _decided(
    current: object, granted: Sequence[str], said: Sequence[ConsentRecord]
) -> ChannelConsent:
    """Decide each channel: somebody must say yes at this moment, and nobody no since."""
    email, sms = (
        is_open(
            True if channel in granted else current,
            (each for each in said if each.channel == channel),
        )
        for channel in _CHANNELS
    )
    return ChannelConsent(email=email, sms=sms)


def _contact(key: str, row: Row, fields: Fields, issues: Sequence[str]) -> dict[str, Any]:
    return {
        **desired_row(key, row["id"], row["version_at"], fields, issues),
        "email": normal_form("email", fields),
        "phone": normal_form("phone", fields),
        "email_opt_out": fields["email_opt_out"],
        "sms_opt_out": fields["sms_opt_out"],
    }
