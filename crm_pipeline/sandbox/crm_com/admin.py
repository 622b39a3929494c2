"""The admin endpoints of the fake CRM.COM, under ``/_sandbox/``."""

from typing import Any

import msgspec

from crm_pipeline.sandbox.control.admin import Admin, read_body
from crm_pipeline.sandbox.crm_com.failures import RefusedError
from crm_pipeline.sandbox.crm_com.vendor import CrmCom
from crm_pipeline.sandbox.wire import Answer, Request


class SeedBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST seed. ``key`` may also be a slug or an organisation id: the test key is meant."""

    key: str
    contacts: int
    coded: bool = False


class MutateBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST contacts/mutate: one contact by reference and fields, or some by count."""

    key: str
    reference: str | None = None
    fields: dict[str, Any] | None = None
    count: int = 0
    seed: int = 7


class AddBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST contacts/add."""

    key: str
    contact: dict[str, Any]


class DeleteBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST contacts/delete."""

    key: str
    references: list[str]


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
                ("POST", "contacts/mutate"): self._mutate,
                ("POST", "contacts/add"): self._add,
                ("POST", "contacts/delete"): self._delete,
                ("GET", "switches"): lambda _: crm_com.switches,
                ("POST", "switches"): self._switch,
                ("POST", "custom_fields"): self._custom_fields,
                ("POST", "tags"): self._tags,
                ("GET", "state"): self._state,
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
        return {"contacts": self._crm_com.seed(body.key, body.contacts, coded=body.coded)}

    def _mutate(self, request: Request) -> Any:
        body = read_body(request, MutateBody)
        if body.reference is None:
            return {"ids": self._crm_com.mutate(body.key, count=body.count, seed=body.seed)}
        self._crm_com.edit(body.key, body.reference, body.fields or {})
        return {"ids": [body.reference]}

    def _add(self, request: Request) -> Any:
        body = read_body(request, AddBody)
        return {"id": self._crm_com.add(body.key, body.contact)}

    def _delete(self, request: Request) -> Any:
        body = read_body(request, DeleteBody)
        return {"deleted": self._crm_com.delete(body.key, body.references)}

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
                        "contacts": len(each.contacts),
                    }
                    for text, each in self._crm_com.keys.items()
                ]
            }
        offset = int(request.query.get("offset", "0"))
        limit = int(request.query["limit"]) if "limit" in request.query else None
        return {
            "total": self._crm_com.count(key),
            "contacts": self._crm_com.contacts(key, offset=offset, limit=limit),
        }
