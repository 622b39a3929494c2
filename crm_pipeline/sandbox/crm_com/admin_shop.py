"""The admin endpoints of products, orders and their webhooks, under ``/_sandbox/``."""

from decimal import Decimal
from typing import Any

import msgspec

from crm_pipeline.sandbox.control.admin import Command, read_body
from crm_pipeline.sandbox.crm_com.keyed import KeyBody, key_of, rows_of
from crm_pipeline.sandbox.crm_com.order_views import order_in_detail
from crm_pipeline.sandbox.crm_com.product_calls import shown_process, shown_product
from crm_pipeline.sandbox.crm_com.shop import Shop
from crm_pipeline.sandbox.crm_com.vendor import CrmCom
from crm_pipeline.sandbox.wire import Request


class ItemBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One line of an order; ``price`` is for one, with tax, in the smallest unit."""

    sku: str
    quantity: Decimal = Decimal(1)
    price: int = 500


class PlaceBody(KeyBody, kw_only=True):
    """POST orders/place."""

    items: list[ItemBody] = msgspec.field(default_factory=lambda: [ItemBody(sku="SKU-1")])
    contact: str | None = None
    tap_code: str | None = None
    supply_method: str = "PICK_UP"
    wallet_funds: int = 0


class ChangeBody(KeyBody, kw_only=True):
    """POST orders/change."""

    id: str
    state: str | None = None
    stage: str | None = None
    notes: str | None = None
    scheduled_on: int | None = None


class HookBody(KeyBody, kw_only=True):
    """POST hooks/subscribe: an empty address ends it."""

    url: str


class ShopCommands:
    """The commands of products and orders over one fake CRM.COM."""

    def __init__(self, crm_com: CrmCom) -> None:
        """Steer ``crm_com``."""
        self._crm_com = crm_com
        self.table: dict[tuple[str, str], Command] = {
            ("GET", "products"): self._products,
            ("GET", "processes"): self._processes,
            ("POST", "processes/finish"): self._finish,
            ("GET", "orders"): self._orders,
            ("POST", "orders/place"): self._place,
            ("POST", "orders/change"): self._change,
            ("GET", "hooks"): lambda _: {"deliveries": crm_com.hooks.deliveries()},
            ("POST", "hooks/subscribe"): self._subscribe,
            ("GET", "hooks/switches"): lambda _: crm_com.hooks.switches,
            ("POST", "hooks/switches"): self._switch_hooks,
            ("POST", "hooks/advance"): self._advance_hooks,
        }

    def _products(self, request: Request) -> Any:
        business = self._crm_com.business(key_of(request))
        rows = list(business.catalogue.oldest_first())
        return rows_of(request, rows, lambda each: shown_product(business, each))

    def _processes(self, request: Request) -> Any:
        business = self._crm_com.business(key_of(request))
        return rows_of(request, business.synchroniser.all(), shown_process)

    def _finish(self, request: Request) -> None:
        Shop(self._crm_com, read_body(request, KeyBody).opens).finish_processes()

    def _orders(self, request: Request) -> Any:
        business, switches = self._crm_com.business(key_of(request)), self._crm_com.switches
        rows = business.orders.oldest_first()
        return rows_of(request, rows, lambda each: order_in_detail(business, each, switches))

    def _place(self, request: Request) -> Any:
        body = read_body(request, PlaceBody)
        order_id = Shop(self._crm_com, body.opens).place_order(
            [(each.sku, each.quantity, each.price) for each in body.items],
            contact=body.contact,
            tap_code=body.tap_code,
            supply_method=body.supply_method,
            wallet_funds=body.wallet_funds,
        )
        return {"id": order_id}

    def _change(self, request: Request) -> None:
        body = read_body(request, ChangeBody)
        Shop(self._crm_com, body.opens).change_order(
            body.id,
            state=body.state,
            stage=body.stage,
            notes=body.notes,
            scheduled_on=body.scheduled_on,
        )

    def _subscribe(self, request: Request) -> None:
        body = read_body(request, HookBody)
        Shop(self._crm_com, body.opens).subscribe(body.url)

    def _switch_hooks(self, request: Request) -> Any:
        return self._crm_com.hooks.switch(**read_body(request, dict[str, Any]))

    def _advance_hooks(self, request: Request) -> None:
        self._crm_com.hooks.advance(read_body(request, dict[str, float])["seconds"])
