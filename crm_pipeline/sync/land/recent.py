"""The rows that the next pull will see again, so that it can tell them from changes.

Kept in the ledger as one text a row: fingerprint and version. With them a quiet pull writes
nothing, and a row that comes back in an older version is not taken for a newer one.
"""

import datetime as dt
from collections.abc import Iterator, Mapping

import pyarrow as pa
import pyarrow.compute as pc

from crm_pipeline.core.times import TIME_TYPE
from crm_pipeline.store.ledger.times import to_micros

#: More rows than this are not remembered: they are compared with the lake instead.
MOST_ROWS = 20_000

_NO_VERSION = "-"


def marks_of(rows: pa.Table) -> Iterator[tuple[str, str]]:
    """Give the id and mark of each stamped row."""
    micros = pc.cast(pc.cast(rows.column("version_at"), pa.int64()), pa.string())
    versions = pc.fill_null(micros, _NO_VERSION)
    marks = pc.binary_join_element_wise(rows.column("fingerprint"), versions, ":")
    yield from zip(rows.column("id").to_pylist(), marks.to_pylist(), strict=True)


def is_known(mark: str, known: str | None) -> bool:
    """Whether a row says what is known of it already."""
    return known is not None and mark.partition(":")[0] == known.partition(":")[0]


def is_stale(mark: str, known: str | None) -> bool:
    """Whether a row is an older version than the one that is known.

    >>> is_stale("aa:5", "bb:6"), is_stale("aa:7", "bb:6"), is_stale("aa:-", "bb:6")
    (True, False, False)
    """
    if known is None:
        return False
    version, known_version = mark.partition(":")[2], known.partition(":")[2]
    if _NO_VERSION in (version, known_version):
        return False
    return int(version) < int(known_version)


class Recent:
    """Collects the marks of the rows that are not older than a floor."""

    def __init__(self, floor: dt.datetime | None, known: Mapping[str, str] | None = None) -> None:
        self._floor = floor
        self._known = known or {}
        self.marks: dict[str, str] = {}

    def see(self, rows: pa.Table, times: pa.Array) -> None:
        """Take stamped rows whose own times are ``times``; those without a time count as new."""
        room = MOST_ROWS - len(self.marks)
        if room <= 0:
            return
        fresh = rows.filter(fresh_mask(times, self._floor)).slice(0, room)
        for row_id, mark in marks_of(fresh):
            known = self._known.get(row_id)
            self.marks[row_id] = known if known and is_stale(mark, known) else mark

    def carry(self) -> None:
        """Keep what was known and not seen, unless it is below the floor or has no version.

        A source may show an older version for a while than the one that its webhook told.
        """
        floor = None if self._floor is None else to_micros(self._floor)
        for row_id, mark in self._known.items():
            if len(self.marks) >= MOST_ROWS:
                return
            version = mark.partition(":")[2]
            if version != _NO_VERSION and (floor is None or int(version) >= floor):
                self.marks.setdefault(row_id, mark)


def fresh_mask(times: pa.Array, floor: dt.datetime | None) -> pa.Array:
    """Return, for each time, whether it is not below the floor; an absent one never is."""
    if floor is None:
        return pa.repeat(pa.scalar(True), len(times))
    return pc.fill_null(pc.greater_equal(times, pa.scalar(floor, TIME_TYPE)), True)
