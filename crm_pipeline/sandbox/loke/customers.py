"""The customers of one organisation: a computed base and an overlay of what was changed.

Here: reading rows in order, finding, changing, adding, removing. Not here: HTTP (``routes``).
"""

import datetime as dt
import itertools
import random
from collections.abc import Iterable
from typing import Any, Literal

from crm_pipeline.sandbox.loke.ordering import Key, Ordering
from crm_pipeline.sandbox.people import Customer, People, iso, ulid
from crm_pipeline.sandbox.timeline import BLOCK, Timeline, ranks_newest_first
from crm_pipeline.sandbox.wire import parse_moment

Sort = Literal["created", "updated"]
Pick = Literal["any", "newest", "oldest"]


def _epoch_ms(moment: dt.datetime) -> int:
    return int(moment.timestamp()) * 1000 + moment.microsecond // 1000


def _as_ms(value: dt.datetime | str) -> int:
    return _epoch_ms(parse_moment(value) if isinstance(value, str) else value)


class CustomerStore:
    """Everybody whom one organisation knows."""

    def __init__(self, people: People, count: int) -> None:
        """Begin with the first ``count`` people."""
        self.people = people
        self.version = 0
        self._base_count = count
        self._next_index = count
        self._rows: dict[int, Customer] = {}
        self._deleted: set[int] = set()
        self._given_ids: dict[str, int] = {}
        self.orders: dict[Sort, Ordering] = {
            "created": self._order_by_creation(),
            "updated": self._order_by_change(),
        }

    def __len__(self) -> int:
        """Count the customers."""
        return len(self.orders["updated"])

    def row(self, index: int) -> Customer:
        """Return a customer that exists."""
        return self._rows.get(index) or self.people.person(index)

    def find(self, customer_id: str) -> Customer | None:
        """Return a customer by id."""
        index = self._index(customer_id)
        return None if index is None else self.row(index)

    def search(self, email: str | None, phone: str | None, sort: Sort) -> list[Customer]:
        """Return those with an e-mail address (case ignored) and a phone number (exact)."""
        indices = set(self._rows)
        for index in self.people.candidates(email, phone):
            if index < self._base_count and index not in self._deleted:
                indices.add(index)
        wanted = email.lower() if email else None
        found: list[int] = []
        for index in indices:
            row = self.row(index)
            has_email = wanted is None or row.get("email", "").lower() == wanted
            if has_email and (not phone or row.get("phoneNumber") == phone):
                found.append(index)
        found.sort(key=self.orders[sort].key_of)
        return [self.row(index) for index in found]

    def pick(self, count: int, how: Pick, seed: int) -> list[str]:
        """Choose customers; fewer when there are not so many."""
        order, total = self.orders["updated"], len(self)
        count = min(count, total)
        if how == "any":
            places = random.Random(seed).sample(range(total), count)
            chosen = [next(order.from_offset(place)) for place in places]
        else:
            first = 0 if how == "newest" else total - count
            chosen = list(itertools.islice(order.from_offset(first), count))
        return [self.row(index)["id"] for index in chosen]

    def mutate(
        self,
        ids: Iterable[str],
        *,
        at: dt.datetime | str | None,
        fields: dict[str, Any] | None,
        seed: int,
    ) -> list[str]:
        """Change customers; ``at`` None leaves ``updatedAt`` as it is. Unknown ids are skipped."""
        chance = random.Random(seed)
        changed: list[str] = []
        for customer_id in ids:
            index = self._index(customer_id)
            if index is None:
                continue
            row = dict(self.row(index))
            _apply(row, fields if fields is not None else _small_change(row, chance))
            if at is not None:
                row["updatedAt"] = _written(at)
            self._place(index, row, None if at is None else _as_ms(at))
            changed.append(customer_id)
        self.version += 1
        return changed

    def add(self, rows: Iterable[dict[str, Any]], *, at: dt.datetime) -> list[str]:
        """Add customers; what a row leaves out is invented, id and times included.

        A member given as null is left out of the customer.
        """
        added: list[str] = []
        for given in rows:
            index = self._next_index
            self._next_index += 1
            row = self.people.person(index)
            row["id"] = ulid(_epoch_ms(at), index, 0)
            row["createdAt"] = row["updatedAt"] = iso(_epoch_ms(at), with_ms=False)
            _apply(row, given)
            updated_ms = _as_ms(row.get("updatedAt") or at)
            created_ms = _as_ms(row.get("createdAt") or at)
            self._given_ids[row["id"]] = index
            self._rows[index] = row
            self.orders["updated"].put(index, (-updated_ms, -index))
            self.orders["created"].put(index, (-created_ms, -index))
            added.append(row["id"])
        self.version += 1
        return added

    def delete(self, ids: Iterable[str]) -> list[str]:
        """Remove customers; unknown ids are skipped."""
        removed: list[str] = []
        for customer_id in ids:
            index = self._index(customer_id)
            if index is None:
                continue
            for order in self.orders.values():
                order.take_out(index)
            self._rows.pop(index, None)
            self._given_ids.pop(customer_id, None)
            self._deleted.add(index)
            removed.append(customer_id)
        self.version += 1
        return removed

    def _index(self, customer_id: str) -> int | None:
        if customer_id in self._given_ids:
            return self._given_ids[customer_id]
        index = self.people.index_of_id(customer_id)
        if index is None or index >= self._base_count or index in self._deleted:
            return None
        return index

    def _place(self, index: int, row: Customer, updated_ms: int | None) -> None:
        for sort, order in self.orders.items():
            key = order.key_of(index)
            if sort == "updated" and updated_ms is not None:
                key = (-updated_ms, -index)
            order.take_out(index)
            order.put(index, key)
        self._rows[index] = row

    def _order_by_creation(self) -> Ordering:
        last = self._base_count - 1

        def key(index: int) -> Key:
            return -Timeline.joined_ms(index), -index

        return Ordering(self._base_count, lambda at: last - at, lambda at: last - at, key)

    def _order_by_change(self) -> Ordering:
        timeline, count = self.people.timeline, self._base_count
        newest = ranks_newest_first(timeline, count)
        place = {rank: position for position, rank in enumerate(newest)}
        last = count // BLOCK * BLOCK - 1 + len(newest)

        def index_at(position: int) -> int:
            rank = newest[position] if position < len(newest) else last - position
            return timeline.index_at_rank(rank)

        def position_of(index: int) -> int:
            rank = timeline.rank_of(index)
            return place[rank] if rank in place else last - rank

        def key(index: int) -> Key:
            return -Timeline.changed_ms(timeline.rank_of(index)), -index

        return Ordering(count, index_at, position_of, key)


def _written(at: dt.datetime | str) -> str:
    if isinstance(at, str):
        return at
    return iso(_epoch_ms(at), with_ms=at.microsecond >= 1000)


def _apply(row: Customer, fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if value is None:
            row.pop(name, None)
        elif name == "statistics" and isinstance(value, dict):
            statistics = dict(row.get("statistics") or {})
            _apply(statistics, value)
            row["statistics"] = statistics
        else:
            row[name] = value


def _small_change(row: Customer, chance: random.Random) -> dict[str, Any]:
    """Change what concerns this customer alone; a phone or e-mail may be shared with others."""
    kind = chance.randrange(4)
    if kind == 0:
        return {"hasAgreedToMarketing": not row.get("hasAgreedToMarketing", False)}
    if kind == 1:
        return {"lastName": f"{row['lastName']}-{chance.choice(('Lee', 'Stone', 'Núñez'))}"}
    if kind == 2:
        return {"dob": f"{chance.randrange(1950, 2005)}-{chance.randrange(1, 13):02d}-11"}
    earned = (row.get("statistics") or {}).get("totalPointsEarned", 0) + chance.randrange(1, 500)
    return {"statistics": {"pointsBalance": earned, "totalPointsEarned": earned}}
