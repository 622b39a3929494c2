"""The customer lists of one organisation and who is in them.

LOKE tells nobody when a membership changes. Here: lists and members. Not here: HTTP (``routes``).
"""

import dataclasses
import datetime as dt
from collections.abc import Iterable

from crm_pipeline.sandbox.loke.rows import epoch_ms, written
from crm_pipeline.sandbox.people import People, iso, ulid
from crm_pipeline.sandbox.timeline import Timeline

#: The lists that exist from the start take this many members and no more.
_MOST_BASE_MEMBERS = 2_000
_DAY_MS = 86_400_000


@dataclasses.dataclass(slots=True, kw_only=True)
class CustomerList:
    """One list. ``members`` says since when each customer is in it, in the order of adding."""

    id: str
    name: str
    created_at: str
    #: Whether our own client made it; it may rename no other.
    is_ours: bool = False
    members: dict[str, str] = dataclasses.field(default_factory=dict)

    def body(self) -> dict[str, str | int]:
        """Return the list as LOKE answers it."""
        return {
            "id": self.id,
            "name": self.name,
            "createdAt": self.created_at,
            "memberCount": len(self.members),
        }


class ListStore:
    """All lists of one organisation, oldest first."""

    def __init__(self, people: People, customers: int, names: tuple[str, ...]) -> None:
        """Begin with a list for each name: every fifth customer in the first, then fewer."""
        self._made = 0
        self.lists: dict[str, CustomerList] = {}
        for number, name in enumerate(names):
            created_ms = Timeline.joined_ms(0)
            made = self.create(name, list_id=ulid(created_ms, number, people.list_chance))
            made.created_at = iso(created_ms, with_ms=False)
            step = 5 + 7 * number
            for index in range(0, min(customers, step * _MOST_BASE_MEMBERS), step):
                added = iso(Timeline.joined_ms(index) + _DAY_MS, with_ms=bool(index % 2))
                made.members[people.id_of(index)] = added

    def get(self, list_id: str) -> CustomerList:
        """Return a list by id or, for those who drive the sandbox, by name. Raises KeyError."""
        found = self.lists.get(list_id)
        if found is None:
            found = next((each for each in self.lists.values() if each.name == list_id), None)
        if found is None:
            raise KeyError(f"there is no list {list_id!r}")
        return found

    def create(
        self,
        name: str,
        *,
        at: dt.datetime | None = None,
        list_id: str = "",
        is_ours: bool = False,
    ) -> CustomerList:
        """Make a list; its id is invented when none is given."""
        self._made += 1
        made_ms = epoch_ms(at) if at is not None else 0
        made = CustomerList(
            id=list_id or ulid(made_ms, self._made, 0x115715),
            name=name,
            created_at=written(at) if at is not None else "",
            is_ours=is_ours,
        )
        self.lists[made.id] = made
        return made

    def memberships_of(self, customer_id: str) -> list[dict[str, str]]:
        """Return the lists that a customer is in, in short form."""
        return [
            {"id": each.id, "name": each.name}
            for each in self.lists.values()
            if customer_id in each.members
        ]

    def set_memberships(
        self, customer_id: str, lists: Iterable[dict[str, str]], *, at: dt.datetime
    ) -> None:
        """Put a customer in some lists, which are made when needed, and in no others."""
        wanted = {each["id"]: each.get("name", each["id"]) for each in lists}
        for each in self.lists.values():
            if each.id not in wanted:
                each.members.pop(customer_id, None)
        for list_id, name in wanted.items():
            each = self.lists.get(list_id) or self.create(name, at=at, list_id=list_id)
            each.members.setdefault(customer_id, written(at))

    def forget(self, customer_ids: Iterable[str]) -> None:
        """Take deleted customers off every list."""
        gone = list(customer_ids)
        for each in self.lists.values():
            for customer_id in gone:
                each.members.pop(customer_id, None)
