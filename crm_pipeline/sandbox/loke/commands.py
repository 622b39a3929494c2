"""The bodies of the fake LOKE's admin calls."""

from typing import Any, Literal

import msgspec

from crm_pipeline.sandbox.loke.rows import Pick


class OfBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Whom a command concerns: an organisation by slug or id."""

    organisation: str


class SeedBody(OfBody, kw_only=True):
    """POST seed."""

    customers: int


class MutateBody(OfBody, kw_only=True):
    """POST customers/mutate and customers/delete (which knows no fields)."""

    count: int = 0
    ids: list[str] | None = None
    fields: dict[str, Any] | None = None
    seed: int = 7
    updated_at: str | None = None
    bump: bool = True
    pick: Pick = "any"


class AddBody(OfBody, kw_only=True):
    """POST customers/add: rows, or how many to invent."""

    customers: list[dict[str, Any]] = []
    count: int = 0


class StatisticsBody(OfBody, kw_only=True):
    """POST customers/statistics: customers by id, or some by count."""

    ids: list[str] | None = None
    count: int = 0
    fields: dict[str, Any] | None = None
    bump: bool | None = None
    seed: int = 7


class MembershipsBody(OfBody, kw_only=True):
    """POST memberships."""

    customer: str
    lists: list[dict[str, str]]


class NewListBody(OfBody, kw_only=True):
    """POST lists."""

    name: str
    id: str = ""
    #: Whether our own client made it.
    ours: bool = False


class ListBody(OfBody, kw_only=True):
    """POST lists/delete and, with ``name``, lists/rename: a list by id or name."""

    list_id: str = msgspec.field(name="list")
    name: str = ""


class MembersBody(OfBody, kw_only=True):
    """POST members/add and members/remove: customers by id, some by count, or all (remove)."""

    list_id: str = msgspec.field(name="list")
    ids: list[str] | None = None
    count: int = 0
    seed: int = 7


class PaymentBody(OfBody, kw_only=True):
    """POST payments; ``customer`` and ``location`` are ids, "" for none, absent for any."""

    customer: str | None = None
    location: str | None = None
    total: int | None = None
    fields: dict[str, Any] | None = None
    count: int = 1


class RefundBody(OfBody, kw_only=True):
    """POST payments/refund; ``amount`` for a part."""

    payment: str
    amount: int | None = None


class OrderBody(OfBody, kw_only=True):
    """POST orders; ``paid`` completes a payment as well."""

    customer: str | None = None
    location: str | None = None
    total: int | None = None
    paid: bool = False


class StepBody(OfBody, kw_only=True):
    """POST orders/move."""

    order: str
    to: Literal["accepted", "rejected", "completed"]


class InstallBody(OfBody, kw_only=True):
    """POST install and uninstall."""

    status: int = 404


class AdvanceBody(msgspec.Struct, forbid_unknown_fields=True):
    """POST hooks/advance."""

    seconds: float
