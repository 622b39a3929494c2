"""The customers of one organisation.

Here: finding, changing, adding, removing. Not here: HTTP (``routes``), order (``ordering``).
"""

import datetime as dt
import random
from collections.abc import Iterable
from typing import Any

from crm_pipeline.sandbox.loke.ordering import Sort, by_change, by_creation
from crm_pipeline.sandbox.loke.rows import RowStore, as_ms, epoch_ms, merge, written
from crm_pipeline.sandbox.people import Customer, People, iso, ulid


class CustomerStore(RowStore):
    """Everybody whom one organisation knows."""

    def __init__(self, people: People, count: int) -> None:
        """Begin with the first ``count`` people."""
        self.people = people
        super().__init__(
            count,
            people.person,
            people.index_of_id,
            {"created": by_creation(count), "updated": by_change(people.timeline, count)},
        )

    def search(self, email: str | None, phone: str | None, sort: Sort) -> list[Customer]:
        """Return those with an e-mail address (case ignored) and a phone number (exact)."""
        indices = self.changed
        indices.update(filter(self.has, self.people.candidates(email, phone)))
        wanted = email.lower() if email else None
        found: list[int] = []
        for index in indices:
            row = self.row(index)
            has_email = wanted is None or row.get("email", "").lower() == wanted
            if has_email and (not phone or row.get("phoneNumber") == phone):
                found.append(index)
        found.sort(key=self.orders[sort].key_of)
        return [self.row(index) for index in found]

    def mutate(
        self,
        ids: Iterable[str],
        *,
        at: dt.datetime | str | None,
        fields: dict[str, Any] | None,
        seed: int,
    ) -> list[tuple[Customer, Customer]]:
        """Change customers and return each before and after.

        ``at`` None leaves ``updatedAt`` as it is. Unknown ids are skipped.
        """
        chance = random.Random(seed)
        changed: list[tuple[Customer, Customer]] = []
        for customer_id in ids:
            index = self.index_of(customer_id)
            if index is None:
                continue
            before = self.row(index)
            row = dict(before)
            merge(row, fields if fields is not None else _small_change(row, chance))
            if at is not None:
                row["updatedAt"] = written(at)
            self.replace(index, row, updated_ms=None if at is None else as_ms(at))
            changed.append((before, row))
        return changed

    def add(self, rows: Iterable[dict[str, Any]], *, at: dt.datetime) -> list[str]:
        """Add customers; what a row leaves out is invented, id and times included.

        A member given as null is left out of the customer.
        """
        added: list[str] = []
        for given in rows:
            index = self.next_index
            row = self.people.person(index)
            row["id"] = ulid(epoch_ms(at), index, 0)
            row["createdAt"] = row["updatedAt"] = iso(epoch_ms(at), with_ms=False)
            merge(row, given)
            self.insert(
                row,
                created_ms=as_ms(row.get("createdAt") or at),
                updated_ms=as_ms(row.get("updatedAt") or at),
            )
            added.append(row["id"])
        return added

    def delete(self, ids: Iterable[str]) -> list[str]:
        """Remove customers; unknown ids are skipped."""
        return [customer_id for customer_id in ids if self.remove(customer_id)]


def tiny(customer: Customer) -> Customer:
    """Return LOKE's short form of a customer."""
    names = ("id", "firstName", "lastName", "email", "phoneNumber")
    return {name: customer[name] for name in names if name in customer}


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
