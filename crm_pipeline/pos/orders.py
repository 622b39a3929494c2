"""Orders that contacts placed at CRM.COM: looked at, completed, cancelled with a reason.

Completing an order makes CRM.COM award it. So an order whose purchase was posted is not completed:
the same sale would be awarded twice.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from crm_pipeline.destinations.crm_com.problems import read_problem
from crm_pipeline.destinations.crm_com.purchases.reading import is_cancelled
from crm_pipeline.destinations.crm_com.values import as_object, as_objects, as_text
from crm_pipeline.errors import AnswerLostError, CrmPipelineError
from crm_pipeline.http import Answer
from crm_pipeline.pos.assumptions import CANCELLED, COMPLETED
from crm_pipeline.pos.calls import PosCalls
from crm_pipeline.pos.refusals import (
    OrderGuardedError,
    OrderUnknownError,
    OutcomeUnknownError,
    PosRefusedError,
)
from crm_pipeline.pos.register import Register, is_return
from crm_pipeline.pos.values import Order, OrderDone, OrderItem
from crm_pipeline.sources.crm_com_orders.orders import decode_orders

_PLAIN = (
    *("number", "contact_id", "contact_code", "organisation_id", "supply_method", "currency"),
    *("total", "wallet_funds", "amount_due", "submitted_at", "completed_at"),
)


class Orders:
    """Works with orders. Thread-safe; turns are the caller's."""

    def __init__(self, calls: PosCalls, register: Register) -> None:
        self._calls = calls
        self._register = register

    def listed(self, *, state: str, limit: int) -> Sequence[Order]:
        """Return the newest orders, of one state or of all, at most ``limit``."""
        found: dict[str, Order] = {}
        page = 1
        while len(found) < limit:
            answer = self._calls.orders(page, {"state": state} if state else {})
            orders = _orders_in(answer.body)
            wanted = [each for each in orders if state in ("", each.state)]
            found |= {each.id: each for each in wanted if each.id not in found}
            if not orders or not _has_more(answer):
                break
            page += 1
        return list(found.values())[:limit]

    def shown(self, order_id: str) -> Order:
        """Return one order by its id. Raises OrderUnknownError."""
        answer = self._calls.order(order_id)
        orders = _orders_in(b"[" + answer.body + b"]") if answer is not None else []
        if not orders:
            raise OrderUnknownError(
                f"CRM.COM has no order {order_id}.",
                not_done="Nothing was done.",
                remedy="Name it by its id: `crm-pipeline pos orders list` shows ids.",
            )
        return orders[0]

    # -- completing --------------------------------------------------------------------------------

    def complete(self, order_id: str, *, is_forced: bool) -> OrderDone:
        """Complete an order; one that is completed already is done."""
        order = self.shown(order_id)
        if order.state == COMPLETED:
            return _done(order, COMPLETED, was_there=True)
        _refuse_state(order, CANCELLED)
        if not is_forced:
            self._refuse_posted(order)
        return self._act(order, {"action": "COMPLETE"}, COMPLETED)

    def _refuse_posted(self, order: Order) -> None:
        """Refuse an order whose id or number is the reference of a purchase."""
        for reference in dict.fromkeys(name for name in (order.id, order.number) if name):
            for each in self._register.all(reference):
                if not is_return(each) and not is_cancelled(each):
                    raise OrderGuardedError(
                        f"The order {order.id} was posted as the purchase {each['id']}, reference"
                        f" {reference}: completing it would award the same sale again.",
                        not_done="The order was not completed.",
                        remedy="Void the purchase first, or force it when they are two sales.",
                    )

    # -- cancelling --------------------------------------------------------------------------------

    def reasons(self) -> Mapping[str, str]:
        """Return the reasons for a cancellation, names by id."""
        return self._calls.reasons()

    def cancel(self, order_id: str, reason: str) -> OrderDone:
        """Cancel an order for a reason, by id or name; one that is cancelled already is done."""
        order = self.shown(order_id)
        if order.state == CANCELLED:
            return _done(order, CANCELLED, was_there=True)
        _refuse_state(order, COMPLETED)
        reason_id, name = self._reason(reason)
        body = {"action": "CANCEL", "cancellation_reason_id": reason_id}
        return self._act(order, body, CANCELLED, reason=name)

    def _reason(self, wanted: str) -> tuple[str, str]:
        reasons = self.reasons()
        if wanted in reasons:
            return wanted, reasons[wanted]
        folded = wanted.strip().casefold()
        found = [(each, name) for each, name in reasons.items() if name.casefold() == folded]
        if len(found) == 1:
            return found[0]
        raise OrderGuardedError(
            "CRM.COM has no such reason for a cancellation, or several of that name. It has: "
            + ("; ".join(f"{name} ({each})" for each, name in reasons.items()) or "none")
            + ".",
            not_done="The order was not cancelled.",
            remedy="Give one of them, by name or id.",
        )

    # -- both --------------------------------------------------------------------------------------

    def _act(
        self, order: Order, body: Mapping[str, Any], state: str, *, reason: str = ""
    ) -> OrderDone:
        """Send it once; a lost or refusing answer is checked by reading the order again."""
        try:
            answer = self._calls.act(order.id, body)
        except AnswerLostError:
            answer = None
        if answer is not None and answer.is_success:
            return _done(order, state, was_there=False, reason=reason)
        if self._state_now(order.id) == state:
            return _done(order, state, was_there=answer is not None, reason=reason)
        if answer is None:
            raise OutcomeUnknownError(
                f"That the order {order.id} is {state.lower()} was sent, and no answer came.",
                not_done="Whether it was done is unknown.",
                remedy="Repeat it: the order's state is looked at first.",
            )
        raise PosRefusedError(
            read_problem(answer).named_detail,
            not_done=f"The order {order.id} is not {state.lower()}.",
            remedy="Look at the order's state: `crm-pipeline pos orders show`.",
        )

    def _state_now(self, order_id: str) -> str:
        try:
            return self.shown(order_id).state
        except CrmPipelineError:
            return ""


def state_of_order(answer: Answer) -> str:
    """Return the state of the order in an answer, in capitals."""
    orders = _orders_in(b"[" + answer.body + b"]")
    return orders[0].state if orders else ""


def _refuse_state(order: Order, state: str) -> None:
    if order.state == state:
        raise OrderGuardedError(
            f"The order {order.id} is {state.lower()}.",
            not_done="Nothing was done to it.",
            remedy="Nothing more can be done to it.",
        )


def _orders_in(body: bytes) -> list[Order]:
    """Return the orders of a page; members under old names are understood."""
    return [_order(row) for row in decode_orders(body).rows.to_pylist()]


def _order(row: Mapping[str, Any]) -> Order:
    items = msgspec.json.decode(row["items"]) if row["items"] else []
    plain = {name: row[name] for name in _PLAIN}
    return Order(
        id=row["id"],
        state=(row["state"] or "").upper(),
        items=tuple(_item(each) for each in as_objects(items)),
        **{**plain, "number": row["number"] or ""},
    )


def _item(shown: Mapping[str, Any]) -> OrderItem:
    product = as_object(shown.get("product"))
    return OrderItem(
        sku=as_text(product.get("sku")) or "",
        name=as_text(product.get("name")) or "",
        quantity=as_text(shown.get("quantity")) or "",
    )


def _has_more(answer: Answer) -> bool:
    paging = as_object(as_object(answer.json()).get("paging"))
    return paging.get("has_more") is not False


def _done(order: Order, state: str, *, was_there: bool, reason: str = "") -> OrderDone:
    return OrderDone(
        id=order.id, number=order.number, state=state, was_there=was_there, reason=reason
    )
