"""Lands single records that webhooks told of, or that were read again because of one.

Here: which of them is newer than what is landed. Not here: what an event says (``sources``), and
which events there are (``sync.drain``). No order of arrival and no replay makes an older version
the newest one: only the source's own times decide, and where they cannot, reading again does.
"""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.core.ports import DatasetSpec, SourceSpec
from crm_pipeline.core.pulling import latest_plausible
from crm_pipeline.core.times import A_MOMENT, TIME_TYPE, UNDATED
from crm_pipeline.store.lake import LakeSession
from crm_pipeline.sync.erase.checking import erased_of
from crm_pipeline.sync.land.recent import marks_of
from crm_pipeline.sync.land.report import append_batch, landed_table
from crm_pipeline.sync.land.stamping import Origin, Stamped, stamp
from crm_pipeline.sync.workspace import Workspace

#: The files of the table are searched by id, never read into memory whole.
_NEWEST = """
SELECT id, fingerprint, version_at, {fullness} AS fullness
FROM (SELECT * FROM versions WHERE id IN (SELECT id FROM wanted))
QUALIFY row_number() OVER (
    PARTITION BY id ORDER BY version_at DESC NULLS LAST, batch DESC
) = 1
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookReport:
    """What became of some records.

    ``landed`` counts rows; ``doubtful`` holds the ids of which nothing was landed because their
    times do not tell which version is the newer one: the source has to be read. ``batch`` is that
    of the rows, 0 when there are none. ``erased`` holds the ids that are erased people's.
    """

    landed: int
    doubtful: frozenset[str]
    batch: int = 0
    erased: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """One version of one record; ``place`` is its row. ``version_at`` None: no believable time."""

    fingerprint: str
    version_at: dt.datetime | None
    fullness: int
    place: int = -1

    @property
    def rank(self) -> dt.datetime:
        """How the lake ranks it."""
        return self.version_at or UNDATED


def land_hook_rows(
    ws: Workspace,
    organisation: str,
    source: SourceSpec,
    dataset: str,
    pages: Sequence[tuple[pa.RecordBatch, str]],
    *,
    origin: Origin = "hook",
    is_read: bool = False,
    can_read: bool = True,
) -> HookReport:
    """Land records (rows and digest of their page) that are newer than what is landed of them.

    ``is_read``: they were read from the source just now, so that content decides between equal
    times. ``can_read``: whether the source can be asked for one record; where it cannot, of equal
    times the fuller record is taken. The caller holds the organisation's lease.
    """
    spec = source.datasets[dataset]
    pages, erased = _without_erased(ws, organisation, source.name, dataset, pages)
    if not pages:
        return HookReport(landed=0, doubtful=frozenset(), erased=erased)
    stamped = stamp(
        pages,
        version_column=spec.version_column,
        origin=origin,
        landed_at=ws.clock(),
        session=None,
    )
    if not stamped.rows.num_rows:
        return HookReport(landed=0, doubtful=frozenset(), erased=erased)
    table = landed_table(source.name, dataset)
    known = _newest_known(ws, organisation, table, spec, stamped.rows)
    judge = _Judge(is_read=is_read, can_read=can_read)
    for row_id, versions in _versions_by_id(stamped, spec).items():
        judge.judge(row_id, versions, known.get(row_id))
    rows = _taken(stamped.rows, judge.lifted)
    batch = append_batch(ws, organisation, table, rows) if rows.num_rows else 0
    if spec.reading == "newest_first":
        marks = [*marks_of(rows), *((row_id, _mark(known[row_id])) for row_id in judge.equal)]
        ws.ledger.watermarks.remember(organisation, source.name, dataset, marks)
    return HookReport(
        landed=rows.num_rows, doubtful=frozenset(judge.doubtful), batch=batch, erased=erased
    )


def _without_erased(
    ws: Workspace,
    organisation: str,
    source: str,
    dataset: str,
    pages: Sequence[tuple[pa.RecordBatch, str]],
) -> tuple[Sequence[tuple[pa.RecordBatch, str]], frozenset[str]]:
    """Return pages without erased people, and the ids that were left out."""
    erased = erased_of(ws, organisation)
    if not erased:
        return pages, frozenset()
    kept = [(erased.kept(source, dataset, rows), digest) for rows, digest in pages]
    ids = {each for rows, _ in pages for each in rows.column("id").to_pylist()}
    left = {each for rows, _ in kept for each in rows.column("id").to_pylist()}
    return kept, frozenset(ids - left)


class _Judge:
    """Decides, id by id, which row is landed.

    ``lifted`` holds the places of the rows to land, each with the version that it gets instead of
    its own (None: its own); ``equal`` the ids whose newest version is landed already.
    """

    def __init__(self, *, is_read: bool, can_read: bool) -> None:
        self._is_read = is_read
        self._can_read = can_read
        self.lifted: dict[int, dt.datetime | None] = {}
        self.equal: set[str] = set()
        self.doubtful: set[str] = set()

    def judge(self, row_id: str, seen: Sequence[_Version], known: _Version | None) -> None:
        """Decide about all rows of one id."""
        if self._is_read:
            self._take(row_id, seen[-1], known, is_stale=_is_older(seen[-1], known))
            return
        sure = [each for each in seen if each.version_at is not None]
        others = [each for each in seen if each.version_at is None and not _is_same(each, known)]
        best = max(sure, key=_strength, default=None)
        if others or (best is not None and self._is_doubtful(best, sure, known)):
            self.doubtful.add(row_id)
        elif best is None:
            self.equal.add(row_id)
        else:
            is_weaker = known is not None and _strength(best) < _strength(known)
            self._take(row_id, best, known, is_stale=is_weaker)

    def _is_doubtful(
        self, best: _Version, sure: Sequence[_Version], known: _Version | None
    ) -> bool:
        """Whether times alone do not tell which version is newest, and the source could."""
        rivals = [*sure, known] if known is not None else sure
        return self._can_read and any(
            each.fingerprint != best.fingerprint and each.version_at in (None, best.version_at)
            for each in rivals
        )

    def _take(self, row_id: str, best: _Version, known: _Version | None, *, is_stale: bool) -> None:
        if _is_same(best, known):
            self.equal.add(row_id)
        elif not is_stale:
            is_lower = known is not None and best.rank < known.rank
            self.lifted[best.place] = known.rank + A_MOMENT if known and is_lower else None


def _is_same(seen: _Version, known: _Version | None) -> bool:
    return known is not None and seen.fingerprint == known.fingerprint


def _is_older(seen: _Version, known: _Version | None) -> bool:
    if known is None or known.version_at is None or seen.version_at is None:
        return False
    return seen.version_at < known.version_at


def _strength(version: _Version) -> tuple[dt.datetime, int, str]:
    """Order versions in a way that does not depend on their arrival."""
    return version.rank, version.fullness, version.fingerprint


def _versions_by_id(stamped: Stamped, spec: DatasetSpec) -> dict[str, list[_Version]]:
    """Return the rows of each id in the order in which they came."""
    rows = stamped.rows
    landed_at: dt.datetime = rows.column("landed_at")[0].as_py()
    limit = latest_plausible(landed_at)
    versions = rows.column("version_at").to_pylist()
    found: dict[str, list[_Version]] = {}
    columns = zip(
        rows.column("id").to_pylist(),
        rows.column("fingerprint").to_pylist(),
        versions,
        stamped.times.to_pylist(),
        _fullness(rows, spec),
        strict=True,
    )
    for place, (row_id, fingerprint, version_at, own_time, fullness) in enumerate(columns):
        is_believable = own_time is not None and own_time <= limit
        found.setdefault(row_id, []).append(
            _Version(
                fingerprint=fingerprint,
                version_at=version_at if is_believable else None,
                fullness=fullness,
                place=place,
            )
        )
    return found


def _fullness(rows: pa.Table, spec: DatasetSpec) -> list[int]:
    """Return how many fields each row gives."""
    given = [pc.cast(pc.is_valid(rows.column(name)), pa.int64()) for name in spec.schema.names]
    total = given[0]
    for each in given[1:]:
        total = pc.add(total, each)
    counts: list[int] = total.to_pylist()
    return counts


def _newest_known(
    ws: Workspace, organisation: str, table: str, spec: DatasetSpec, rows: pa.Table
) -> Mapping[str, _Version]:
    """Return the newest landed version of each of some ids."""
    if not ws.lake.exists(organisation, table):
        return {}
    with ws.lake.session() as session:
        session.attach("versions", organisation, table)
        session.register("wanted", rows.select(["id"]))
        return dict(_read_newest(session, spec))


def _read_newest(session: LakeSession, spec: DatasetSpec) -> Iterator[tuple[str, _Version]]:
    held = session.sql("SELECT * FROM versions LIMIT 0").schema.names
    given = [f'("{name}" IS NOT NULL)::INTEGER' for name in spec.schema.names if name in held]
    for batch in session.sql(_NEWEST.format(fullness=" + ".join(given))):
        for row in batch.to_pylist():
            yield row.pop("id"), _Version(**row)


def _taken(rows: pa.Table, lifted: Mapping[int, dt.datetime | None]) -> pa.Table:
    """Return the rows to land, in the order in which they came."""
    places = sorted(lifted)
    taken = rows.take(pa.array(places, pa.int64()))
    raised = pa.array([lifted[place] for place in places], TIME_TYPE)
    place = taken.schema.get_field_index("version_at")
    versions = pc.coalesce(raised, taken.column("version_at"))
    return taken.set_column(place, taken.schema.field(place), versions)


def _mark(known: _Version) -> str:
    row = {"id": ["-"], "fingerprint": [known.fingerprint], "version_at": [known.version_at]}
    schema = pa.schema(
        [("id", pa.string()), ("fingerprint", pa.string()), ("version_at", TIME_TYPE)]
    )
    return next(marks_of(pa.table(row, schema)))[1]
