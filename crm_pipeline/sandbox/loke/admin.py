"""The admin endpoints of the fake LOKE, under ``/_sandbox/``."""

from typing import Any

import msgspec

from crm_pipeline.sandbox.control.admin import Admin, read_body
from crm_pipeline.sandbox.loke.rows import Pick
from crm_pipeline.sandbox.loke.vendor import Loke
from crm_pipeline.sandbox.wire import Answer, Request

_STATE_PAGE = 1000


class SeedBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST seed."""

    organisation: str
    customers: int


class MutateBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST customers/mutate and customers/delete (which knows no fields)."""

    organisation: str
    count: int = 0
    ids: list[str] | None = None
    fields: dict[str, Any] | None = None
    seed: int = 7
    updated_at: str | None = None
    bump: bool = True
    pick: Pick = "any"


class AddBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST customers/add: rows, or how many to invent."""

    organisation: str
    customers: list[dict[str, Any]] = []
    count: int = 0


class MembershipsBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST memberships."""

    organisation: str
    customer: str
    lists: list[dict[str, str]]


class InstallBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST install and uninstall."""

    organisation: str
    status: int = 404


class LokeAdmin:
    """Hands admin calls to the same methods that a test calls in process."""

    def __init__(self, loke: Loke) -> None:
        """Steer ``loke``."""
        self._loke = loke
        self._admin = Admin(
            "loke",
            loke.faults,
            loke.requests,
            {
                ("POST", "reset"): lambda _: loke.reset(),
                ("POST", "seed"): self._seed,
                ("POST", "customers/mutate"): self._mutate,
                ("POST", "customers/add"): self._add,
                ("POST", "customers/delete"): self._delete,
                ("POST", "memberships"): self._memberships,
                ("POST", "uninstall"): self._uninstall,
                ("POST", "install"): self._install,
                ("POST", "tokens/revoke"): lambda _: {"revoked": loke.tokens.revoke_all()},
                ("GET", "switches"): lambda _: loke.switches,
                ("POST", "switches"): self._switch,
                ("GET", "state"): self._state,
            },
        )

    def answer(self, request: Request) -> Answer:
        """Do one admin call."""
        return self._admin.answer(request)

    def _seed(self, request: Request) -> Any:
        body = read_body(request, SeedBody)
        return {"customers": self._loke.seed(body.organisation, body.customers)}

    def _mutate(self, request: Request) -> Any:
        body = read_body(request, MutateBody)
        ids = self._loke.mutate(
            body.organisation,
            ids=body.ids,
            count=body.count,
            fields=body.fields,
            updated_at=body.updated_at,
            bump=body.bump,
            pick=body.pick,
            seed=body.seed,
        )
        return {"ids": ids}

    def _add(self, request: Request) -> Any:
        body = read_body(request, AddBody)
        rows = body.customers or [{} for _ in range(body.count)]
        return {"ids": self._loke.add(body.organisation, rows)}

    def _delete(self, request: Request) -> Any:
        body = read_body(request, MutateBody)
        ids = self._loke.delete(
            body.organisation, ids=body.ids, count=body.count, pick=body.pick, seed=body.seed
        )
        return {"ids": ids}

    def _memberships(self, request: Request) -> None:
        body = read_body(request, MembershipsBody)
        self._loke.set_memberships(body.organisation, body.customer, body.lists)

    def _uninstall(self, request: Request) -> None:
        body = read_body(request, InstallBody)
        self._loke.uninstall(body.organisation, status=body.status)

    def _install(self, request: Request) -> None:
        self._loke.install(read_body(request, InstallBody).organisation)

    def _switch(self, request: Request) -> Any:
        return self._loke.switch(**read_body(request, dict[str, Any]))

    def _state(self, request: Request) -> Any:
        query = request.query
        if "organisation" not in query:
            return {
                "organisations": [
                    {"id": key, "slug": each.organisation.slug, "customers": len(each.store)}
                    for key, each in self._loke.tenants.items()
                ]
            }
        offset, limit = int(query.get("offset", "0")), int(query.get("limit", str(_STATE_PAGE)))
        return {
            "total": self._loke.count(query["organisation"]),
            "customers": self._loke.customers(query["organisation"], offset=offset, limit=limit),
        }
