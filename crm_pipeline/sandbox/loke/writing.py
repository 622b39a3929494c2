"""The calls of LOKE's API that change something: lists, members, webhooks.

Here: one method for each endpoint. Not here: which path leads to it (``routes``).
"""

from typing import Any, TypeVar

import msgspec

from crm_pipeline.sandbox.loke.answers import Answers
from crm_pipeline.sandbox.loke.subscriptions import Subscription, SubscriptionBody
from crm_pipeline.sandbox.loke.tenants import Tenant
from crm_pipeline.sandbox.loke.vendor import Loke
from crm_pipeline.sandbox.wire import Answer, Request, json_answer

_Body = TypeVar("_Body")


class ListBody(msgspec.Struct, frozen=True):
    """POST customer-lists and PUT customer-lists/{id}."""

    name: str


class Writing:
    """Changes one fake LOKE. Paths were checked: the organisation exists."""

    def __init__(self, loke: Loke, answers: Answers) -> None:
        """Change ``loke``."""
        self._loke = loke
        self._answers = answers

    def create_list(self, request: Request) -> Answer:
        """POST customer-lists."""
        body = _decoded(request, ListBody)
        if body is None or not body.name.strip():
            return self._answers.error(400, "name is required")
        tenant = self._tenant(request)
        list_id = self._loke.create_list(tenant.organisation.id, body.name, is_ours=True)
        return json_answer(tenant.lists.lists[list_id].body(), 201)

    def rename_list(self, request: Request) -> Answer:
        """PUT customer-lists/{id}: lists that our own client made, and no others."""
        found = self._tenant(request).lists.lists.get(request.segments[3])
        if found is None:
            return self._answers.error(404, "List not found")
        if not found.is_ours:
            return self._answers.error(403, "The list belongs to another client")
        body = _decoded(request, ListBody)
        if body is None or not body.name.strip():
            return self._answers.error(400, "name is required")
        found.name = body.name
        return json_answer(found.body())

    def add_member(self, request: Request) -> Answer:
        """PUT customer-lists/{id}/members/{customer}; repeating it changes nothing."""
        tenant, (list_id, customer_id) = self._tenant(request), request.segments[3::2]
        if list_id not in tenant.lists.lists:
            return self._answers.error(404, "List not found")
        if tenant.store.index_of(customer_id) is None:
            return self._answers.error(404, "Customer not found")
        self._loke.add_members(tenant.organisation.id, list_id, [customer_id])
        return Answer(204)

    def remove_member(self, request: Request) -> Answer:
        """DELETE customer-lists/{id}/members/{customer}; repeating it changes nothing."""
        tenant, (list_id, customer_id) = self._tenant(request), request.segments[3::2]
        if list_id not in tenant.lists.lists:
            return self._answers.error(404, "List not found")
        self._loke.remove_members(tenant.organisation.id, list_id, [customer_id])
        return Answer(204)

    def put_webhook(self, request: Request) -> Answer:
        """PUT webhooks/{ref}: makes or replaces a subscription."""
        body = _decoded(request, SubscriptionBody)
        if body is None:
            return self._answers.error(400, "url, secret and events are required")
        subscriptions = self._tenant(request).subscriptions
        try:
            made = subscriptions.put(request.segments[3], body)
        except ValueError as error:
            return self._answers.error(400, str(error))
        return self._put_answer(made, subscriptions.all())

    def delete_webhook(self, request: Request) -> Answer:
        """DELETE webhooks/{ref}."""
        if not self._tenant(request).subscriptions.remove(request.segments[3]):
            return self._answers.error(404, "Webhook not found")
        return Answer(204)

    def _put_answer(self, made: Subscription, subscriptions: list[Subscription]) -> Answer:
        form = self._loke.switches.webhook_answer
        if form == "empty":
            return Answer(200)
        shown: Any = made.body() if form == "object" else [each.body() for each in subscriptions]
        return json_answer(shown)

    def _tenant(self, request: Request) -> Tenant:
        return self._loke.tenants[request.segments[1]]


def _decoded(request: Request, shape: type[_Body]) -> _Body | None:
    """Return the body of a call, None when it is not of that shape."""
    try:
        return msgspec.json.decode(request.body, type=shape)
    except msgspec.MsgspecError:
        return None
