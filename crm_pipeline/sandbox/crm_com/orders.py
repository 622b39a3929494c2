"""Orders: placed by people inside CRM.COM, worked off from outside.

Amounts are integers in the smallest unit of the business's currency.

Here: states, what actions do to orders and wallets. Not here: bodies, HTTP, webhooks.
"""

import dataclasses
import random
import uuid
from collections.abc import Sequence
from decimal import Decimal
from typing import Literal

from crm_pipeline.sandbox.crm_com.contacts import new_id
from crm_pipeline.sandbox.crm_com.failures import INVALID_STATE, RefusedError, invalid, not_found
from crm_pipeline.sandbox.crm_com.money import share
from crm_pipeline.sandbox.crm_com.switches import CrmComSwitches
from crm_pipeline.sandbox.crm_com.wallets import WalletStore

Action = Literal[
    "START_PROGRESS", "COMPLETE", "CANCEL", "MARK_FAVORITE", "PRINT_ORDER", "ORDER_PROVISION"
]

#: From which states an action leads where. The others leave the state alone.
_TRANSITIONS: dict[str, tuple[frozenset[str], str]] = {
    "START_PROGRESS": (frozenset({"NEW", "ON_HOLD"}), "IN_PROGRESS"),
    "COMPLETE": (frozenset({"NEW", "IN_PROGRESS"}), "COMPLETED"),
    "CANCEL": (frozenset({"NEW", "IN_PROGRESS", "ON_HOLD"}), "CANCELLED"),
}
_REASON_NAMES = ("Items out of stock", "Customer changed their mind", "Shop closed")
#: Cancellation reasons, names by id; the same in every run.
REASONS = {str(uuid.uuid5(uuid.NAMESPACE_OID, name)): name for name in _REASON_NAMES}


@dataclasses.dataclass(frozen=True, slots=True)
class OrderLine:
    """One product of an order; ``price`` is for one piece, tax included."""

    id: str
    product_id: str
    quantity: Decimal
    price: int
    total: int


@dataclasses.dataclass(slots=True, kw_only=True)
class Order:
    """One order. ``state`` may be any text: businesses make their own stages."""

    id: str
    number: str
    state: str
    stage: str
    supply_method: str
    contact_id: str | None
    organisation_id: str
    lines: tuple[OrderLine, ...]
    tax: int
    total: int
    wallet_funds: int
    created_on: int
    updated_on: int
    scheduled_on: int | None = None
    started_on: int | None = None
    completed_on: int | None = None
    cancelled_on: int | None = None
    reason_id: str | None = None
    award: int = 0
    notes: str = ""


class OrderBook:
    """The orders of one business, in the order in which they were placed."""

    def __init__(self, wallets: WalletStore, seed: str) -> None:
        """Start empty."""
        self._wallets = wallets
        self._chance = random.Random(seed)
        self._by_id: dict[str, Order] = {}

    def __len__(self) -> int:
        """Count the orders."""
        return len(self._by_id)

    def find(self, reference: str) -> Order | None:
        """Return an order by id."""
        return self._by_id.get(reference)

    def oldest_first(self) -> list[Order]:
        """Return all orders."""
        return list(self._by_id.values())

    def line(self, product_id: str, quantity: Decimal, price: int) -> OrderLine:
        """Make a line, half a unit going up."""
        total = share(price, quantity * 100)
        return OrderLine(new_id(self._chance), product_id, quantity, price, total)

    def place(
        self,
        lines: Sequence[OrderLine],
        *,
        contact_id: str | None,
        organisation_id: str,
        supply_method: str,
        tax_percentage: Decimal,
        wallet_funds: int,
        now: int,
    ) -> Order:
        """Add a new order; what the wallet gives of ``wallet_funds`` is taken out of it."""
        total = sum(line.total for line in lines)
        held = self._wallets.balance(contact_id) if contact_id else 0
        order = Order(
            id=new_id(self._chance),
            number=f"O{len(self._by_id) + 1:06d}",
            state="NEW",
            stage="New",
            supply_method=supply_method,
            contact_id=contact_id,
            organisation_id=organisation_id,
            lines=tuple(lines),
            tax=share(total, tax_percentage * 100 / (100 + tax_percentage)),
            total=total,
            wallet_funds=max(0, min(wallet_funds, held, total)),
            created_on=now,
            updated_on=now,
        )
        self._by_id[order.id] = order
        self._move(order, -order.wallet_funds, now)
        return order

    def act(
        self,
        order: Order,
        action: Action,
        reason_id: str | None,
        switches: CrmComSwitches,
        now: int,
    ) -> bool:
        """Do what a client asked for; says whether the order changed. Raises RefusedError."""
        transition = _TRANSITIONS.get(action)
        if transition is None:
            return False
        allowed, state = transition
        if order.state not in allowed:
            raise RefusedError(
                400,
                "The order's state does not allow that.",
                INVALID_STATE,
                ["order", order.id, order.state],
            )
        if action == "CANCEL":
            self._check_reason(reason_id, switches)
            order.reason_id, order.cancelled_on = reason_id, now
            self._move(order, order.wallet_funds, now)
        elif action == "COMPLETE":
            order.completed_on = now
            self._award(order, switches, now)
        else:
            order.started_on = now
        order.state, order.stage = state, state.replace("_", " ").capitalize()
        order.updated_on = now
        return True

    @staticmethod
    def _check_reason(reason_id: str | None, switches: CrmComSwitches) -> None:
        if not reason_id:
            raise invalid("cancellation_reason_id", "A mandatory value is missing.")
        if reason_id not in REASONS:
            raise not_found(switches.not_found_status, "cancellation_reason", reason_id)

    def _award(self, order: Order, switches: CrmComSwitches, now: int) -> None:
        if order.contact_id is not None:
            order.award = share(order.total, switches.award_percentage)
            self._wallets.post(order.contact_id, order.award, "AWARD", now=now, cause_id=order.id)

    def _move(self, order: Order, amount: int, now: int) -> None:
        if order.contact_id is not None:
            self._wallets.post(order.contact_id, amount, "ORDER", now=now, cause_id=order.id)
