"""What the Web API answers, as far as we use it.

With a ``fields_set`` any member may be missing, so all have a default. Amounts are decimals, never
floats. What is personal stays out of every ``repr``.
"""

from decimal import Decimal

import msgspec


class Receivable(msgspec.Struct, frozen=True):
    """The account of a participant."""

    id: str | None = None
    number: str | None = None
    life_cycle_state: str | None = None


class Wallet(msgspec.Struct, frozen=True):
    """What a participant can spend."""

    id: str | None = None
    number: str | None = None
    balance: Decimal | None = None
    currency: str | None = None


class Participant(msgspec.Struct, frozen=True):
    """A customer who takes part in rewards."""

    id: str | None = None
    number: str | None = None
    sign_up_on: str | None = None
    life_cycle_state: str | None = None
    accounts_receivable: Receivable | None = None
    wallet: Wallet | None = None


class Preview(msgspec.Struct, frozen=True):
    """What a purchase would award, and what could be spent on it."""

    total_award_amount: Decimal | None = None
    total_instant_spend_amount: Decimal | None = None
    total_automatic_spend_amount: Decimal | None = None
    total_additional_spend_amount: Decimal | None = None
    minimum_spend_amount_per_transaction: Decimal | None = None
    maximum_spend_amount_per_transaction: Decimal | None = None
    reduction_method: str | None = None
    rewards_participant_id: str | None = None
    rewards_participant_name: str | None = None
    wallet_balance: Decimal | None = None
    allow_spending: bool | None = None

    def __repr__(self) -> str:
        return f"Preview(rewards_participant_id={self.rewards_participant_id!r})"


class Award(msgspec.Struct, frozen=True):
    """One award of a purchase."""

    id: str | None = None
    number: str | None = None
    amount: Decimal | None = None
    life_cycle_state: str | None = None


class PurchaseEvent(msgspec.Struct, frozen=True):
    """A purchase as CRM.COM holds it."""

    id: str | None = None
    number: str | None = None
    type: str | None = None
    life_cycle_state: str | None = None
    performed_on: str | None = None
    reference_number: str | None = None
    external_system_reference_number: str | None = None
    total_amount: Decimal | None = None
    net_amount: Decimal | None = None
    vat_amount: Decimal | None = None
    total_awarded_amount: Decimal | None = None
    requested_spend_amount: Decimal | None = None
    total_spend_amount: Decimal | None = None
    award_reward_transactions_set: tuple[Award, ...] = ()


class SpendRequest(msgspec.Struct, frozen=True):
    """What was really spent, which may be less than was asked for."""

    id: str | None = None
    number: str | None = None
    type: str | None = None
    life_cycle_state: str | None = None
    spend_amount: Decimal | None = None
    instant_spend: bool | None = None
    automatic_spend: bool | None = None
    reduction_method: str | None = None


class DoneSale(msgspec.Struct, frozen=True):
    """One purchase of many that was made."""

    request_unique_identifier: str
    id: str | None = None
    number: str | None = None


class UndoneSale(msgspec.Struct, frozen=True):
    """One purchase of many that was refused; the description may be personal."""

    request_unique_identifier: str
    error_code: str | None = None


class BulkSales(msgspec.Struct, frozen=True):
    """What became of many purchases: an OK answer may hold refused ones."""

    processed_customer_events_set: tuple[DoneSale, ...] = ()
    unprocessed_customer_events_set: tuple[UndoneSale, ...] = ()


class DoneProduct(msgspec.Struct, frozen=True):
    """One product that was taken; ``message`` names what of it was not updated."""

    request_code: str
    id: str | None = None
    code: str | None = None
    message: str | None = None


class UndoneProduct(msgspec.Struct, frozen=True):
    """One product that was refused."""

    request_code: str | None = None
    error_code: str | None = None


class Synchronised(msgspec.Struct, frozen=True):
    """What became of some products: an OK answer may hold refused ones."""

    processed_products_set: tuple[DoneProduct, ...] = ()
    unprocessed_products_set: tuple[UndoneProduct, ...] = ()
