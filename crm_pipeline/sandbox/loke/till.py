"""Invented payments and orders: the same for the same (seed, organisation, index), made on demand.

They have what real ones have: nobody named, no location, options with choices, tips, discounts
that do not add up, credit, what was paid elsewhere, refunds. A payment for an order has the order
of the same index.

Here: one payment or order as LOKE would answer it. Not here: which ones exist (``sales``).
"""

import hashlib
import struct
import uuid
from typing import Any

from crm_pipeline.sandbox.loke.customers import tiny
from crm_pipeline.sandbox.loke.menu import basket, cart_items, line_total
from crm_pipeline.sandbox.loke.places import Location
from crm_pipeline.sandbox.people import People, iso
from crm_pipeline.sandbox.timeline import Timeline

Payment = dict[str, Any]
Order = dict[str, Any]

_DRAWS = struct.Struct("<16I")
#: Cumulated shares, out of 100, of the kinds of payment. The vendor's list is not known.
_BILLING = ((45, "order/pickup"), (55, "order/delivery"), (100, "instore/pay"))
_PAID_AFTER_MS = 13_000


class Till:
    """The endless row of payments of one organisation."""

    def __init__(
        self, people: People, customers: int, locations: list[Location], currency: str, seed: int
    ) -> None:
        """Sell to the first ``customers`` people."""
        text = f"{seed}:{people.id_of(0)}:till"
        self._key = hashlib.blake2b(text.encode(), digest_size=32).digest()
        self._mask = int.from_bytes(self._key[:4], "little")
        self.timeline = Timeline(int.from_bytes(self._key[8:16], "little"))
        self._people = people
        self._customers = customers
        self._locations = locations
        self._currency = currency

    def id_of(self, kind: str, index: int) -> str:
        """Return the id of a payment, order or cart."""
        mark = hashlib.blake2b(f"{kind}:{index}".encode(), key=self._key, digest_size=12).digest()
        raw = mark + (index ^ self._mask).to_bytes(4, "little")
        return str(uuid.UUID(bytes=raw, version=4))

    def index_of(self, kind: str, row_id: str) -> int | None:
        """Return the index that an id belongs to, None when it is nothing's."""
        try:
            raw = uuid.UUID(row_id).bytes
        except ValueError:
            return None
        index = int.from_bytes(raw[12:], "little") ^ self._mask
        return index if self.id_of(kind, index) == row_id else None

    def location_of(self, index: int) -> str | None:
        """Return where a payment was made; None when LOKE does not know."""
        return self._location(self._draws(index))

    def is_order(self, index: int) -> bool:
        """Say whether a payment pays for an order at a location."""
        draws = self._draws(index)
        return _billing(draws).startswith("order/") and self._location(draws) is not None

    def payment(self, index: int) -> Payment:
        """Return a payment."""
        draws, rank = self._draws(index), self.timeline.rank_of(index)
        created_ms = Timeline.joined_ms(index)
        has_ms = People.shows_ms(rank, draws[5])
        changed = iso(self.timeline.changed_ms(rank), with_ms=has_ms)
        is_refunded = draws[6] % 100 < 5
        payment: Payment = {
            "id": self.id_of("payment", index),
            "billingType": _billing(draws),
            "state": "REFUNDED" if is_refunded else "COMPLETED",
            "createdAt": iso(created_ms, with_ms=False),
            "completedAt": iso(created_ms + _PAID_AFTER_MS, with_ms=False),
            "currency": self._currency,
        }
        if is_refunded:
            payment["refundedAt"] = changed
        if is_refunded or draws[6] // 100 % 100:
            payment["updatedAt"] = changed
        location = self._location(draws)
        if location is not None:
            payment["locationId"] = location
        if draws[7] % 100 < 70:
            payment["refId"] = f"POS-{draws[7] // 100 % 100_000:05d}"
        items = basket(draws)
        payment |= _amounts(line_total(items), draws)
        customer = self._customer(index, draws)
        if customer is not None:
            payment["customer"] = customer
        payment["items"] = items
        return payment

    def order(self, index: int) -> Order:
        """Return the order that a payment paid for."""
        payment, minute_ms = self.payment(index), 60_000
        created_ms = Timeline.joined_ms(index)
        order: Order = {
            "id": self.id_of("order", index),
            "status": "COMPLETED",
            "createdAt": payment["createdAt"],
        }
        if "refundedAt" in payment:
            order |= {"status": "REJECTED", "rejectedAt": payment["refundedAt"]}
        else:
            order["acceptedAt"] = iso(created_ms + minute_ms, with_ms=False)
            order["completedAt"] = iso(created_ms + 15 * minute_ms, with_ms=False)
        if "customer" in payment:
            order["customer"] = payment["customer"]
        order["cart"] = self.cart(index, payment, created_ms - minute_ms)
        return order

    def cart(self, index: int, payment: Payment, created_ms: int) -> dict[str, Any]:
        """Return the cart of an order over what a payment paid for."""
        discount = payment["discountAmount"]
        cart: dict[str, Any] = {
            "id": self.id_of("cart", index),
            "createdAt": iso(created_ms, with_ms=False),
            "currency": payment["currency"],
            "fulfillAt": iso(created_ms + 900_000, with_ms=True),
            "adjustments": [],
            "items": cart_items(payment["items"]),
        }
        if discount:
            cart["adjustments"].append(
                {
                    "id": "DISC009",
                    "label": "Morning deal",
                    "amount": -discount,
                    "taxIncluded": -(discount // 11),
                }
            )
        if payment["billingType"] == "order/delivery":
            cart["deliveryAddress"] = {
                "apartment": "",
                "streetAddress": f"{1 + index % 200} Example Street",
                "locality": "Southbank",
                "region": "Victoria",
                "postcode": "3006",
                "country": "Australia",
                "coords": {"latitude": -37.82, "longitude": 144.96},
            }
        return cart

    def _draws(self, index: int) -> tuple[int, ...]:
        digest = hashlib.blake2b(index.to_bytes(8, "little"), key=self._key).digest()
        return _DRAWS.unpack(digest)

    def _location(self, draws: tuple[int, ...]) -> str | None:
        if draws[8] % 100 < 3 or not self._locations:
            return None
        location_id: str = self._locations[draws[8] // 100 % len(self._locations)]["id"]
        return location_id

    def _customer(self, index: int, draws: tuple[int, ...]) -> dict[str, Any] | None:
        """Return who paid: somebody who had joined by then, or nobody."""
        known = min(index + 1, self._customers)
        if draws[9] % 100 < 12 or not known:
            return None
        return tiny(self._people.person(draws[9] // 100 % known))


def _billing(draws: tuple[int, ...]) -> str:
    return next(name for upto, name in _BILLING if draws[10] % 100 < upto)


def _amounts(lines: int, draws: tuple[int, ...]) -> dict[str, int]:
    """Return how a basket was paid. The parts need not add up to the total: LOKE's do not."""
    tip = lines // 10 if draws[11] % 100 < 15 else 0
    total = lines + tip
    discount = lines // 10 if draws[12] % 100 < 20 else 0
    if draws[12] % 100 < 1:
        discount = total
    credit = min(500, total - discount) if draws[13] % 100 < 10 else 0
    rest = total - discount - credit
    external = rest if draws[14] % 100 < 6 else 0
    charged = rest - external
    if discount and draws[12] // 100 % 3 == 0:
        charged += discount // 2
    return payment_amounts(
        total, charged=charged, credit=credit, discount=discount, external=external, tip=tip
    )


def payment_amounts(
    total: int,
    *,
    charged: int,
    credit: int = 0,
    discount: int = 0,
    external: int = 0,
    tip: int = 0,
) -> dict[str, int]:
    """Return the members of a payment that are amounts."""
    fee = charged * 15 // 1000
    return {
        "total": total,
        "chargedAmount": charged,
        "creditAmount": credit,
        "discountAmount": discount,
        "externalAmount": external,
        "feeAmount": fee,
        "tipAmount": tip,
        "payoutAmount": charged - fee,
    }
