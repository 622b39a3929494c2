"""What goes into a point of sale and what comes out of it.

All amounts are whole numbers of the smallest unit of the currency beside them. What may be
personal is left out of every ``repr``.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from crm_pipeline.core.purchases import Place

MeansKind = Literal["id", "code", "cim", "email", "phone", "loyalty", "wallet"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Means:
    """What a contact is identified by: one thing and its value."""

    kind: MeansKind
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Money in a wallet: what may be spent anywhere (open) and under conditions (commerce)."""

    currency: str
    total: int
    open: int
    commerce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wallet:
    """A contact's wallet; one balance a currency."""

    id: str
    code: str
    balances: tuple[Balance, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ContactSummary:
    """What a till needs to know of a contact. ``wallet`` is None when CRM.COM shows none."""

    id: str
    code: str
    name: str = field(repr=False)
    wallet: Wallet | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SaleLine:
    """One product that was sold. ``total`` is for all pieces, with ``tax`` in it."""

    sku: str
    total: int
    tax: int = 0
    quantity: Decimal = Decimal(1)
    name: str = ""
    family: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sale:
    """What was sold, under a reference that the caller chooses and never uses again.

    ``reference`` is the receipt's number. ``buyer`` None: nobody's, to be claimed with the code on
    the receipt. ``place`` empty: the organisation of the key. ``date`` in epoch seconds, None is
    now. ``discount`` was taken off before; the total is without it.
    """

    reference: str
    currency: str
    lines: tuple[SaleLine, ...]
    buyer: Means | None = None
    place: Place = field(default_factory=Place)
    date: int | None = None
    discount: int = 0
    classification: str = "POS"
    notes: str = field(default="", repr=False)

    @property
    def total(self) -> int:
        """What has to be paid, tax included."""
        return sum(line.total for line in self.lines)

    @property
    def tax(self) -> int:
        """Tax in the total."""
        return sum(line.tax for line in self.lines)

    @property
    def net(self) -> int:
        """The total without tax."""
        return self.total - self.tax


@dataclass(frozen=True, slots=True, kw_only=True)
class Spend:
    """A wish to pay from the wallet. ``must_be_covered``: all of it, or no purchase at all."""

    amount: int
    must_be_covered: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Posted:
    """A purchase that CRM.COM holds.

    ``award`` went into the wallet and ``spend`` came out of it, both in ``wallet_currency``; None
    when CRM.COM does not say. ``was_there``: it had been posted before, nothing was sent now.
    """

    id: str
    reference: str
    currency: str
    total: int
    contact_id: str | None
    wallet_currency: str
    award: int | None
    spend: int | None
    was_there: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """A front-end purchase: ``due`` is what is still to be paid after the spend."""

    posted: Posted
    due: int
    contact: ContactSummary | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Voided:
    """A purchase that is cancelled. ``was_there``: it was before."""

    id: str
    reference: str
    was_there: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Return:
    """Goods that come back without their purchase being known, worth ``amount`` in all."""

    reference: str
    amount: int
    currency: str
    buyer: Means | None = None
    place: Place = field(default_factory=Place)
    date: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GoodsBack:
    """A return that CRM.COM holds. ``debited`` left the wallet; None when it does not say."""

    id: str
    reference: str
    currency: str
    amount: int
    wallet_currency: str
    debited: int | None
    was_there: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderItem:
    """One product of an order, as CRM.COM shows it."""

    sku: str
    name: str
    quantity: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order that a contact placed at CRM.COM. Amounts are None when it does not show them."""

    id: str
    number: str
    state: str
    contact_id: str | None
    contact_code: str | None
    organisation_id: str | None
    supply_method: str | None
    currency: str | None
    total: int | None
    wallet_funds: int | None
    amount_due: int | None
    submitted_at: str | None
    completed_at: str | None
    items: tuple[OrderItem, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OrderDone:
    """An order that is completed or cancelled now. ``was_there``: it was before."""

    id: str
    number: str
    state: str
    was_there: bool
    reason: str = ""
