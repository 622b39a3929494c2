"""Members of opted-in lists: each list is read whole, and who left is worked out.

A source tells of no change of a list, so a removal is only ever derived. Nobody is removed because
of a failed page, a lost link, a list that is suddenly short or empty, or one that is gone or called
otherwise (``FAULTS.md`` P16-P18). Whoever was added is kept even then.
"""

import datetime as dt
from collections.abc import Sequence
from typing import cast

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.core.ports import ListInfo, ListsApi, Page
from crm_pipeline.core.pulling import ListRule, doubt_of_members
from crm_pipeline.core.records import Reject
from crm_pipeline.core.times import A_MOMENT, TIME_TYPE, format_time
from crm_pipeline.errors import ConfigurationError, CrmPipelineError
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.store.ledger import CompleteRead, Watermark
from crm_pipeline.sync.land.ending import EMPTY, forget_note, walk_to_end, was_noted
from crm_pipeline.sync.land.known import Changed, Known
from crm_pipeline.sync.land.report import PullReport, Scan
from crm_pipeline.sync.land.stamping import keep_newest

_MEMBERS = """
CREATE OR REPLACE TEMP TABLE members AS
SELECT id, version_at AS known_version FROM current_rows
WHERE list_id = CAST(? AS VARCHAR) AND is_member
"""
_NO_MEMBERS = "CREATE OR REPLACE TEMP TABLE members (id VARCHAR, known_version TIMESTAMPTZ)"
_SIGHTED = "CREATE OR REPLACE TEMP TABLE sighted (id VARCHAR)"
_GONE = """
SELECT {columns}, members.known_version FROM current_rows
JOIN members USING (id) ANTI JOIN sighted USING (id)
"""


def read_lists(scan: Scan, watermark: Watermark | None) -> PullReport:
    """Read every opted-in list and land who was added, changed or removed.

    A list with which something is wrong is set aside as a reject and reported; the others go on.
    Raises the first error of a list that could not be read, after all lists were tried; the
    watermark has not moved then.
    """
    api = cast("ListsApi", scan.api)
    infos = {info.id: info for info in api.lists()} if scan.rules.lists else {}
    troubles: list[CrmPipelineError] = []
    batch = rows = 0
    with scan.ws.lake.session() as session:
        known = Known(scan, session) if scan.rules.lists else None
        for rule in scan.rules.lists:
            if known is None or _is_gone(scan, rule, infos.get(rule.id)):
                continue
            one = _OneList(scan, session, known, rule, infos[rule.id])
            try:
                one.read()
            except CrmPipelineError as error:
                if _is_unknown_list(error):
                    _report(scan, rule, "list_vanished", "The list is gone at the source.")
                else:
                    _report(scan, rule, "list_unread", f"Reading ended with {error.code}.")
                    troubles.append(error)
            batch, rows = max(batch, one.batch), rows + one.seen
    _forget_fine(scan)
    if troubles:
        raise troubles[0]
    read = CompleteRead(
        at=scan.started_at,
        batch=batch or (watermark.batch if watermark else 0),
        rows=rows,
        is_sweep=True,
        recent=(),
    )
    scan.ws.ledger.watermarks.commit(*scan.names, read, expected=watermark)
    return scan.report(is_sweep=True, is_first=watermark is None, watermark_at=scan.started_at)


def _is_gone(scan: Scan, rule: ListRule, info: ListInfo | None) -> bool:
    """Whether a list is not there; reports that, and another name than expected."""
    if info is None:
        _report(scan, rule, "list_vanished", "The source does not name the list any more.")
        return True
    if info.name != rule.name:
        _report(scan, rule, "list_renamed", f"Expected {rule.name!r}, found {info.name!r}.")
    return False


def _is_unknown_list(error: CrmPipelineError) -> bool:
    """Whether the source said, after naming the list, that there is none (not: no organisation)."""
    return type(error) is ConfigurationError


