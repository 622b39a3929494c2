"""One drain: claim, land what events carry, read what they only name, settle.

An event is settled only after its record is durably landed: a killed drain lands again, and what is
landed already is dropped. One bad event, or one source that does not answer, stops no other.
"""

import datetime as dt
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import pyarrow as pa

from crm_pipeline.core.records import Progress
from crm_pipeline.errors import BugError, CrmPipelineError
from crm_pipeline.store.ledger import InboxRow
from crm_pipeline.sync.binding import OrganisationBinding
from crm_pipeline.sync.drain.events import CATCH_UP, Settled, Told, decode_told, read_told
from crm_pipeline.sync.drain.outcomes import WITHOUT_END, Outcomes
from crm_pipeline.sync.drain.reading import Reader
from crm_pipeline.sync.drain.report import DrainReport, DrainRules
from crm_pipeline.sync.erase.checking import erased_of
from crm_pipeline.sync.land.hooks import land_hook_rows
from crm_pipeline.sync.owner import require_same_owner
from crm_pipeline.sync.workspace import Workspace

#: Why an event of an erased person ends.
_ERASED = "erased"


def drain(
    ws: Workspace,
    organisation: OrganisationBinding,
    *,
    rules: DrainRules | None = None,
    pulled: Mapping[str, dt.datetime] | None = None,
) -> DrainReport:
    """Land what is in the inbox of one organisation; the caller holds its sync lease.

    ``pulled`` says which sources were pulled to their end already, and when that began: events
    from before it that wait for a pull are done. Events that wait for one yet stay in the inbox
    (``DrainReport.pulls``).

    Raises for no event and no source that does not answer. Raises ConfigurationError, and all
    events stay, when a source's records belong to another organisation (``require_same_owner``).
    Raises what lake and ledger raise; whatever was not settled then is drained again.
    """
    for source in organisation.sources.values():
        require_same_owner(ws, organisation.slug, source)
    with ExitStack() as stack:
        one = _Drain(ws, organisation, rules or DrainRules(), stack)
        return one.run(pulled or {})


@dataclass(frozen=True, slots=True)
class _Record:
    """A record at hand, the events that told of it, and the digest of its page."""

    told: Told
    events: Sequence[InboxRow]
    rows: pa.RecordBatch
    digest: str


