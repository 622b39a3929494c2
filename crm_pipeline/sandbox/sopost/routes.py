"""What SoPost's clients can call, under ``/v1``.

Here: Basic authentication, endpoints, answers. Not here: state (``vendor``). Where SoPost's own
documents are silent (most bodies, every error), this is our guess: ``docs/vendor-assumptions.md``.
"""

import base64
import binascii
import hmac
from collections.abc import Callable
from typing import TypeVar

import msgspec

from crm_pipeline.sandbox.control.faults import FaultRule
from crm_pipeline.sandbox.sopost.admin import SopostAdmin
from crm_pipeline.sandbox.sopost.brands import Brand
from crm_pipeline.sandbox.sopost.hooks import ENTITY_TYPES, EVENT_TYPE, HookBody
from crm_pipeline.sandbox.sopost.orders import OrderBody
from crm_pipeline.sandbox.sopost.vendor import Sopost
from crm_pipeline.sandbox.wire import Answer, Request, Route, json_answer

PREFIX = "/v1"


class _RefusedError(Exception):
    """A call that is answered with an error."""

    def __init__(self, status: int, message: str) -> None:
        self.answer = json_answer({"message": message}, status)
        super().__init__(message)


#: The brands that the caller may see, by id.
Seen = dict[str, Brand]
Handler = Callable[[Request, Seen], Answer]
Body = TypeVar("Body")


