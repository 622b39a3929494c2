"""The tags of contacts that exist in CRM.COM, by id and by name.

Tags are set up by a person and rarely change: the list is read once for a connection.
"""

import threading
from collections.abc import Collection, Mapping, Sequence

from crm_pipeline.destinations.crm_com.assumptions import TAGS_ENTITY, TAGS_PATH
from crm_pipeline.destinations.crm_com.calls import Calls, Tally
from crm_pipeline.destinations.crm_com.values import as_object, as_text


class Tags:
    """Turns what the settings call a tag into its id. Thread-safe."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
        self._lock = threading.Lock()
        self._ids: Mapping[str, str] | None = None

    def ids(self, tally: Tally) -> Mapping[str, str]:
        """Return the id of each tag by id and by name; an id wins over an equal name."""
        with self._lock:
            if self._ids is None:
                self._ids = self._read(tally)
            return self._ids

    def unknown(self, names: Collection[str], tally: Tally) -> Sequence[str]:
        """Return those of some ids or names that no tag has."""
        known = self.ids(tally)
        return [name for name in names if name not in known]

    def _read(self, tally: Tally) -> Mapping[str, str]:
        by_id: dict[str, str] = {}
        by_name: dict[str, str] = {}
        for page in self._calls.pages(TAGS_PATH, {"entity": TAGS_ENTITY}, tally):
            for entry in map(as_object, page):
                tag_id, name = as_text(entry.get("id")), as_text(entry.get("name"))
                if tag_id:
                    by_id[tag_id] = tag_id
                    by_name.setdefault(name or tag_id, tag_id)
        return {**by_name, **by_id}
