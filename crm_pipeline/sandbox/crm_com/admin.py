"""The admin endpoints of the fake CRM.COM, under ``/_sandbox/``."""

from typing import Any

from crm_pipeline.sandbox.control.admin import Admin, read_body
from crm_pipeline.sandbox.crm_com.admin_shop import ShopCommands
from crm_pipeline.sandbox.crm_com.admin_trade import TradeCommands
from crm_pipeline.sandbox.crm_com.failures import RefusedError
from crm_pipeline.sandbox.crm_com.keyed import KeyBody
from crm_pipeline.sandbox.crm_com.vendor import CrmCom
from crm_pipeline.sandbox.wire import Answer, Request


class SeedBody(KeyBody, kw_only=True):
    """POST seed."""

    customers: int
    coded: bool = False


class MutateBody(KeyBody, kw_only=True):
    """POST customers/mutate: contacts by id or code, or some by count."""

    ids: list[str] | None = None
    count: int = 0
    fields: dict[str, Any] | None = None
    seed: int = 7


class AddBody(KeyBody, kw_only=True):
    """POST customers/add: bodies as ``POST /contacts`` takes them."""

    customers: list[dict[str, Any]]


class DeleteBody(KeyBody, kw_only=True):
    """POST customers/delete: contacts by id or code, or some by count."""

    ids: list[str] | None = None
    count: int = 0
    seed: int = 7


class CrmComAdmin:
    """Hands admin calls to the same methods that a test calls in process."""

    def __init__(self, crm_com: CrmCom) -> None:
        """Steer ``crm_com``."""
        self._crm_com = crm_com
        self._admin = Admin(
            "crm_com",
            crm_com.faults,
            crm_com.requests,
            {
                ("POST", "reset"): lambda _: crm_com.reset(),
                ("POST", "seed"): self._seed,
                ("POST", "customers/mutate"): self._mutate,
                ("POST", "customers/add"): self._add,
                ("POST", "customers/delete"): self._delete,
                ("GET", "switches"): lambda _: crm_com.switches,
                ("POST", "switches"): self._switch,
                ("POST", "custom_fields"): self._custom_fields,
                ("POST", "tags"): self._tags,
                ("GET", "state"): self._state,
                **TradeCommands(crm_com).table,
                **ShopCommands(crm_com).table,
            },
        )

    def answer(self, request: Request) -> Answer:
        """Do one admin call."""
        try:
            return self._admin.answer(request)
        except RefusedError as error:
            return error.answer()

    def _seed(self, request: Request) -> Any:
        body = read_body(request, SeedBody)
        return {"customers": self._crm_com.seed(body.opens, body.customers, coded=body.coded)}

    def _mutate(self, request: Request) -> Any:
        body = read_body(request, MutateBody)
        ids = self._crm_com.mutate(
            body.opens, ids=body.ids, count=body.count, fields=body.fields, seed=body.seed
        )
        return {"ids": ids}

    def _add(self, request: Request) -> Any:
        body = read_body(request, AddBody)
        return {"ids": self._crm_com.add(body.opens, body.customers)}

    def _delete(self, request: Request) -> Any:
        body = read_body(request, DeleteBody)
        ids = self._crm_com.delete(body.opens, ids=body.ids, count=body.count, seed=body.seed)
        return {"ids": ids}

    def _switch(self, request: Request) -> Any:
        return self._crm_com.switch(**read_body(request, dict[str, Any]))

    def _custom_fields(self, request: Request) -> None:
        self._crm_com.configure_custom_fields(read_body(request, dict[str, list[str]])["keys"])

    def _tags(self, request: Request) -> Any:
        return self._crm_com.configure_tags(read_body(request, dict[str, list[str]])["names"])

    def _state(self, request: Request) -> Any:
        key = request.query.get("key") or request.query.get("organisation")
        if not key:
            return {
                "keys": [
                    {
                        "organisation": each.organisation.slug,
                        "key": text,
                        "name": each.name,
                        "customers": len(each.contacts),
                        "purchases": len(each.business.purchases),
                        "products": len(each.business.catalogue),
                        "orders": len(each.business.orders),
                    }
                    for text, each in self._crm_com.keys.items()
                ]
            }
        offset = int(request.query.get("offset", "0"))
        limit = int(request.query["limit"]) if "limit" in request.query else None
        return {
            "total": self._crm_com.count(key),
            "customers": self._crm_com.contacts(key, offset=offset, limit=limit),
        }
