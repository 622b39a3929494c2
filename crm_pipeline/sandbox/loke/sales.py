"""The payments and orders that one organisation has.

Here: what exists, and the moves from one state to the next. Not here: HTTP, webhooks (``vendor``).
"""

import datetime as dt
from typing import Any, Literal

from crm_pipeline.sandbox.loke.menu import single_item
from crm_pipeline.sandbox.loke.ordering import by_change, by_creation
from crm_pipeline.sandbox.loke.rows import Row, RowStore, as_ms, epoch_ms, merge, written
from crm_pipeline.sandbox.loke.till import Order, Payment, Till, payment_amounts

OrderStep = Literal["accepted", "rejected", "completed"]


class PaymentStore(RowStore):
    """All payments of one organisation."""

    def __init__(self, till: Till, count: int) -> None:
        """Begin with the first ``count`` payments of the till."""
        self.till = till
        super().__init__(
            count,
            till.payment,
            lambda payment_id: till.index_of("payment", payment_id),
            {"created": by_creation(count), "updated": by_change(till.timeline, count)},
        )

    def is_at(self, index: int, location_id: str) -> bool:
        """Say whether a payment was made at a location."""
        if self.is_changed(index):
            return self.row(index).get("locationId") == location_id
        return self.till.location_of(index) == location_id

    def complete(
        self,
        *,
        at: dt.datetime,
        customer: Row | None,
        location_id: str | None,
        total: int | None,
        fields: dict[str, Any],
    ) -> Payment:
        """Add a payment that was just completed; what is not said is invented."""
        payment = self.till.payment(self.next_index)
        for name in ("refundedAt", "customer", "locationId"):
            payment.pop(name, None)
        now = written(at)
        payment |= {"state": "COMPLETED", "createdAt": now, "completedAt": now, "updatedAt": now}
        if location_id is not None:
            payment["locationId"] = location_id
        if customer is not None:
            payment["customer"] = customer
        if total is not None:
            payment |= payment_amounts(total, charged=total)
            payment["items"] = [single_item(total)]
        merge(payment, fields)
        self.insert(
            payment,
            created_ms=as_ms(payment.get("createdAt") or at),
            updated_ms=as_ms(payment.get("updatedAt") or at),
        )
        return payment

    def refund(self, payment_id: str, *, at: dt.datetime, amount: int | None) -> Payment:
        """Refund a payment, all of it when ``amount`` is None.

        Raises KeyError when there is none, ValueError when it was refunded before or is smaller.
        """
        index = self.index_of(payment_id)
        if index is None:
            raise KeyError(f"there is no payment {payment_id!r}")
        payment = dict(self.row(index))
        if "refundedAt" in payment:
            raise ValueError(f"payment {payment_id!r} was refunded before")
        if amount is not None:
            if not 0 < amount <= payment.get("total", 0):
                raise ValueError("a refund is more than nothing and at most the payment's total")
            payment["refundedAmount"] = amount
        now = written(at)
        payment |= {"state": "REFUNDED", "refundedAt": now, "updatedAt": now}
        self.replace(index, payment, updated_ms=epoch_ms(at))
        return payment


class OrderStore(RowStore):
    """All orders of one organisation, newest first; LOKE shows them by location only."""

    def __init__(self, till: Till, count: int) -> None:
        """Begin with the orders among the first ``count`` payments of the till."""
        self.till = till
        #: Where the orders are that were placed later.
        self.places: dict[str, str] = {}
        #: The payment of an order that was paid, by order.
        self.payments: dict[str, str] = {}
        super().__init__(count, till.order, self._index_in_till, {"created": by_creation(count)})

    def is_at(self, index: int, location_id: str) -> bool:
        """Say whether an index is an order, and at a location."""
        if index >= self.base_count:
            return self.places[self.row(index)["id"]] == location_id
        return self.till.is_order(index) and self.till.location_of(index) == location_id

    def location_of(self, order_id: str) -> str | None:
        """Return where an order was placed, None when there is no such order."""
        index = self.index_of(order_id)
        if index is None:
            return None
        return self.places.get(order_id) or self.till.location_of(index)

    def place(
        self, *, at: dt.datetime, location_id: str, customer: Row | None, total: int | None
    ) -> tuple[Order, Payment]:
        """Add an order; returns it and a sketch of the payment that would pay for it."""
        index = self.next_index
        sketch = self.till.payment(index)
        if total is not None:
            sketch |= payment_amounts(total, charged=total)
            sketch["items"] = [single_item(total)]
        order: Order = {
            "id": self.till.id_of("order", index),
            "status": "CREATED",
            "createdAt": written(at),
        }
        if customer is not None:
            order["customer"] = customer
        order["cart"] = self.till.cart(index, sketch, epoch_ms(at))
        self.places[order["id"]] = location_id
        self.insert(order, created_ms=epoch_ms(at), updated_ms=epoch_ms(at))
        return order, sketch

    def move(self, order_id: str, step: OrderStep, *, at: dt.datetime) -> Order:
        """Accept, reject or complete an order. Raises KeyError when there is none."""
        index = self.index_of(order_id)
        if index is None:
            raise KeyError(f"there is no order {order_id!r}")
        order = dict(self.row(index))
        order |= {"status": step.upper(), f"{step}At": written(at)}
        self.replace(index, order, updated_ms=None)
        return order

    def _index_in_till(self, order_id: str) -> int | None:
        index = self.till.index_of("order", order_id)
        if index is None or not (index < self.base_count and self.till.is_order(index)):
            return None
        return index
