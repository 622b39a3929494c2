"""The fake SoPost as an object: what a test or the admin endpoints do to it.

Here: state and the hands that move it. Not here: what SoPost's clients can call (``routes``).
"""

import threading
from typing import Any, Literal

import msgspec

from crm_pipeline.sandbox.control.faults import FaultBox
from crm_pipeline.sandbox.control.log import RequestLog
from crm_pipeline.sandbox.delivery import SINGLE_SHOT, HookSender, Message
from crm_pipeline.sandbox.settings import SandboxSettings, sopost_uuid
from crm_pipeline.sandbox.sopost.brands import Brand
from crm_pipeline.sandbox.sopost.consumers import Consumers, hash_of
from crm_pipeline.sandbox.sopost.hooks import SentHook, Subscriptions, event_of
from crm_pipeline.sandbox.sopost.orders import (
    APPROVED,
    PENDING,
    AnswerKind,
    ConsentKind,
    Order,
    OrderBody,
    answers_of,
    consents_of,
    short_id,
    way,
)


class SopostSwitches(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What may be changed while the sandbox runs.

    ``event_id``: what it names, so whether two hooks get the same one for the same event.
    ``is_approved_late``: APPROVED is told only after the order's next event.
    ``blocked_reads``: how many reads of an order fail after each change, with ``blocked_status``.
    """

    event_id: Literal["hook", "event"] = "hook"
    is_approved_late: bool = False
    blocked_reads: int = 0
    blocked_status: Literal[403, 404] = 404
    gzip: bool = False


class Sopost:
    """State of the fake SoPost. Every method may be called from any thread."""

    def __init__(self, settings: SandboxSettings) -> None:
        """Make every brand; nobody has ordered yet."""
        self.lock = threading.RLock()
        self.faults = FaultBox()
        self.requests = RequestLog(settings.log_size)
        self.settings = settings
        self.clock = settings.clock
        #: Carries what is sent; one attempt each, as nothing is known of more.
        self.hooks = HookSender(settings.clock, SINGLE_SHOT)
        self.brands = {each.sopost_id: Brand(each) for each in settings.organisations}
        self._consumers = {
            each.sopost_id: Consumers(settings.seed, each) for each in settings.organisations
        }
        self.reset()

    def reset(self) -> None:
        """Go back to the beginning: no orders, subscriptions, switches, faults, log."""
        with self.lock:
            self.switches = SopostSwitches()
            self.subscriptions = Subscriptions()
            self.hooks.reset()
            self.orders: dict[str, Order] = {}
            #: Every event given to a subscription, oldest first, whatever becomes of it.
            self.sent: list[SentHook] = []
            self._held: list[tuple[Order, dict[str, str]]] = []
            self._ordered = dict.fromkeys(self.brands, 0)
            self.faults.clear()
            self.requests.clear()

    def brand(self, organisation: str) -> Brand:
        """Return a brand by SoPost's id, the sandbox's id, or slug. Raises KeyError."""
        for brand in self.brands.values():
            known = brand.organisation
            if organisation in (brand.id, known.id, known.slug):
                return brand
        raise KeyError(f"the sandbox has no organisation {organisation!r}")

    def person(self, organisation: str, index: int) -> dict[str, Any]:
        """Return one invented person's members of an order."""
        return self._consumers[self.brand(organisation).id].person(index)

    def order(self, order_id: str) -> Order:
        """Return an order. Raises KeyError."""
        if order_id not in self.orders:
            raise KeyError(f"the sandbox has no order {order_id!r}")
        return self.orders[order_id]

    def place(
        self,
        organisation: str,
        *,
        person: int | None = None,
        consents: ConsentKind = "mixed",
        answers: AnswerKind = "mixed",
        activity: int = 0,
        fields: dict[str, Any] | None = None,
        is_told: bool = True,
    ) -> str:
        """Let somebody order and return the order's id; it is pending.

        ``person`` is whose turn it is unless given. ``fields`` win over what is invented; one
        given as None is left out of the order.
        """
        with self.lock:
            brand = self.brand(organisation)
            number = self._ordered[brand.id]
            self._ordered[brand.id] += 1
            body = {
                "id": sopost_uuid(brand.organisation.id, "order", number),
                "short_id": short_id(number),
                "activity_id": brand.activity_ids[activity],
                "provider": "brand-site",
                "line_items": [{"stock_partition_id": brand.stock_partition_ids[number % 2]}],
                "status": PENDING,
                "consents": consents_of(brand, consents, number),
                "custom_questions": answers_of(answers, number),
                **self.person(brand.id, number if person is None else person),
                **(fields or {}),
            }
            body = {name: value for name, value in body.items() if value is not None}
            order = Order(brand, body, [body["status"]])
            self.orders[order.id] = order
            self._changed(order, is_told=is_told)
            return order.id

    def accept(self, brand: Brand, body: OrderBody) -> str:
        """Take an order that a client of the API placed, and return its id."""
        given = {each.consent_id for each in body.consents or ()}
        fields = msgspec.structs.asdict(body)
        del fields["locale"]  # it can be given; the documented order does not show it
        fields["identity"] = body.identity or hash_of(body.email)
        fields["consents"] = [each for each in brand.consents if each["consent_id"] in given]
        return self.place(brand.id, answers="none", fields=fields)

    def move(self, order_id: str, status: str, *, is_told: bool = True) -> None:
        """Give an order a status, any text, and tell it."""
        with self.lock:
            order = self.order(order_id)
            order.body["status"] = status
            order.history.append(status)
            self._changed(order, is_told=is_told)

    def advance(self, order_id: str, upto: str = "") -> str:
        """Move an order one stage on, or as far as ``upto``; returns its status.

        Raises ValueError when there is no way there: a rejected order goes nowhere.
        """
        with self.lock:
            status = self.order(order_id).history[-1]
            for each in way(status, upto):
                self.move(order_id, each)
            return self.order(order_id).history[-1]

    def change(self, order_id: str, fields: dict[str, Any]) -> None:
        """Change an order silently, as a confirmed double opt-in does: no event tells it."""
        with self.lock:
            body = self.order(order_id).body
            body.update(fields)
            for name in [name for name, value in fields.items() if value is None]:
                del body[name]

    def tell_again(self, order_id: str, status: str) -> None:
        """Send the event of a status again, whatever the order's status is by now."""
        with self.lock:
            order = self.order(order_id)
            self._tell(order, event_of(order, status, self._occurrence(order, status)))

    def release(self) -> int:
        """Send the events that were held back; returns how many."""
        with self.lock:
            held, self._held = self._held, []
            for order, event in held:
                self._tell(order, event)
            return len(held)

    def switch(self, **changes: Any) -> SopostSwitches:
        """Change switches. Raises ValueError for unknown names or values."""
        with self.lock:
            try:
                self.switches = msgspec.convert(
                    {**msgspec.structs.asdict(self.switches), **changes}, SopostSwitches
                )
            except msgspec.ValidationError as error:
                raise ValueError(str(error)) from error
            return self.switches

    def _changed(self, order: Order, *, is_told: bool) -> None:
        order.blocked_reads = self.switches.blocked_reads
        if not is_told:
            return
        status = order.history[-1]
        event = event_of(order, status, self._occurrence(order, status))
        if self.switches.is_approved_late and status == APPROVED:
            self._held.append((order, event))
            return
        self._tell(order, event)
        late = [each for each in self._held if each[0] is order]
        self._held = [each for each in self._held if each[0] is not order]
        for _, waiting in late:
            self._tell(order, waiting)

    @staticmethod
    def _occurrence(order: Order, status: str) -> int:
        return order.history.count(status)

    def _tell(self, order: Order, event: dict[str, str]) -> None:
        for hook in self.subscriptions.matching(order):
            own = event
            if self.switches.event_id == "hook":
                own = event_of(order, event["event"], event["event_id"], hook.id)
            self.sent.append(SentHook(hook.id, hook.url, own))
            self.hooks.send(
                Message(
                    url=hook.url,
                    event=own["event"],
                    body=msgspec.json.encode(own),
                    organisation=order.brand.organisation.slug,
                )
            )
