"""Purchases and ad hoc returns as they are kept, with their indexes. Amounts are integers.

Nothing is ever removed, so a purchase's place in the list (``serial``) is its name in the indexes.
A hundred thousand of them are read in slices or through an index, never walked for one page.

Here: keeping and finding. Not here: what a purchase does to a wallet (``trade``), HTTP.
"""

import bisect
import dataclasses
import random
from decimal import Decimal
from typing import Literal

from crm_pipeline.sandbox.crm_com.contacts import new_id

State = Literal["POSTED", "CANCELLED"]


@dataclasses.dataclass(frozen=True, slots=True)
class Amounts:
    """The sums of a purchase, in the smallest unit of its currency; net + tax = total."""

    net: int
    tax: int
    discount: int
    total: int


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """One product of a purchase; amounts that were not sent are None."""

    product_id: str
    quantity: Decimal
    net: int | None
    tax: int | None
    total: int | None


@dataclasses.dataclass(frozen=True, slots=True)
class Returned:
    """What came back: ``goods`` in the purchase's currency, ``debited`` from the wallet."""

    goods: int
    debited: int


@dataclasses.dataclass(slots=True, kw_only=True)
class Purchase:
    """A purchase, or an ad hoc return when ``returned`` is set.

    ``award`` and ``spend`` are in the smallest unit of the business's currency.
    """

    id: str
    serial: int
    reference_number: str
    #: Epoch seconds: when it happened, when we were told (to the thousandth).
    date: int
    created_at: float
    contact_id: str | None
    organisation_id: str
    tap_code: str | None
    classification_id: str | None
    currency: str
    amounts: Amounts
    rate: Decimal
    state: State = "POSTED"
    lines: tuple[Line, ...] = ()
    payment_medium_identifier: str = ""
    notes: str = ""
    asked_spend: int | None = None
    award: int = 0
    spend: int = 0
    returned: Returned | None = None

    @property
    def code(self) -> str:
        """Return the number that CRM.COM gives every event."""
        return f"{self.serial + 1:016d}"


class PurchaseStore:
    """The purchases of one business, in the order in which they came."""

    def __init__(self, seed: str) -> None:
        """Start empty."""
        self._chance = random.Random(seed)
        self._rows: list[Purchase] = []
        self._by_id: dict[str, Purchase] = {}
        self._by_reference: dict[str, list[int]] = {}
        self._by_contact: dict[str, list[int]] = {}
        #: Reference numbers in small letters, to be searched.
        self._texts: list[str] = []
        #: Date and serial, sorted.
        self._by_date: list[tuple[int, int]] = []

    def __len__(self) -> int:
        """Count purchases and returns."""
        return len(self._rows)

    def free_id(self, wanted: str | None) -> str:
        """Return the id wanted, or another one when it is taken or none was given."""
        if wanted is None or wanted in self._by_id:
            return new_id(self._chance)
        return wanted

    def add(self, purchase: Purchase) -> None:
        """Keep a purchase whose serial is the present count."""
        self._rows.append(purchase)
        self._by_id[purchase.id] = purchase
        self._texts.append(purchase.reference_number.lower())
        if purchase.reference_number:
            self._by_reference.setdefault(purchase.reference_number, []).append(purchase.serial)
        if purchase.contact_id:
            self._by_contact.setdefault(purchase.contact_id, []).append(purchase.serial)
        bisect.insort(self._by_date, (purchase.date, purchase.serial))

    def give_to(self, purchase: Purchase, contact_id: str) -> None:
        """Write down whose purchase it is."""
        purchase.contact_id = contact_id
        bisect.insort(self._by_contact.setdefault(contact_id, []), purchase.serial)

    def find(self, reference: str) -> Purchase | None:
        """Return a purchase by id or by code."""
        found = self._by_id.get(reference)
        if found is None and len(reference) == 16 and reference.isdecimal():
            serial = int(reference) - 1
            found = self._rows[serial] if 0 <= serial < len(self._rows) else None
        return found

    def with_reference(self, reference_number: str) -> list[Purchase]:
        """Return purchases and returns with a reference number, oldest first."""
        return [self._rows[serial] for serial in self._by_reference.get(reference_number, ())]

    def of_contact(self, contact_id: str) -> list[Purchase]:
        """Return a contact's purchases, oldest first."""
        return [self._rows[serial] for serial in self._by_contact.get(contact_id, ())]

    def between(self, first: int, last: int) -> list[Purchase]:
        """Return the purchases of some seconds, both ends included, in the order they came.

        The list is not to be changed.
        """
        low = bisect.bisect_left(self._by_date, (first, -1))
        high = bisect.bisect_right(self._by_date, (last, len(self._rows)))
        if high - low == len(self._rows):
            return self._rows
        serials = sorted(serial for _, serial in self._by_date[low:high])
        return [self._rows[serial] for serial in serials]

    def all(self) -> list[Purchase]:
        """Return all of them, oldest first; the list is not to be changed."""
        return self._rows

    def containing(self, part: str) -> list[Purchase]:
        """Return purchases whose reference number contains a text, case ignored, oldest first."""
        part = part.lower()
        return [self._rows[serial] for serial, text in enumerate(self._texts) if part in text]
