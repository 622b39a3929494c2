"""What clients can call about orders."""

import msgspec

from crm_pipeline.sandbox.crm_com.failures import invalid, not_found
from crm_pipeline.sandbox.crm_com.money import answer_of
from crm_pipeline.sandbox.crm_com.order_views import order_in_detail, order_in_list
from crm_pipeline.sandbox.crm_com.orders import REASONS, Action, Order
from crm_pipeline.sandbox.crm_com.search import (
    DateBound,
    cut,
    page_of_list,
    paged,
    read_dates,
    read_wish,
)
from crm_pipeline.sandbox.crm_com.shapes import CodeRef, read_shape
from crm_pipeline.sandbox.crm_com.shop import tell
from crm_pipeline.sandbox.crm_com.vendor import CrmCom, Handler, Key
from crm_pipeline.sandbox.wire import Answer, Request

_DATES = ("created_on", "completed_on", "scheduled_on")


class ActionBody(msgspec.Struct):
    """PUT orders/{id}/actions."""

    action: Action
    cancellation_reason_id: str | None = None
    provisioner: CodeRef | None = None


class OrderCalls:
    """The endpoints of orders over one fake CRM.COM."""

    def __init__(self, crm_com: CrmCom) -> None:
        """Answer from ``crm_com``."""
        self._crm_com = crm_com
        self.table: dict[str, dict[str, Handler]] = {
            "/orders": {"GET": self._list},
            "/orders/{id}": {"GET": self._read},
            "/orders/{id}/actions": {"PUT": self._act},
            "/order_cancellation_reasons": {"GET": self._list_reasons},
        }

    def _order(self, request: Request, key: Key) -> Order:
        found = key.business.orders.find(request.segments[3])
        if found is None:
            status = self._crm_com.switches.not_found_status
            raise not_found(status, "order", request.segments[3])
        return found

    def _list(self, request: Request, key: Key) -> Answer:
        query, wish = request.query, read_wish(request.query, ())
        bounds = read_dates(query, _DATES)
        states = {each for each in query.get("state", "").upper().split(",") if each}
        method = query.get("supply_method", "").upper()
        found = [
            order
            for order in key.business.orders.oldest_first()
            if (not states or order.state.upper() in states)
            and method in ("", order.supply_method)
            and all(_holds(bound, order) for bound in bounds)
        ]
        switches = self._crm_com.switches
        content = [order_in_list(key.business, each, switches) for each in cut(found, wish)]
        return answer_of(paged(content, len(found), wish))

    def _read(self, request: Request, key: Key) -> Answer:
        order, switches = self._order(request, key), self._crm_com.switches
        return answer_of(order_in_detail(key.business, order, switches))

    def _act(self, request: Request, key: Key) -> Answer:
        order, body = self._order(request, key), read_shape(request.body, ActionBody)
        if body.action == "ORDER_PROVISION" and body.provisioner is None:
            raise invalid("provisioner", "A mandatory value is missing.")
        switches, now = self._crm_com.switches, self._crm_com.now_seconds()
        reason_id = body.cancellation_reason_id
        if key.business.orders.act(order, body.action, reason_id, switches, now):
            tell(self._crm_com, key.business, order)
        return answer_of({"id": order.id})

    def _list_reasons(self, request: Request, _: Key) -> Answer:
        rows = [{"id": each, "name": name} for each, name in REASONS.items()]
        return answer_of(page_of_list(rows, read_wish(request.query)))


def _holds(bound: DateBound, order: Order) -> bool:
    times = {
        "created_on": order.created_on,
        "completed_on": order.completed_on,
        "scheduled_on": order.scheduled_on,
    }
    return bound.holds(times[bound.field])
