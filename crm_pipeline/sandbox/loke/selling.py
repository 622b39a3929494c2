"""Payments and orders happen at the fake LOKE, and its subscribers hear of them."""

from typing import Any

from crm_pipeline.sandbox.loke.customers import tiny
from crm_pipeline.sandbox.loke.events import order_part, payment_part, statistics_part
from crm_pipeline.sandbox.loke.rows import Row, written
from crm_pipeline.sandbox.loke.sales import OrderStep
from crm_pipeline.sandbox.loke.state import LokeState
from crm_pipeline.sandbox.loke.tenants import Tenant
from crm_pipeline.sandbox.loke.till import Order, Payment

#: Points for a whole unit of the currency; the vendor's rule is each shop's own.
_SMALLEST_UNITS_PER_POINT = 100


class Selling(LokeState):
    """The state, and everything that has to do with money."""

    def payments(self, organisation: str) -> list[Payment]:
        """Return all payments, newest first."""
        with self.lock:
            store = self.tenant(organisation).payments
            return [store.row(index) for index in store.orders["created"].from_offset(0)]

    def payment(self, organisation: str, payment_id: str) -> Payment | None:
        """Return one payment."""
        with self.lock:
            return self.tenant(organisation).payments.find(payment_id)

    def order(self, organisation: str, order_id: str) -> Order | None:
        """Return one order."""
        with self.lock:
            return self.tenant(organisation).orders.find(order_id)

    def complete_payment(
        self,
        organisation: str,
        *,
        customer: str | None = None,
        location: str | None = None,
        total: int | None = None,
        fields: dict[str, Any] | None = None,
    ) -> Payment:
        """Complete a payment: payment.completed, and customer.updated-statistics with it.

        ``customer`` and ``location`` are ids, None for any, "" for none. ``total`` is in the
        smallest unit; what is left out is invented, and ``fields`` overrule everything. Raises
        KeyError for a customer or location that does not exist.
        """
        with self.lock:
            tenant = self.tenant(organisation)
            payment = tenant.payments.complete(
                at=self.clock(),
                customer=self._buyer(tenant, customer),
                location_id=self._place(tenant, location),
                total=total,
                fields=fields or {},
            )
            self._tell_payment(tenant, "payment.completed", payment)
            self._earn(tenant, payment, payment.get("total", 0))
            return payment

    def refund(self, organisation: str, payment_id: str, *, amount: int | None = None) -> Payment:
        """Refund a payment, whole or in part: payment.refunded, and the statistics.

        ``amount`` is in the smallest unit. Raises KeyError or ValueError when it cannot be.
        """
        with self.lock:
            tenant = self.tenant(organisation)
            payment = tenant.payments.refund(payment_id, at=self.clock(), amount=amount)
            self._tell_payment(tenant, "payment.refunded", payment)
            self._earn(tenant, payment, -(amount or payment.get("total", 0)))
            return payment

    def place_order(
        self,
        organisation: str,
        *,
        customer: str | None = None,
        location: str | None = None,
        total: int | None = None,
        paid: bool = False,
    ) -> Order:
        """Place an order: order.created. One that is ``paid`` completes a payment as well."""
        with self.lock:
            tenant = self.tenant(organisation)
            place = self._place(tenant, location) or tenant.locations[0]["id"]
            buyer = self._buyer(tenant, customer)
            order, sketch = tenant.orders.place(
                at=self.clock(), location_id=place, customer=buyer, total=total
            )
            self._tell_order(tenant, "order.created", order)
            if paid:
                kept = ("id", "createdAt", "completedAt", "updatedAt", "refundedAt", "state")
                fields = {name: value for name, value in sketch.items() if name not in kept}
                payment = self.complete_payment(
                    organisation,
                    customer=buyer["id"] if buyer else "",
                    location=place,
                    fields={
                        **fields,
                        "customer": buyer,
                        "locationId": place,
                        "billingType": "order/pickup",
                        "refId": order["id"],
                    },
                )
                tenant.orders.payments[order["id"]] = payment["id"]
            return order

    def accept_order(self, organisation: str, order_id: str) -> Order:
        """Accept an order: order.accepted. Raises KeyError when there is none."""
        return self._move_order(organisation, order_id, "accepted")

    def complete_order(self, organisation: str, order_id: str) -> Order:
        """Complete an order: order.completed. Raises KeyError when there is none."""
        return self._move_order(organisation, order_id, "completed")

    def reject_order(self, organisation: str, order_id: str) -> Order:
        """Reject an order: order.rejected, and the refund when it was paid.

        Raises KeyError when there is none.
        """
        with self.lock:
            order = self._move_order(organisation, order_id, "rejected")
            tenant = self.tenant(organisation)
            payment_id = tenant.orders.payments.pop(order_id, None)
            if payment_id is not None:
                self.refund(organisation, payment_id)
            return order

    def update_statistics(
        self,
        organisation: str,
        customer_id: str,
        *,
        fields: dict[str, Any] | None = None,
        bump: bool | None = None,
    ) -> Row:
        """Change a customer's statistics: customer.updated-statistics.

        Without ``fields`` some points are earned. ``bump`` says whether ``updatedAt`` moves; None
        leaves that to the switch ``statistics_bump``. Raises KeyError for an unknown customer.
        """
        with self.lock:
            tenant = self.tenant(organisation)
            index = tenant.store.index_of(customer_id)
            if index is None:
                raise KeyError(f"there is no customer {customer_id!r}")
            known = tenant.store.row(index).get("statistics") or {}
            changes = fields if fields is not None else _totals(known, 1_000)
            moves = self.switches.statistics_bump if bump is None else bump
            [(_, row)] = tenant.store.mutate(
                [customer_id],
                at=self.clock() if moves else None,
                fields={"statistics": changes},
                seed=0,
            )
            self._tell_statistics(tenant, row)
            return row

    def _move_order(self, organisation: str, order_id: str, step: OrderStep) -> Order:
        with self.lock:
            tenant = self.tenant(organisation)
            order = tenant.orders.move(order_id, step, at=self.clock())
            self._tell_order(tenant, f"order.{step}", order)
            return order

    def _earn(self, tenant: Tenant, payment: Payment, amount: int) -> None:
        """Count what was spent, or given back, among the customer's statistics."""
        customer_id = (payment.get("customer") or {}).get("id", "")
        customer = tenant.store.find(customer_id)
        if customer is None or not self.switches.payments_earn:
            return
        changes = _totals(customer.get("statistics") or {}, amount)
        if amount > 0:
            moment = payment.get("completedAt") or written(self.clock())
            changes |= {"lastSpentAt": moment, "lastPointsEarnedAt": moment}
        self.update_statistics(tenant.organisation.id, customer_id, fields=changes)

    def _buyer(self, tenant: Tenant, customer_id: str | None) -> Row | None:
        if customer_id == "":
            return None
        if customer_id is None:
            picked = tenant.store.pick(1, "any", seed=tenant.payments.next_index)
            if not picked:
                return None
            customer_id = picked[0]
        customer = tenant.store.find(customer_id)
        if customer is None:
            raise KeyError(f"there is no customer {customer_id!r}")
        return tiny(customer)

    def _place(self, tenant: Tenant, location_id: str | None) -> str | None:
        if location_id == "":
            return None
        if location_id is None:
            number = tenant.payments.next_index % len(tenant.locations)
            location_id = tenant.locations[number]["id"]
        if tenant.location(location_id) is None:
            raise KeyError(f"there is no location {location_id!r}")
        return location_id

    def _tell_payment(self, tenant: Tenant, event: str, payment: Payment) -> None:
        if self._wants(tenant, event):
            location = tenant.location(payment.get("locationId"))
            self._emit(tenant, event, payment_part(payment, location, self.switches))

    def _tell_order(self, tenant: Tenant, event: str, order: Order) -> None:
        if self._wants(tenant, event):
            location = tenant.location(tenant.orders.location_of(order["id"]))
            self._emit(tenant, event, order_part(order, location, self.switches))

    def _tell_statistics(self, tenant: Tenant, customer: Row) -> None:
        event = "customer.updated-statistics"
        if self._wants(tenant, event):
            self._emit(tenant, event, statistics_part(customer, self.switches))


def _totals(known: Row, amount: int) -> Row:
    """Return statistics after spending an amount, or after getting it back (negative)."""
    points = abs(amount) // _SMALLEST_UNITS_PER_POINT * (1 if amount >= 0 else -1)
    return {
        "pointsBalance": known.get("pointsBalance", 0) + points,
        "totalPointsEarned": known.get("totalPointsEarned", 0) + points,
        "totalSpend": known.get("totalSpend", 0) + amount,
    }
