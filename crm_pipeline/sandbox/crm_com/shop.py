"""What tests and admin calls do to the products and orders of one key, and who is told of orders.

In a test::

    shop = Shop(sandbox.crm_com, "harbour-coffee")
    shop.subscribe(url)
    order = shop.place_order([("SKU-1", 2, 500)], contact="loke:01F...")
    sandbox.crm_com.hooks.flush()

Here: orders by other hands, webhooks, the end of processes. Not here: money (``desk``).
"""

from collections.abc import Iterable
from decimal import Decimal
from typing import Any

from crm_pipeline.sandbox.crm_com.business import Business
from crm_pipeline.sandbox.crm_com.failures import not_found
from crm_pipeline.sandbox.crm_com.money import answer_of
from crm_pipeline.sandbox.crm_com.order_views import order_in_detail
from crm_pipeline.sandbox.crm_com.orders import Order
from crm_pipeline.sandbox.crm_com.product_calls import shown_process, shown_product
from crm_pipeline.sandbox.crm_com.vendor import CrmCom
from crm_pipeline.sandbox.delivery import Message

#: The only event there is, as the record of deliveries names it; the wire does not.
ORDER_EVENT = "order"
_GST = Decimal(10)


class Shop:
    """The shop of one key. Every method may be called from any thread."""

    def __init__(self, crm_com: CrmCom, key: str) -> None:
        """Stand behind a key; a slug or an organisation id means its test key."""
        self._crm_com = crm_com
        self.business = crm_com.business(key)

    def subscribe(self, url: str) -> None:
        """Say where orders are told of; an empty address ends it."""
        with self._crm_com.lock:
            self.business.hook_url = url

    def products(self) -> list[dict[str, Any]]:
        """Return products as the API shows them, oldest first."""
        with self._crm_com.lock:
            rows = self.business.catalogue.oldest_first()
            return [shown_product(self.business, each) for each in rows]

    def processes(self) -> list[dict[str, Any]]:
        """Return synchronisations, oldest first."""
        with self._crm_com.lock:
            return [shown_process(each) for each in self.business.synchroniser.all()]

    def finish_processes(self) -> None:
        """Bring every synchronisation to its end."""
        with self._crm_com.lock:
            switches, now = self._crm_com.switches, self._crm_com.now_seconds()
            self.business.synchroniser.finish_all(switches, now)

    def orders(self) -> list[dict[str, Any]]:
        """Return orders in detail, oldest first."""
        with self._crm_com.lock:
            switches = self._crm_com.switches
            rows = self.business.orders.oldest_first()
            return [order_in_detail(self.business, each, switches) for each in rows]

    def place_order(
        self,
        items: Iterable[tuple[str, Decimal | int, int]],
        *,
        contact: str | None = None,
        tap_code: str | None = None,
        supply_method: str = "PICK_UP",
        wallet_funds: int = 0,
        tax_percentage: Decimal = _GST,
    ) -> str:
        """Place an order of (SKU, quantity, price of one with tax) and tell of it.

        ``contact`` is an id or a code. Returns the order's id. Raises RefusedError.
        """
        with self._crm_com.lock:
            business, now = self.business, self._crm_com.now_seconds()
            person = business.contacts.find(contact) if contact else None
            if contact and person is None:
                raise not_found(400, "contact", contact)
            outlet = business.outlet_at_tap(tap_code) if tap_code else business.outlets[0]
            if outlet is None:
                raise not_found(400, "tap", tap_code or "")
            lines = [
                business.orders.line(self._product_id(sku, now), Decimal(quantity), price)
                for sku, quantity, price in items
            ]
            order = business.orders.place(
                lines,
                contact_id=person["id"] if person else None,
                organisation_id=outlet.id,
                supply_method=supply_method,
                tax_percentage=tax_percentage,
                wallet_funds=wallet_funds,
                now=now,
            )
            tell(self._crm_com, self.business, order)
            return order.id

    def change_order(
        self,
        order_id: str,
        *,
        state: str | None = None,
        stage: str | None = None,
        notes: str | None = None,
        scheduled_on: int | None = None,
    ) -> None:
        """Change an order as a person in CRM.COM does, to any state, and tell of it.

        Wallets stay as they are. Raises RefusedError.
        """
        with self._crm_com.lock:
            order = self.business.orders.find(order_id)
            if order is None:
                raise not_found(400, "order", order_id)
            order.state = state or order.state
            order.stage = stage or order.stage
            order.notes = order.notes if notes is None else notes
            order.scheduled_on = scheduled_on or order.scheduled_on
            order.updated_on = self._crm_com.now_seconds()
            tell(self._crm_com, self.business, order)

    def _product_id(self, sku: str, now: int) -> str:
        return self.business.catalogue.ensure(
            sku, name=None, family_id=None, origin="order", now=now
        ).id


def tell(crm_com: CrmCom, business: Business, order: Order) -> None:
    """Send the order, in detail, to whoever subscribed: once, unsigned, without a retry."""
    if business.hook_url:
        detail = order_in_detail(business, order, crm_com.switches)
        crm_com.hooks.send(
            Message(
                url=business.hook_url,
                event=ORDER_EVENT,
                body=answer_of(detail).body,
                organisation=business.organisation.slug,
            )
        )
