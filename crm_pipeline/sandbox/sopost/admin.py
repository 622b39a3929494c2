"""The admin endpoints of the fake SoPost, under ``/_sandbox/``."""

from typing import Any, Literal

import msgspec

from crm_pipeline.sandbox.control.admin import Admin, read_body
from crm_pipeline.sandbox.sopost.orders import AnswerKind, ConsentKind
from crm_pipeline.sandbox.sopost.vendor import Sopost
from crm_pipeline.sandbox.wire import Answer, Request


class PlaceBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """POST orders/place: how many people order, and how far their orders go."""

    organisation: str
    count: int = 1
    person: int | None = None
    consents: ConsentKind = "mixed"
    answers: AnswerKind = "mixed"
    activity: Literal[0, 1] = 0
    fields: dict[str, Any] | None = None
    upto: str = "PENDING"


class MoveBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """POST orders/move: to a status, any text, or one stage on."""

    ids: list[str]
    status: str = ""
    is_told: bool = True


class ChangeBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """POST orders/change: members of one order, which no event tells."""

    id: str
    fields: dict[str, Any]


class AgainBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """POST events/again: the event of a status of one order."""

    id: str
    status: str


class SopostAdmin:
    """Hands admin calls to the same methods that a test calls in process."""

    def __init__(self, sopost: Sopost) -> None:
        """Steer ``sopost``."""
        self._sopost = sopost
        self._admin = Admin(
            "sopost",
            sopost.faults,
            sopost.requests,
            {
                ("POST", "reset"): lambda _: sopost.reset(),
                ("POST", "orders/place"): self._place,
                ("POST", "orders/move"): self._move,
                ("POST", "orders/change"): self._change,
                ("POST", "events/again"): self._again,
                ("POST", "events/release"): lambda _: {"sent": sopost.release()},
                ("GET", "hooks"): lambda _: {"deliveries": sopost.hooks.deliveries()},
                ("GET", "hooks/switches"): lambda _: sopost.hooks.switches,
                ("POST", "hooks/switches"): self._switch_hooks,
                ("POST", "hooks/advance"): self._advance_hooks,
                ("GET", "switches"): lambda _: sopost.switches,
                ("POST", "switches"): self._switch,
                ("GET", "state"): self._state,
            },
        )

    def answer(self, request: Request) -> Answer:
        """Do one admin call."""
        return self._admin.answer(request)

    def _place(self, request: Request) -> Any:
        body = read_body(request, PlaceBody)
        ids = []
        for _ in range(body.count):
            order_id = self._sopost.place(
                body.organisation,
                person=body.person,
                consents=body.consents,
                answers=body.answers,
                activity=body.activity,
                fields=body.fields,
            )
            self._sopost.advance(order_id, body.upto)
            ids.append(order_id)
        return {"ids": ids}

    def _move(self, request: Request) -> Any:
        body = read_body(request, MoveBody)
        for order_id in body.ids:
            if body.status:
                self._sopost.move(order_id, body.status, is_told=body.is_told)
            else:
                self._sopost.advance(order_id)
        return {"statuses": [self._sopost.order(each).history[-1] for each in body.ids]}

    def _change(self, request: Request) -> None:
        body = read_body(request, ChangeBody)
        self._sopost.change(body.id, body.fields)

    def _again(self, request: Request) -> None:
        body = read_body(request, AgainBody)
        self._sopost.tell_again(body.id, body.status)

    def _switch(self, request: Request) -> Any:
        return self._sopost.switch(**read_body(request, dict[str, Any]))

    def _switch_hooks(self, request: Request) -> Any:
        return self._sopost.hooks.switch(**read_body(request, dict[str, Any]))

    def _advance_hooks(self, request: Request) -> None:
        self._sopost.hooks.advance(read_body(request, dict[str, float])["seconds"])

    def _state(self, request: Request) -> Any:
        name = request.query.get("organisation")
        if not name:
            return {
                "organisations": [
                    {
                        "id": brand.id,
                        "slug": brand.organisation.slug,
                        "campaign_id": brand.campaign_id,
                        "orders": len(self._orders(brand.id)),
                    }
                    for brand in self._sopost.brands.values()
                ],
                "webhooks": self._sopost.subscriptions.all(),
                "events_sent": len(self._sopost.sent),
            }
        return {"orders": self._orders(self._sopost.brand(name).id)}

    def _orders(self, brand_id: str) -> list[dict[str, Any]]:
        orders = self._sopost.orders.values()
        return [each.body for each in orders if each.brand.id == brand_id]
