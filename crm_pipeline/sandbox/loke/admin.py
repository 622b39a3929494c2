"""The admin endpoints of the fake LOKE, under ``/_sandbox/``."""

from typing import Any

from crm_pipeline.sandbox.control.admin import Admin, AdminError, Command, read_body
from crm_pipeline.sandbox.loke import commands
from crm_pipeline.sandbox.loke.tenants import Tenant
from crm_pipeline.sandbox.loke.vendor import Loke
from crm_pipeline.sandbox.wire import Answer, Request

_STATE_PAGE = 1000


class LokeAdmin:
    """Hands admin calls to the same methods that a test calls in process."""

    def __init__(self, loke: Loke) -> None:
        """Steer ``loke``."""
        self._loke = loke
        self._admin = Admin("loke", loke.faults, loke.requests, self._commands())

    def answer(self, request: Request) -> Answer:
        """Do one admin call."""
        return self._admin.answer(request)

    def _commands(self) -> dict[tuple[str, str], Command]:
        loke = self._loke
        return {
            ("POST", "reset"): lambda _: loke.reset(),
            ("POST", "seed"): self._seed,
            ("POST", "customers/mutate"): self._mutate,
            ("POST", "customers/add"): self._add,
            ("POST", "customers/delete"): self._delete,
            ("POST", "customers/statistics"): self._statistics,
            ("POST", "memberships"): self._memberships,
            ("POST", "lists"): self._create_list,
            ("POST", "lists/rename"): self._rename_list,
            ("POST", "lists/delete"): self._delete_list,
            ("POST", "members/add"): self._add_members,
            ("POST", "members/remove"): self._remove_members,
            ("POST", "payments"): self._pay,
            ("POST", "payments/refund"): self._refund,
            ("POST", "orders"): self._place_order,
            ("POST", "orders/move"): self._move_order,
            ("POST", "uninstall"): self._uninstall,
            ("POST", "install"): self._install,
            ("POST", "tokens/revoke"): lambda _: {"revoked": loke.tokens.revoke_all()},
            ("GET", "hooks"): self._read_hooks,
            ("GET", "hooks/switches"): lambda _: loke.hooks.switches,
            ("POST", "hooks/switches"): self._switch_hooks,
            ("POST", "hooks/advance"): self._advance_hooks,
            ("GET", "switches"): lambda _: loke.switches,
            ("POST", "switches"): self._switch,
            ("GET", "state"): self._state,
        }

    def _seed(self, request: Request) -> Any:
        body = read_body(request, commands.SeedBody)
        return {"customers": self._loke.seed(body.organisation, body.customers)}

    def _mutate(self, request: Request) -> Any:
        body = read_body(request, commands.MutateBody)
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
        body = read_body(request, commands.AddBody)
        rows = body.customers or [{} for _ in range(body.count)]
        return {"ids": self._loke.add(body.organisation, rows)}

    def _delete(self, request: Request) -> Any:
        body = read_body(request, commands.MutateBody)
        ids = self._loke.delete(
            body.organisation, ids=body.ids, count=body.count, pick=body.pick, seed=body.seed
        )
        return {"ids": ids}

    def _statistics(self, request: Request) -> Any:
        body = read_body(request, commands.StatisticsBody)
        tenant = self._loke.tenant(body.organisation)
        ids = self._chosen(tenant, body.ids, body.count, body.seed)
        for customer_id in ids:
            self._loke.update_statistics(
                body.organisation, customer_id, fields=body.fields, bump=body.bump
            )
        return {"ids": ids}

    def _memberships(self, request: Request) -> None:
        body = read_body(request, commands.MembershipsBody)
        self._loke.set_memberships(body.organisation, body.customer, body.lists)

    def _create_list(self, request: Request) -> Any:
        body = read_body(request, commands.NewListBody)
        made = self._loke.create_list(
            body.organisation, body.name, list_id=body.id, is_ours=body.ours
        )
        return {"id": made}

    def _rename_list(self, request: Request) -> None:
        body = read_body(request, commands.ListBody)
        if not body.name:
            raise AdminError("name must not be empty")
        self._loke.rename_list(body.organisation, body.list_id, body.name)

    def _delete_list(self, request: Request) -> None:
        body = read_body(request, commands.ListBody)
        self._loke.delete_list(body.organisation, body.list_id)

    def _add_members(self, request: Request) -> Any:
        body = read_body(request, commands.MembersBody)
        tenant = self._loke.tenant(body.organisation)
        ids = self._chosen(tenant, body.ids, body.count, body.seed)
        return {"ids": self._loke.add_members(body.organisation, body.list_id, ids)}

    def _remove_members(self, request: Request) -> Any:
        body = read_body(request, commands.MembersBody)
        ids = body.ids
        if ids is None and body.count:
            ids = self._loke.members(body.organisation, body.list_id)[: body.count]
        return {"ids": self._loke.remove_members(body.organisation, body.list_id, ids)}

    def _pay(self, request: Request) -> Any:
        body = read_body(request, commands.PaymentBody)
        made = [
            self._loke.complete_payment(
                body.organisation,
                customer=body.customer,
                location=body.location,
                total=body.total,
                fields=body.fields,
            )
            for _ in range(body.count)
        ]
        return {"ids": [each["id"] for each in made]}

    def _refund(self, request: Request) -> Any:
        body = read_body(request, commands.RefundBody)
        return self._loke.refund(body.organisation, body.payment, amount=body.amount)

    def _place_order(self, request: Request) -> Any:
        body = read_body(request, commands.OrderBody)
        return self._loke.place_order(
            body.organisation,
            customer=body.customer,
            location=body.location,
            total=body.total,
            paid=body.paid,
        )

    def _move_order(self, request: Request) -> Any:
        body = read_body(request, commands.StepBody)
        moves = {
            "accepted": self._loke.accept_order,
            "rejected": self._loke.reject_order,
            "completed": self._loke.complete_order,
        }
        return moves[body.to](body.organisation, body.order)

    def _uninstall(self, request: Request) -> None:
        body = read_body(request, commands.InstallBody)
        self._loke.uninstall(body.organisation, status=body.status)

    def _install(self, request: Request) -> None:
        self._loke.install(read_body(request, commands.InstallBody).organisation)

    def _read_hooks(self, request: Request) -> Any:
        hooks = self._loke.hooks
        return {
            "waiting": hooks.waiting,
            "deliveries": hooks.deliveries(request.query.get("event")),
        }

    def _switch_hooks(self, request: Request) -> Any:
        return self._loke.hooks.switch(**read_body(request, dict[str, Any]))

    def _advance_hooks(self, request: Request) -> None:
        self._loke.hooks.advance(read_body(request, commands.AdvanceBody).seconds)

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
        tenant = self._loke.tenant(query["organisation"])
        offset, limit = int(query.get("offset", "0")), int(query.get("limit", str(_STATE_PAGE)))
        return {
            "total": len(tenant.store),
            "payments": len(tenant.payments),
            "lists": [each.body() for each in tenant.lists.lists.values()],
            "locations": [each["id"] for each in tenant.locations],
            "webhooks": [each.body() for each in tenant.subscriptions.all()],
            "customers": self._loke.customers(query["organisation"], offset=offset, limit=limit),
        }

    @staticmethod
    def _chosen(tenant: Tenant, ids: list[str] | None, count: int, seed: int) -> list[str]:
        return ids if ids is not None else tenant.store.pick(count, "any", seed)
