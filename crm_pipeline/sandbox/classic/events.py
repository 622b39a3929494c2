"""Customer events behind one key: purchases, what they award, and what is spent on them.

Here: state and its rules. Not here: the form of bodies (``sales``), tokens, HTTP.
"""

import dataclasses
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from crm_pipeline.sandbox.classic.envelope import (
    BALANCE,
    DUPLICATE,
    NOT_FOUND,
    NOT_POSTED,
    Data,
    RefusedError,
    amount,
    one_key,
    one_of,
)
from crm_pipeline.sandbox.classic.participants import (
    PARTICIPANT,
    RECEIVABLE,
    Participant,
    Participants,
    hex_id,
)

_CENT = Decimal("0.01")


@dataclasses.dataclass(slots=True)
class Purchase:
    """One purchase, who made it, what it awarded and what was spent on it."""

    data: Data
    owner: Participant
    spends: list[Data] = dataclasses.field(default_factory=list)

    def shown(self) -> Data:
        """Return the purchase as the API does."""
        spent = sum((each["spend_amount"] for each in self.spends), Decimal(0))
        return {**self.data, "requested_spend_amount": spent}


class Events:
    """The purchases and spend requests behind one key, oldest first."""

    def __init__(self, seed: str, participants: Participants) -> None:
        """Start without events."""
        self._seed = seed
        self._participants = participants
        self._count = 0
        self._purchases: list[Purchase] = []
        self._external: set[tuple[str, str]] = set()

    def __len__(self) -> int:
        """Count the purchases."""
        return len(self._purchases)

    def __iter__(self) -> Iterator[Purchase]:
        """Yield the purchases, the first first."""
        return iter(self._purchases)

    def owner(self, body: Data) -> Participant:
        """Return whose event it is. Raises RefusedError for nobody and for two."""
        return self._participants.identified(body, one_of(body, (PARTICIPANT, RECEIVABLE)))

    def create(
        self, sale: Data, owner: Participant, *, award_share: Decimal, may_repeat: bool
    ) -> Purchase:
        """Post a purchase and its award."""
        external = (str(sale["external_system"]), str(sale["external_system_reference_number"]))
        if external in self._external and not may_repeat:
            raise RefusedError(DUPLICATE, "external_system_reference_number")
        if sale["external_system_reference_number"] is not None:
            self._external.add(external)
        awarded = award_of(sale, award_share)
        owner.wallet += awarded
        identity = self._identity()
        purchase = Purchase(
            {
                **identity,
                "type": "PURCHASE",
                "life_cycle_state": "POSTED",
                **sale,
                "total_awarded_amount": awarded,
                "total_spend_amount": Decimal(0),
                "award_reward_transactions_set": [
                    {
                        "id": hex_id(f"award:{identity['id']}"),
                        "number": identity["number"].removeprefix("CE"),
                        "amount": awarded,
                        "life_cycle_state": "POSTED",
                        "rewards_participant": {"id": owner.id, "number": owner.number},
                    }
                ],
            },
            owner,
        )
        self._purchases.append(purchase)
        return purchase

    def spend(self, body: Data, performed_on: str) -> Data:
        """Spend from a wallet on a purchase; never more than the wallet or the purchase holds."""
        owner = self.owner(body)
        purchase = self.named(body.get("purchase_customer_request_identifier"))
        if purchase.data["life_cycle_state"] != "POSTED":
            raise RefusedError(NOT_POSTED, "purchase_customer_request_identifier")
        spent = sum((each["spend_amount"] for each in purchase.spends), Decimal(0))
        open_amount = purchase.data["total_amount"] - spent
        asked = amount(body, "spend_amount") if "spend_amount" in body else open_amount
        given = min(asked, owner.wallet, open_amount)
        if given <= 0:
            raise RefusedError(BALANCE, "The wallet has no balance for this purchase.")
        owner.wallet -= given
        spend = {
            **self._identity(),
            "type": "SPEND REQUEST",
            "life_cycle_state": "POSTED",
            "performed_on": performed_on,
            "spend_amount": given,
            "instant_spend": False,
            "automatic_spend": False,
            "reduction_method": "FRONT_END_REDUCTION",
        }
        purchase.spends.append(spend)
        return spend

    def cancel(self, identifier: Any) -> Purchase:
        """Cancel a posted purchase; awards and spends are taken back."""
        purchase = self.named(identifier)
        if purchase.data["life_cycle_state"] != "POSTED":
            raise RefusedError(NOT_POSTED, "customer_event_identifier")
        purchase.data["life_cycle_state"] = "CANCELLED"
        purchase.owner.wallet -= purchase.data["total_awarded_amount"]
        for award in purchase.data["award_reward_transactions_set"]:
            award["life_cycle_state"] = "CANCELLED"
        for spend in purchase.spends:
            spend["life_cycle_state"] = "CANCELLED"
            purchase.owner.wallet += spend["spend_amount"]
        return purchase

    def named(self, identifier: Any) -> Purchase:
        """Return the purchase that an identifier object names."""
        key, value = one_key(identifier, "customer_event_identifier", ("id", "number"))
        return self._first(lambda each: each.data[key] == value)

    def listed(self, body: Data) -> list[Purchase]:
        """Return the purchases of one participant or of one classification, newest first."""
        member = one_of(body, (PARTICIPANT, RECEIVABLE, "classification_identifier"))
        newest_first = reversed(self._purchases)
        if member == "classification_identifier":
            _, name = one_key(body[member], member, ("id", "name", "alternative_code"))
            return [each for each in newest_first if each.data["classification"] == name]
        owner = self._participants.identified(body, member)
        return [each for each in newest_first if each.owner is owner]

    def _first(self, matches: Callable[[Purchase], bool]) -> Purchase:
        found = next((each for each in self._purchases if matches(each)), None)
        if found is None:
            raise RefusedError(NOT_FOUND, "customer_event_identifier")
        return found

    def _identity(self) -> Data:
        self._count += 1
        number = f"CE{self._count:08d}"
        return {"id": hex_id(f"{self._seed}:{number}"), "number": number}


def award_of(sale: Data, award_share: Decimal) -> Decimal:
    """Return what a purchase awards, rounded to the cent."""
    total: Decimal = sale["total_amount"]
    return (total * award_share).quantize(_CENT, ROUND_HALF_UP)