def _report(scan: Scan, rule: ListRule, reason: str, detail: str) -> None:
    """Set a list aside for a person to look at."""
    scan.tally.lists_reported[rule.id] = reason
    reject = Reject(
        stage="land",
        dataset=scan.dataset,
        key=rule.id,
        reason=reason,
        detail=detail,
        payload="",
    )
    scan.ws.ledger.rejects.add(scan.organisation, scan.source, [reject])


def _forget_fine(scan: Scan) -> None:
    """Forget what was reported of lists with which all is well."""
    fine = [rule.id for rule in scan.rules.lists if rule.id not in scan.tally.lists_reported]
    scan.ws.ledger.rejects.clear(scan.organisation, scan.source, "land", fine, scan.dataset)


class _MemberPages:
    """The pages of one list as pages of the dataset."""

    def __init__(self, api: ListsApi, list_id: str) -> None:
        self._api = api
        self._list_id = list_id

    def first_page(self, _dataset: str) -> Page:
        """Read the first page of the list's members."""
        return self._api.members_page(self._list_id)

    def next_page(self, link: str) -> Page:
        """Follow a next link unchanged."""
        return self._api.next_page(link)


class _OneList:
    """The reading of one list. ``seen`` counts its members, ``batch`` is the newest that landed."""

    def __init__(
        self, scan: Scan, session: LakeSession, known: Known, rule: ListRule, info: ListInfo
    ) -> None:
        self._scan = scan.part(_MemberPages(cast("ListsApi", scan.api), rule.id))
        self._session = session
        self._known = known
        self._rule = rule
        self._info = info
        self._lowered: list[Changed] = []
        self._is_cut = False
        self._rejects = 0
        self.seen = 0
        self.batch = 0

    def read(self) -> None:
        """Read the list; land additions at once, removals when the reading is believed.

        Rows slip over page borders while a list of several pages is read, so that it takes a
        second reading before anybody is removed from one.
        """
        self._load_members()
        self._pass()
        doubt = self._doubt()
        if doubt:
            detail = f"{self.seen:,} members were read, the source counts {self._told()}."
            _report(self._scan, self._rule, doubt, f"{detail} Nobody was removed.")
            return
        for changed in self._lowered:
            self._land(changed.lowered(self._scan.started_at, dt.timedelta(0)))
        if self._count_gone() and self._scan.pass_pages > 1:
            self._pass()
            if self._is_cut or self._rejects:
                _report(self._scan, self._rule, "list_unclear", "Nobody was removed.")
                return
        self._remove()

    def _load_members(self) -> None:
        self._session.execute(_SIGHTED)
        if self._known.has_rows:
            self._session.execute(_MEMBERS, (self._rule.id,))
        else:
            self._session.execute(_NO_MEMBERS)

    def _pass(self) -> None:
        """Read every page and land who is new or changed."""
        scan = self._scan
        scan.begin_pass()
        rejects, erased = scan.tally.rejects, scan.tally.erased
        group: list[tuple[pa.RecordBatch, str]] = []
        for step in walk_to_end(scan):
            decoded = scan.decode(step.page)
            scan.take(decoded)
            group.append((_as_members(decoded.rows), step.page.digest))
            if len(group) >= scan.rules.group_pages:
                self._take(group)
                group = []
        self._take(group)
        self._rejects += scan.tally.rejects - rejects
        # Erased people are members all the same, as the source counts them.
        self.seen = scan.tally.erased - erased
        self.seen += int(self._session.value("SELECT count(DISTINCT id) FROM sighted"))
        self._is_cut = self._ends_strangely()

    def _take(self, group: Sequence[tuple[pa.RecordBatch, str]]) -> None:
        if not group:
            return
        scan, session = self._scan, self._session
        stamped = keep_newest(
            scan.stamp(group, origin="pull", landed_at=scan.ws.clock(), session=session)
        )
        scan.tally.times_unreadable += stamped.unreadable
        scan.tally.times_in_future += stamped.in_future
        session.register("sighted_rows", stamped.rows.select(["id"]))
        session.execute("INSERT INTO sighted SELECT id FROM sighted_rows")
        changed = self._known.changed(stamped)
        if pc.any(changed.is_older).as_py():
            self._lowered.append(changed)
        self._land(changed.not_older())

    def _land(self, rows: pa.Table) -> None:
        if not rows.num_rows:
            return
        self._session.register("landing", rows.select(["id"]))
        added = self._session.value("SELECT count(*) FROM landing ANTI JOIN members USING (id)")
        self.batch = self._scan.land(rows) or self.batch
        self._scan.tally.added += int(added)

    def _ends_strangely(self) -> bool:
        """Whether the last page is full, names no next one, and the source counts more."""
        scan, told = self._scan, self._info.member_count
        if not scan.is_last_page_full:
            return False
        return scan.pass_pages == 1 if told is None else told > self.seen

    def _doubt(self) -> str:
        """Return why nobody may be removed; empty when the reading is believed."""
        if self._rejects:
            return "list_unclear"
        if self._is_cut:
            return "list_cut"
        told, known = self._info.member_count, self._session.value("SELECT count(*) FROM members")
        is_empty = self.seen == 0 and told == 0 and known > 0
        was_empty = is_empty and was_noted(self._scan, EMPTY, self._rule.id)
        if not is_empty or was_empty:
            forget_note(self._scan, self._rule.id)
        return doubt_of_members(
            seen=self.seen,
            known=known,
            told=told,
            min_share=self._rule.min_share,
            was_empty=was_empty,
        )

    def _told(self) -> str:
        count = self._info.member_count
        return "none of them" if count is None else f"{count:,}"

    def _count_gone(self) -> int:
        return int(self._session.value("SELECT count(*) FROM members ANTI JOIN sighted USING (id)"))

    def _remove(self) -> None:
        """Land a removal for each known member that was not seen."""
        if not self._count_gone():
            return
        scan = self._scan
        held = self._session.sql("SELECT * FROM current_rows LIMIT 0").schema.names
        columns = ", ".join(
            f'current_rows."{name}"' if name in held else f'NULL AS "{name}"'
            for name in scan.spec.schema.names
        )
        for batch in self._session.sql(_GONE.format(columns=columns)):
            rows = self._as_removals(pa.Table.from_batches([batch]))
            self.batch = scan.land(rows) or self.batch
            scan.tally.removed += rows.num_rows

    def _as_removals(self, gone: pa.Table) -> pa.Table:
        """Return members as removed, by a version that is newer than the one they had."""
        scan = self._scan
        known = gone.column("known_version").cast(TIME_TYPE)
        members = gone.drop_columns(["known_version"]).cast(scan.spec.schema)
        rows = pa.RecordBatch.from_struct_array(members.to_struct_array().combine_chunks())
        rows = _with(rows, "is_member", pa.array([False] * rows.num_rows))
        now = [format_time(scan.started_at)] * rows.num_rows
        rows = _with(rows, "changed_at", pa.array(now, pa.string()))
        stamped = scan.stamp([(rows, "")], origin="pull", landed_at=scan.started_at, session=None)
        own = stamped.rows.column("version_at")
        later = pc.add(known, pa.scalar(A_MOMENT, pa.duration("us")))
        versions = pc.if_else(pc.fill_null(pc.greater(later, own), False), later, own)
        place = stamped.rows.schema.get_field_index("version_at")
        return stamped.rows.set_column(place, stamped.rows.schema.field(place), versions)


def _as_members(rows: pa.RecordBatch) -> pa.RecordBatch:
    """Return rows of a page of members as such: to be on the page is to be in the list."""
    return _with(rows, "is_member", pa.array([True] * rows.num_rows, pa.bool_()))


def _with(rows: pa.RecordBatch, name: str, values: pa.Array) -> pa.RecordBatch:
    place = rows.schema.get_field_index(name)
    return rows.set_column(place, rows.schema.field(place), values)
