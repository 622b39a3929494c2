"""What purchases do: awards and spends, cancellation, returns, claims of what nobody owned.

Amounts are integers in the smallest unit. Contacts, places and classifications are given by id and
exist; whoever calls has looked them up (``purchase_bodies`` for this generation).

Here: rules. Not here: the form of bodies, HTTP.
"""

import dataclasses
from decimal import Decimal

from crm_pipeline.sandbox.crm_com.business import Business
from crm_pipeline.sandbox.crm_com.failures import (
    INVALID_STATE,
    NOT_ENOUGH,
    REFERENCE_TAKEN,
    RefusedError,
    invalid,
)
from crm_pipeline.sandbox.crm_com.money import convert, share
from crm_pipeline.sandbox.crm_com.purchases import Amounts, Line, Purchase, Returned
from crm_pipeline.sandbox.crm_com.switches import CrmComSwitches
from crm_pipeline.sandbox.crm_com.wallets import Event

_NOTHING = Amounts(0, 0, 0, 0)


@dataclasses.dataclass(frozen=True, slots=True)
class SpendRequest:
    """A wish to pay from the wallet, in the purchase's currency."""

    amount: int
    #: Refuse the purchase unless the wallet covers all of it.
    must_cover_all: bool = False


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WantedLine:
    """One product of a purchase, by SKU; an unknown SKU or family is made."""

    sku: str
    name: str | None = None
    family: str | None = None
    quantity: Decimal = Decimal(1)
    net: int | None = None
    tax: int | None = None
    total: int | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A purchase that somebody wants to be kept; without ``contact_id`` it waits for a claim."""

    reference_number: str
    date: int
    currency: str
    amounts: Amounts
    organisation_id: str
    contact_id: str | None = None
    tap_code: str | None = None
    id: str | None = None
    #: By name; an unknown one is made.
    classification: str | None = None
    lines: tuple[WantedLine, ...] = ()
    payment_medium_identifier: str = ""
    notes: str = ""
    spend: SpendRequest | None = None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GoodsBack:
    """Goods that come back without a purchase being named."""

    reference_number: str
    date: int
    currency: str
    amount: int
    organisation_id: str
    contact_id: str | None = None
    tap_code: str | None = None
    id: str | None = None
    notes: str = ""


class Trade:
    """The rules over one business at one moment, under the switches in force."""

    def __init__(self, business: Business, switches: CrmComSwitches, now: float) -> None:
        """Act at ``now``, in epoch seconds."""
        self._business = business
        self._switches = switches
        self._now = now

    def submit(self, wanted: Submission) -> Purchase:
        """Keep a purchase, spend and award. Raises RefusedError and then changes nothing."""
        first = self._first_of(wanted.reference_number, are_returns=False)
        if first is not None:
            return first
        if wanted.amounts.total == 0 and self._switches.zero_total == "refused":
            raise invalid("total")
        spend = self._spend_of(wanted)
        store, catalogue = self._business.purchases, self._business.catalogue
        name = wanted.classification
        purchase = Purchase(
            id=store.free_id(wanted.id if self._switches.purchase_id == "honoured" else None),
            serial=len(store),
            reference_number=wanted.reference_number,
            date=wanted.date,
            created_at=self._now,
            contact_id=wanted.contact_id,
            organisation_id=wanted.organisation_id,
            tap_code=wanted.tap_code,
            classification_id=catalogue.classifications.ensure(name) if name else None,
            currency=wanted.currency,
            amounts=wanted.amounts,
            rate=self._rate(wanted.currency),
            lines=tuple(self._line(each) for each in wanted.lines),
            payment_medium_identifier=wanted.payment_medium_identifier,
            notes=wanted.notes,
        )
        store.add(purchase)
        self._pay(purchase, spend, wanted.spend)
        self._award(purchase)
        return purchase

    def cancel(self, purchase: Purchase) -> None:
        """Undo a purchase: the award goes, the spend comes back. Raises RefusedError."""
        if purchase.state != "POSTED" or purchase.returned is not None:
            raise RefusedError(
                400,
                "Only a posted purchase can be cancelled.",
                INVALID_STATE,
                ["purchase", purchase.id, purchase.state],
            )
        purchase.state = "CANCELLED"
        self._move(purchase, purchase.spend - purchase.award, "CANCELLATION")
        purchase.award = purchase.spend = 0

    def take_back(self, goods: GoodsBack) -> Purchase:
        """Keep an ad hoc return; it takes the award of that amount away. Raises RefusedError."""
        first = self._first_of(goods.reference_number, are_returns=True)
        if first is not None:
            return first
        rate, store = self._rate(goods.currency), self._business.purchases
        home = convert(goods.amount, goods.currency, self._business.currency, rate)
        debit = share(home, self._switches.award_percentage) if goods.contact_id else 0
        kept = Purchase(
            id=store.free_id(goods.id if self._switches.return_id == "honoured" else None),
            serial=len(store),
            reference_number=goods.reference_number,
            date=goods.date,
            created_at=self._now,
            contact_id=goods.contact_id,
            organisation_id=goods.organisation_id,
            tap_code=goods.tap_code,
            classification_id=None,
            currency=goods.currency,
            amounts=_NOTHING,
            rate=rate,
            notes=goods.notes,
            returned=Returned(goods.amount, debit),
        )
        store.add(kept)
        self._move(kept, -debit, "RETURN")
        return kept

    def claim(self, purchase: Purchase, contact_id: str) -> None:
        """Give an anonymous purchase to a person and award it. Raises RefusedError."""
        if purchase.contact_id is not None or purchase.state != "POSTED":
            raise RefusedError(
                400, "The purchase is not to be had.", INVALID_STATE, ["purchase", purchase.id]
            )
        self._business.purchases.give_to(purchase, contact_id)
        self._award(purchase)

    def award_percentage(self, classification_id: str | None) -> Decimal:
        """Return what a purchase of a classification gives."""
        names = self._business.catalogue.classifications
        name = names.name_of(classification_id) if classification_id else None
        is_covered = name not in self._switches.unrewarded_classifications
        return self._switches.award_percentage if is_covered else Decimal(0)

    def _first_of(self, reference_number: str, *, are_returns: bool) -> Purchase | None:
        """Return the purchase to answer with instead of keeping a new one."""
        found = self._business.purchases.with_reference(reference_number)
        same = [each for each in found if (each.returned is not None) is are_returns]
        if not same or self._switches.duplicate_reference == "accept":
            return None
        if self._switches.duplicate_reference == "refuse":
            raise RefusedError(
                400,
                "The reference number is in use.",
                REFERENCE_TAKEN,
                ["reference_number", reference_number],
            )
        return same[0]

    def _line(self, wanted: WantedLine) -> Line:
        catalogue = self._business.catalogue
        family_id = catalogue.families.ensure(wanted.family) if wanted.family else None
        product = catalogue.ensure(
            wanted.sku,
            name=wanted.name,
            family_id=family_id,
            origin="purchase",
            now=int(self._now),
        )
        return Line(product.id, wanted.quantity, wanted.net, wanted.tax, wanted.total)

    def _rate(self, currency: str) -> Decimal:
        if currency == self._business.currency:
            return Decimal(1)
        return self._switches.exchange_rates.get(currency, Decimal(1))

    def _spend_of(self, wanted: Submission) -> int:
        """Return what the wallet pays, in the business's currency."""
        if wanted.spend is None:
            return 0
        if wanted.contact_id is None:
            raise invalid("contact", "Nobody's wallet can pay.")
        rate, home = self._rate(wanted.currency), self._business.currency
        asked = convert(wanted.spend.amount, wanted.currency, home, rate)
        total = convert(wanted.amounts.total, wanted.currency, home, rate)
        balance = self._business.wallets.balance(wanted.contact_id)
        if wanted.spend.must_cover_all and balance < asked:
            raise RefusedError(
                400, "The wallet does not hold enough.", NOT_ENOUGH, ["spend_request"]
            )
        return max(0, min(asked, total, balance))

    def _pay(self, purchase: Purchase, spend: int, asked: SpendRequest | None) -> None:
        if asked is not None:
            purchase.asked_spend = asked.amount
        purchase.spend = spend
        self._move(purchase, -spend, "SPEND")

    def _award(self, purchase: Purchase) -> None:
        if purchase.contact_id is None:
            return
        home = self._business.currency
        total = convert(purchase.amounts.total, purchase.currency, home, purchase.rate)
        purchase.award = share(total, self.award_percentage(purchase.classification_id))
        self._move(purchase, purchase.award, "AWARD")

    def _move(self, purchase: Purchase, amount: int, event: Event) -> None:
        if purchase.contact_id is not None:
            self._business.wallets.post(
                purchase.contact_id, amount, event, now=int(self._now), cause_id=purchase.id
            )