class SopostRoutes:
    """The endpoints over one fake SoPost."""

    prefix = PREFIX

    def __init__(self, sopost: Sopost) -> None:
        """Answer from ``sopost``."""
        self._sopost = sopost
        self._admin = SopostAdmin(sopost)
        self.lock = sopost.lock
        self.faults = sopost.faults
        self.requests = sopost.requests
        self.clock = sopost.clock
        #: Handlers by path template, then method.
        self._table: dict[str, dict[str, Handler]] = {
            "/webhooks": {"GET": self._list_hooks, "POST": self._add_hook},
            "/webhooks/{id}": {"GET": self._read_hook, "DELETE": self._remove_hook},
            "/organisations": {"GET": self._organisations},
            "/campaigns": {"GET": self._campaigns},
            "/activities/{id}": {"GET": self._activity},
            "/activities/{id}/consents": {"GET": self._activity_consents},
            "/activities/{id}/products": {"GET": self._activity_products},
            "/orders": {"POST": self._place_order},
            "/orders/{id}": {"GET": self._read_order},
        }

    @property
    def gzip(self) -> bool:
        """Say whether answers are compressed for those who ask."""
        return self._sopost.switches.gzip

    def route(self, request: Request) -> Route:
        """Find the endpoint of a call."""
        parts = request.segments
        template = _template(parts[1:]) if parts[0] == PREFIX[1:] else "unknown"
        methods = self._table.get(template, {})

        def answer(request: Request) -> Answer:
            try:
                return self._checked(request, methods)
            except _RefusedError as error:
                return error.answer

        return Route(template, answer, self._names(parts))

    def page_of(self, request: Request) -> int:
        """Nothing here has pages."""
        return 1

    def disturb(self, names: tuple[str, ...], rule: FaultRule) -> None:
        """Nothing here can be disturbed while it is read."""

    def make_stale(self, request: Request) -> None:
        """A password does not grow old by itself."""

    def failure(self, status: int) -> Answer:
        """Answer an injected failure."""
        return json_answer({"message": "Injected by the sandbox"}, status)

    def administer(self, request: Request) -> Answer:
        """Answer an admin call."""
        return self._admin.answer(request)

    def _names(self, parts: list[str]) -> tuple[str, ...]:
        """Return the names of the organisation whose order or activity a path names."""
        thing = parts[2] if len(parts) > 2 else ""
        order = self._sopost.orders.get(thing)
        owner = order.brand if order else None
        for brand in self._sopost.brands.values():
            if brand is owner or thing in brand.activity_ids:
                return brand.organisation.slug, brand.organisation.id, brand.id
        return ()

    def _checked(self, request: Request, methods: dict[str, Handler]) -> Answer:
        seen = self._seen_by(request.header(b"authorization"))
        if seen is None:
            answer = json_answer({"message": "unauthorised"}, 401)
            answer.headers.append((b"www-authenticate", b'Basic realm="sandbox"'))
            return answer
        if not methods:
            raise _RefusedError(404, "no such endpoint")
        handler = methods.get(request.method)
        if handler is None:
            raise _RefusedError(405, "method not allowed")
        return handler(request, seen)

    def _seen_by(self, header: str) -> Seen | None:
        """Return what a caller may see, None when the caller is nobody.

        ``sandbox-user`` sees everything, ``sandbox-user.<slug>`` one organisation.
        """
        scheme, _, encoded = header.partition(" ")
        try:
            text = base64.b64decode(encoded, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return None
        user, _, password = text.partition(":")
        settings = self._sopost.settings
        is_right = hmac.compare_digest(password.encode(), settings.sopost_password.encode())
        if scheme.lower() != "basic" or not is_right:
            return None
        if user == settings.sopost_user_id:
            return self._sopost.brands
        prefix, _, slug = user.rpartition(".")
        return {
            key: brand
            for key, brand in self._sopost.brands.items()
            if prefix == settings.sopost_user_id and brand.organisation.slug == slug
        } or None

    def _list_hooks(self, _: Request, seen: Seen) -> Answer:
        entities = _entities(seen)
        hooks = self._sopost.subscriptions.all()
        return json_answer([each for each in hooks if each.entity_id in entities])

    def _add_hook(self, request: Request, seen: Seen) -> Answer:
        body = _decoded(request, HookBody)
        if body.events != [EVENT_TYPE]:
            raise _RefusedError(422, f"events must be {EVENT_TYPE}")
        if body.entity_type not in ENTITY_TYPES:
            raise _RefusedError(422, "entity_type must be Organisation or Campaign")
        if not body.url.startswith(("http://", "https://")):
            raise _RefusedError(422, "url must be an address")
        if _entities(seen).get(body.entity_id) != body.entity_type:
            raise _RefusedError(404, f"{body.entity_type.lower()} not found")
        created = self.clock().isoformat(timespec="seconds")
        return json_answer(self._sopost.subscriptions.add(body, created), 201)

    def _read_hook(self, request: Request, seen: Seen) -> Answer:
        hook = self._sopost.subscriptions.find(request.segments[2])
        if hook is None or hook.entity_id not in _entities(seen):
            raise _RefusedError(404, "webhook not found")
        return json_answer(hook)

    def _remove_hook(self, request: Request, seen: Seen) -> Answer:
        self._read_hook(request, seen)
        self._sopost.subscriptions.remove(request.segments[2])
        return Answer(204)

    def _organisations(self, _: Request, seen: Seen) -> Answer:
        return json_answer([each.organisation_body() for each in seen.values()])

    def _campaigns(self, _: Request, seen: Seen) -> Answer:
        return json_answer([each.campaign_body() for each in seen.values()])

    def _activity(self, request: Request, seen: Seen) -> Answer:
        activity_id = request.segments[2]
        return json_answer(_owner(activity_id, seen).activity_body(activity_id))

    def _activity_consents(self, request: Request, seen: Seen) -> Answer:
        return json_answer(_owner(request.segments[2], seen).consents_body())

    def _activity_products(self, request: Request, seen: Seen) -> Answer:
        return json_answer(_owner(request.segments[2], seen).products_body())

    def _place_order(self, request: Request, seen: Seen) -> Answer:
        body = _decoded(request, OrderBody)
        order_id = self._sopost.accept(_owner(body.activity_id, seen), body)
        created = self.clock().isoformat(timespec="seconds")
        return json_answer({"id": order_id, "created": created}, 201)

    def _read_order(self, request: Request, seen: Seen) -> Answer:
        order = self._sopost.orders.get(request.segments[2])
        if order is None:
            raise _RefusedError(404, "order not found")
        if order.brand.id not in seen:
            raise _RefusedError(403, "forbidden")
        if order.blocked_reads > 0:
            order.blocked_reads -= 1
            raise _RefusedError(self._sopost.switches.blocked_status, "order not found")
        return json_answer(order.body)


def _template(parts: list[str]) -> str:
    """Return the template of a path: the second part is always an id."""
    return "/" + "/".join("{id}" if place == 1 else part for place, part in enumerate(parts))


def _entities(seen: Seen) -> dict[str, str]:
    """Return the type of each thing that can be subscribed to, by id."""
    organisations = dict.fromkeys(seen, ENTITY_TYPES[0])
    return organisations | {each.campaign_id: ENTITY_TYPES[1] for each in seen.values()}


def _owner(activity_id: str, seen: Seen) -> Brand:
    for brand in seen.values():
        if activity_id in brand.activity_ids:
            return brand
    raise _RefusedError(404, "activity not found")


def _decoded(request: Request, shape: type[Body]) -> Body:
    try:
        return msgspec.json.decode(request.body, type=shape)
    except msgspec.ValidationError as error:
        raise _RefusedError(422, str(error)) from error
    except msgspec.DecodeError as error:
        raise _RefusedError(400, "the body is not JSON") from error
