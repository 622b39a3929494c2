"""Sample orders at SoPost: they come, change their state, and people answer about consent.

SoPost tells thin events that nobody can ask for again, and answers one order at a time.
"""

import json
from typing import TYPE_CHECKING, Any

from crm_pipeline.sandbox.sopost.hooks import event_of
from crm_pipeline.sandbox.sopost.orders import (
    APPROVED,
    PENDING,
    REJECTED,
    STAGES,
    UNKNOWN_STATUS,
    Order,
    consents_of,
)

if TYPE_CHECKING:
    from crm_pipeline_tests.simulation.organisation import Organisation

#: After these states no order is read again.
FINAL = frozenset({"DELIVERED", REJECTED})
_KINDS = ("newsletter", "several", "empty", "pending", "terms", "foreign")
#: States after which a person may go to the CRM.
PASSED = frozenset(STAGES) - {PENDING}


class Samples:
    """Orders of a handful of people. ``told`` are the ids of orders that a webhook told of."""

    def __init__(self, organisation: "Organisation") -> None:
        self._of = organisation
        self._sopost = organisation.world.sopost
        self._brand = self._sopost.brand(organisation.slug)
        self._people: dict[int, dict[str, Any]] = {}
        self.told: set[str] = set()

    def orders(self, identity: str = "") -> list[Order]:
        """Return all orders, or one person's, the oldest first."""
        found = (each for each in self._sopost.orders.values() if each.brand.id == self._brand.id)
        return [each for each in found if not identity or each.body["identity"] == identity]

    def people(self) -> dict[str, dict[str, Any]]:
        """Return everybody who ever ordered, by identity."""
        return {each["identity"]: each for each in self._people.values()}

    def order(self) -> None:
        """Let somebody order: a stranger, or somebody with the address that a customer has."""
        chance = self._of.world.chance
        number = chance.randrange(4)
        if number not in self._people:
            self._people[number] = self._person(number)
        order_id = self._sopost.place(
            self._of.slug, consents=chance.choice(_KINDS), fields=self._people[number]
        )
        self._tell(order_id)
        if chance.random() < 0.5:
            self._sopost.move(order_id, APPROVED, is_told=False)
            self._tell(order_id)

    def become(self) -> None:
        """Let somebody who ordered become a customer, with the same address."""
        chance = self._of.world.chance
        if self._people:
            email = self._people[chance.choice(sorted(self._people))]["email"]
            self._of.loke.create_customer(self._of.slug, email=email)

    def move(self) -> None:
        """Let an order go on: to its next state, to one that nobody knows, or to its rejection."""
        chance = self._of.world.chance
        moving = [each for each in self.orders() if each.history[-1] not in FINAL]
        if not moving:
            return
        chosen = chance.choice(moving)
        stages = [each for each in chosen.history if each in STAGES]
        following = STAGES[STAGES.index(stages[-1]) + 1]
        status = chance.choice([following] * 6 + [REJECTED, UNKNOWN_STATUS])
        self._sopost.move(chosen.id, status, is_told=False)
        self._tell(chosen.id)

    def answer(self) -> None:
        """Let somebody answer about consent, for or against, which no event tells."""
        chance = self._of.world.chance
        moving = [each for each in self.orders() if each.history[-1] not in FINAL]
        if moving:
            kind = chance.choice(_KINDS)
            fields = {"consents": consents_of(self._brand, kind, 0)}
            self._sopost.change(chance.choice(moving).id, fields)

    def is_granted(self, order: Order) -> bool:
        """Whether an order counts as a yes to e-mail as it is now."""
        is_yes = any(
            each["consent_id"] == self._brand.newsletter_id
            and each["data_handler"] == self._brand.data_handler
            and each["status"] == APPROVED
            for each in order.body["consents"]
        )
        is_passed = bool(PASSED.intersection(order.history))
        return is_yes and is_passed and REJECTED not in order.history

    def _person(self, number: int) -> dict[str, Any]:
        chance = self._of.world.chance
        email = chance.choice(
            [
                f"{chance.randrange(6)}@example.com",
                f"sample{number}@example.com",
                chance.choice(self._of.people()).get("email") or "sample@example.com",
            ]
        )
        return {
            "identity": f"sopost-identity-{number}",
            "full_name": f"Sample{number} Quillfeather",
            "email": email,
            "telephone": f"+6140000001{number}",
        }

    def _tell(self, order_id: str) -> None:
        order = self._sopost.order(order_id)
        status = order.history[-1]
        body = event_of(order, status, order.history.count(status))
        self._of.hooks.append(("sopost", json.dumps(body).encode()))