class _Drain:
    def __init__(
        self,
        ws: Workspace,
        organisation: OrganisationBinding,
        rules: DrainRules,
        stack: ExitStack,
    ) -> None:
        self._ws = ws
        self._slug = organisation.slug
        self._sources = organisation.sources
        self._rules = rules
        self._report = DrainReport()
        self._erased = erased_of(ws, organisation.slug)
        self._reader = Reader(organisation.sources, rules, self._report, stack)
        #: Claimed, and left pending on purpose: for a pull, or for the next drain's reads.
        self._left: set[int] = set()
        self._has_unread = False
        self._events = 0

    def run(self, pulled: Mapping[str, dt.datetime]) -> DrainReport:
        """Drain claim after claim until nothing is due or enough was done.

        What comes while we drain is for the next pass, so that a steady stream never keeps this
        one from what it has landed.
        """
        began = self._ws.clock()
        while True:
            limit = self._rules.claim_rows + len(self._left)
            claimed = self._ws.ledger.inbox.claim(self._slug, limit)
            events = [row for row in claimed if row.number not in self._left]
            if not events:
                return self._report
            self._report.is_complete = False
            if self._events >= self._rules.max_events or self._reader.is_exhausted:
                return self._report
            if self._events and all(row.received_at > began for row in events):
                return self._report
            self._handle(events, pulled)
            self._report.is_complete = not self._has_unread

    def _handle(self, events: Sequence[InboxRow], pulled: Mapping[str, dt.datetime]) -> None:
        """Land and settle one claim."""
        self._events += len(events)
        outcomes = Outcomes()
        carried: list[_Record] = []
        named: list[tuple[Told, InboxRow]] = []
        for row in events:
            if row.event == CATCH_UP:
                self._await_pull(row.source, [row], pulled, outcomes)
                continue
            try:
                told = read_told(row, self._sources.get(row.source))
                record = self._carried(told, row)
            except Settled as end:
                self._settle(row, end, outcomes)
            except CrmPipelineError as error:
                outcomes.retry([row], error.code, WITHOUT_END)
            except Exception as error:  # noqa: BLE001  a poisonous event stops no other
                outcomes.retry([row], _bug(error), self._rules.attempts)
            else:
                if record is None:
                    named.append((told, row))
                else:
                    carried.append(record)
        for doubtful in self._land(carried, outcomes, is_read=False):
            if doubtful.told.can_read:
                named += [(doubtful.told, row) for row in doubtful.events]
            else:
                self._await_pull(doubtful.told.source, doubtful.events, pulled, outcomes)
        self._land(self._read(named, outcomes), outcomes, is_read=True)
        outcomes.settle(self._ws, self._rules, self._report)
        done = Progress(stage="drain", done=self._events, total=None, unit="events")
        self._ws.report_progress(done)

    def _settle(self, row: InboxRow, end: Settled, outcomes: Outcomes) -> None:
        """End an event without a record; what is of an erased person is not set aside."""
        is_named = end.is_failed and self._erased.is_named_in(row.body.decode(errors="replace"))
        if is_named or end.reason == _ERASED:
            outcomes.erase([row])
        else:
            outcomes.end([row], end.reason, is_failed=end.is_failed)

    def _carried(self, told: Told, row: InboxRow) -> _Record | None:
        """Return the record that an event carries, if it carries all of it."""
        if self._erased.has_row(told.source, told.dataset, {"id": told.source_id}):
            raise Settled(_ERASED)
        if told.page is None:
            return None
        decoded = decode_told(self._reader.api(told.source), told, told.page)
        return _Record(told, [row], decoded.rows, told.page.digest)

    def _await_pull(
        self,
        source: str,
        events: Sequence[InboxRow],
        pulled: Mapping[str, dt.datetime],
        outcomes: Outcomes,
    ) -> None:
        if source not in self._sources:
            outcomes.end(events, "not_wanted")
            return
        for row in events:
            if source in pulled and row.received_at <= pulled[source]:
                outcomes.end([row])
            else:
                self._left.add(row.number)
                self._report.pulls.setdefault(source, []).append(row.number)

    def _read(self, named: Sequence[tuple[Told, InboxRow]], outcomes: Outcomes) -> list[_Record]:
        """Read each record that events name, once; note the events of those not to be had."""
        events: dict[tuple[str, str, str], list[InboxRow]] = {}
        tolds: dict[tuple[str, str, str], Told] = {}
        for told, row in named:
            name = told.source, told.dataset, told.source_id
            tolds.setdefault(name, told)
            events.setdefault(name, []).append(row)
        found = []
        for name, told in tolds.items():
            read = self._reader.read(told)
            if read.is_left:
                self._has_unread = True
                self._left.update(row.number for row in events[name])
            elif read.rows is None:
                outcomes.retry(events[name], read.reason, read.attempts)
            else:
                found.append(_Record(told, events[name], read.rows, ""))
        return found

    def _land(
        self, records: Sequence[_Record], outcomes: Outcomes, *, is_read: bool
    ) -> list[_Record]:
        """Land records, dataset by dataset; return those of which the order is not known."""
        groups: dict[tuple[str, str], list[_Record]] = {}
        for record in records:
            groups.setdefault((record.told.source, record.told.dataset), []).append(record)
        doubtful: list[_Record] = []
        for group in groups.values():
            doubtful += self._land_group(group, outcomes, is_read=is_read)
        return doubtful

    def _land_group(
        self, group: Sequence[_Record], outcomes: Outcomes, *, is_read: bool
    ) -> list[_Record]:
        """Land records of one dataset together; when that fails strangely, each alone."""
        told = group[0].told
        try:
            report = land_hook_rows(
                self._ws,
                self._slug,
                self._sources[told.source].spec,
                told.dataset,
                [(record.rows, record.digest) for record in group],
                is_read=is_read,
                can_read=told.can_read,
            )
        except CrmPipelineError:
            raise
        except Exception as error:  # noqa: BLE001  a poisonous record stops no other
            if len(group) > 1:
                alone = (self._land_group([each], outcomes, is_read=is_read) for each in group)
                return [record for records in alone for record in records]
            outcomes.retry(group[0].events, _bug(error), self._rules.attempts)
            return []
        self._report.landed += report.landed
        doubtful = []
        for record in group:
            ids = record.rows.column("id").to_pylist()
            if report.erased.intersection(ids):
                outcomes.erase(record.events)
            elif report.doubtful.intersection(ids):
                doubtful.append(record)
            else:
                outcomes.end(record.events)
        return doubtful


def _bug(error: Exception) -> str:
    """Return a stable reason for an error that nobody foresaw, without what it says."""
    return f"{BugError.code}:{type(error).__name__}"
