"""Tables as they are now, read once for as long as nobody changes them.

A local table is known by its log: the newest checkpoint and the entries since, each with its
identity, size and time. To look at them takes a tenth of what it takes to read them again. Object
storage is asked every time. Writers open the table themselves: what they build on must be newest.
"""

import os
import threading
from collections import OrderedDict

from crm_pipeline.store.lake.places import LocalPlace, Place
from crm_pipeline.store.lake.tables import Snapshot, Table, tail_of

#: Tables of which the content of the log is kept in memory.
_KEPT = 256

_Mark = tuple[tuple[str, int, int, int], ...]


class Snapshots:
    """The newest versions of a lake's tables. Thread-safe."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._known: OrderedDict[str, tuple[_Mark, Snapshot]] = OrderedDict()
        self._lock = threading.Lock()

    def exists(self, organisation: str, table: str) -> bool:
        """Whether anybody has written the table."""
        opened = Table(self._place, organisation, table)
        return self._still(opened.folder, self._mark(opened.folder)) is not None or opened.exists()

    def find(self, organisation: str, table: str) -> Snapshot | None:
        """Return a table, or None when nobody has written it. Raises LakeDamagedError."""
        return self.get(organisation, table) if self.exists(organisation, table) else None

    def get(self, organisation: str, table: str) -> Snapshot:
        """Return a table. Raises TableUnknownError, LakeDamagedError."""
        opened = Table(self._place, organisation, table)
        mark = self._mark(opened.folder)
        snapshot = self._still(opened.folder, mark)
        if snapshot is None:
            snapshot = opened.snapshot()
            self._keep(opened.folder, mark, snapshot)
        return snapshot

    def _mark(self, folder: str) -> _Mark:
        """Return what tells whether a table is still the same; nothing where nothing does."""
        if not isinstance(self._place, LocalPlace):
            return ()
        log = self._place.root / folder / "_delta_log"
        try:
            tail = [(name, os.stat(log / name)) for name in tail_of(log)]
        except OSError:  # no table, or a log that is being cleaned: reading it tells what is wrong
            return ()
        return tuple((name, at.st_ino, at.st_size, at.st_mtime_ns) for name, at in tail)

    def _still(self, folder: str, mark: _Mark) -> Snapshot | None:
        with self._lock:
            known, snapshot = self._known.get(folder, ((), None))
            if not mark or mark != known:
                return None
            self._known.move_to_end(folder)
            return snapshot

    def _keep(self, folder: str, mark: _Mark, snapshot: Snapshot) -> None:
        if mark:
            with self._lock:
                self._known[folder] = (mark, snapshot)
                if len(self._known) > _KEPT:
                    self._known.popitem(last=False)
