"""Bodies of purchases, returns and claims: checked, references looked up.

Here: from JSON to a ``Submission``. Not here: what it does (``trade``).
"""

import uuid
from collections.abc import Sequence
from decimal import Decimal

import msgspec

from crm_pipeline.sandbox.crm_com.business import Business
from crm_pipeline.sandbox.crm_com.contacts import Contact
from crm_pipeline.sandbox.crm_com.failures import invalid, not_found
from crm_pipeline.sandbox.crm_com.money import (
    ABSENT,
    read_amount,
    read_currency,
    read_number,
)
from crm_pipeline.sandbox.crm_com.outlets import Outlet
from crm_pipeline.sandbox.crm_com.purchases import Amounts
from crm_pipeline.sandbox.crm_com.shapes import (
    CodeRef,
    ContactRef,
    NamedRef,
    OrganisationRef,
    read_shape,
)
from crm_pipeline.sandbox.crm_com.switches import CrmComSwitches
from crm_pipeline.sandbox.crm_com.trade import GoodsBack, SpendRequest, Submission, WantedLine

#: Epoch seconds beyond this are thousandths sent by mistake (the year 5138).
_MAX_DATE = 10**11


class AmountsBody(msgspec.Struct):
    """``transaction_amounts``."""

    net: msgspec.Raw = ABSENT
    tax: msgspec.Raw = ABSENT
    discount: msgspec.Raw = ABSENT
    total: msgspec.Raw = ABSENT


class LineBody(msgspec.Struct):
    """One of ``products``."""

    sku: str
    name: str | None = None
    family: NamedRef | None = None
    quantity: msgspec.Raw = ABSENT
    net_amount: msgspec.Raw = ABSENT
    tax_amount: msgspec.Raw = ABSENT
    total_amount: msgspec.Raw = ABSENT


class SpendBody(msgspec.Struct):
    """``spend_request``."""

    amount: msgspec.Raw
    restrict_fully_covered: bool = False


class _EventBody(msgspec.Struct):
    """What purchases and returns share."""

    id: str | None = None
    reference_number: str | None = None
    contact: ContactRef | None = None
    organisation: OrganisationRef | None = None
    merchant_tap: CodeRef | None = None
    venue_tap: CodeRef | None = None
    date: int | None = None
    currency_code: str | None = None
    notes: str | None = None

    @property
    def place(self) -> OrganisationRef:
        """Return where it happened, whether a TAP was nested or not."""
        place = self.organisation or OrganisationRef()
        return OrganisationRef(
            place.id, place.merchant_tap or self.merchant_tap, place.venue_tap or self.venue_tap
        )


class PurchaseBody(_EventBody):
    """POST purchases."""

    performed_on: int | None = None
    classification: NamedRef | None = None
    transaction_amounts: AmountsBody | None = None
    payment_medium_identifier: str | None = None
    products: list[LineBody] | None = None
    spend_request: SpendBody | None = None


class ReturnBody(_EventBody, kw_only=True):
    """POST purchases/ad_hoc_return."""

    amount: msgspec.Raw


class ClaimBody(msgspec.Struct):
    """POST purchases/reclaim, of the self-service API: what a receipt's code holds."""

    id: str | None = None
    transaction_code: str | None = None
    organisation: OrganisationRef | None = None
    transaction_amounts: AmountsBody | None = None
    currency_code: str | None = None


class PurchaseReader:
    """Reads bodies for one business at one moment. Every method may raise RefusedError."""

    def __init__(self, business: Business, switches: CrmComSwitches, now: int) -> None:
        """Look references up in ``business``; ``now`` is in epoch seconds."""
        self._business = business
        self._switches = switches
        self._now = now

    def purchase(self, raw: bytes) -> tuple[Submission, str | None]:
        """Read a purchase; also returns the one-time password that was used, if any."""
        body = read_shape(raw, PurchaseBody)
        currency = read_currency(body.currency_code, self._business.currency)
        lines = tuple(_line_of(line, currency) for line in body.products or [])
        amounts = _amounts(body.transaction_amounts, [line.total for line in lines], currency)
        if self._switches.line_sum == "checked" and lines:
            _check_sum(lines, amounts.total)
        contact = self.contact(body.contact)
        place, tap_code = self.place(body.place)
        chosen_id, date = _guid(body.id), self._date(body)
        spend = _spend(body.spend_request, currency)
        submission = Submission(
            id=chosen_id,
            reference_number=body.reference_number or "",
            date=date,
            currency=currency,
            amounts=amounts,
            organisation_id=place.id,
            tap_code=tap_code,
            contact_id=contact["id"] if contact else None,
            classification=self._classification(body.classification),
            lines=lines,
            payment_medium_identifier=body.payment_medium_identifier or "",
            notes=body.notes or "",
            spend=spend,
        )
        return submission, body.contact.otp if body.contact else None

    def goods_back(self, raw: bytes) -> GoodsBack:
        """Read an ad hoc return."""
        body = read_shape(raw, ReturnBody)
        currency = read_currency(body.currency_code, self._business.currency)
        amount = read_amount("amount", body.amount, currency)
        if not amount:
            raise invalid("amount")
        contact = self.contact(body.contact)
        place, tap_code = self.place(body.place)
        return GoodsBack(
            id=_guid(body.id),
            reference_number=body.reference_number or "",
            date=self._checked_date("date", body.date),
            currency=currency,
            amount=amount,
            organisation_id=place.id,
            tap_code=tap_code,
            contact_id=contact["id"] if contact else None,
            notes=body.notes or "",
        )

    def contact(self, ref: ContactRef | None) -> Contact | None:
        """Return the person meant; None when nobody is named."""
        if ref is None:
            return None
        wallet_code = ref.wallet_code or (ref.wallet and (ref.wallet.code or ref.wallet.id))
        for given, find in (
            (ref.id, self._by_reference),
            (ref.code, self._by_reference),
            (ref.cim, self._by_cim),
            (ref.otp, self._by_otp),
            (wallet_code, self._by_wallet),
        ):
            if given:
                return find(given)
        return None

    def place(self, ref: OrganisationRef) -> tuple[Outlet, str | None]:
        """Return where it happened and the TAP that was named; the business when nothing was."""
        status = self._switches.not_found_status
        for tap in (ref.venue_tap, ref.merchant_tap):
            reference = tap and (tap.code or tap.id)
            if reference:
                found = self._business.outlet_at_tap(reference)
                if found is None:
                    raise not_found(status, "tap", reference)
                return found, found.tap_code
        if not ref.id:
            return self._business.outlets[0], None
        found = self._business.outlet(ref.id)
        if found is None:
            raise not_found(status, "organisation", ref.id)
        return found, None

    def _by_reference(self, text: str) -> Contact:
        found = self._business.contacts.find(text)
        if found is None:
            raise not_found(self._switches.not_found_status, "contact", text)
        return found

    def _by_cim(self, text: str) -> Contact:
        found = self._business.contacts.with_cim(text)
        if len(found) != 1:
            raise not_found(self._switches.not_found_status, "contact", text)
        return found[0]

    def _by_otp(self, text: str) -> Contact:
        owner = self._business.otps.owner(text, now=self._now)
        if owner is None:
            raise not_found(self._switches.not_found_status, "otp", text)
        return self._by_reference(owner)

    def _by_wallet(self, text: str) -> Contact:
        wallet = self._business.wallets.find(text)
        if wallet is None:
            raise not_found(self._switches.not_found_status, "wallet", text)
        return self._by_reference(wallet.contact_id)

    def _date(self, body: PurchaseBody) -> int:
        understood = self._switches.purchase_date
        for name, value in (("date", body.date), ("performed_on", body.performed_on)):
            if value is not None and understood in ("both", name):
                return self._checked_date(name, value)
        return self._now

    def _checked_date(self, name: str, value: int | None) -> int:
        if value is None:
            return self._now
        if not 0 < value < _MAX_DATE:
            raise invalid(name, "A date must be in epoch seconds.")
        return value

    def _classification(self, ref: NamedRef | None) -> str | None:
        if ref is None or not ref.id:
            return ref.text if ref else None
        name = self._business.catalogue.classifications.name_of(ref.id)
        if name is None:
            raise not_found(self._switches.not_found_status, "classification", ref.id)
        return name


def claimed_total(body: ClaimBody, default_currency: str) -> tuple[int | None, str]:
    """Return the total and the currency that a receipt's code names."""
    currency = read_currency(body.currency_code, default_currency)
    sums = body.transaction_amounts or AmountsBody()
    return read_amount("total", sums.total, currency), currency


def _line_of(line: LineBody, currency: str) -> WantedLine:
    if not line.sku.strip():
        raise invalid("sku")
    quantity = read_number("quantity", line.quantity)
    if quantity is None:
        quantity = Decimal(1)
    if quantity <= 0:
        raise invalid("quantity")
    net = read_amount("net_amount", line.net_amount, currency)
    tax = read_amount("tax_amount", line.tax_amount, currency)
    total = read_amount("total_amount", line.total_amount, currency)
    if net is not None and tax is not None:
        if total not in (None, net + tax):
            raise invalid("total_amount", "The net and tax amounts do not make the total.")
        total = net + tax
    return WantedLine(
        sku=line.sku,
        name=line.name,
        family=line.family.text if line.family else None,
        quantity=quantity,
        net=net,
        tax=tax,
        total=total,
    )


def _amounts(body: AmountsBody | None, line_totals: list[int | None], currency: str) -> Amounts:
    """Check net + tax = total, or calculate what is missing."""
    sums = body or AmountsBody()
    net = read_amount("net", sums.net, currency)
    tax = read_amount("tax", sums.tax, currency)
    total = read_amount("total", sums.total, currency)
    discount = read_amount("discount", sums.discount, currency) or 0
    if total is None and net is not None:
        total = net + (tax or 0)
    if total is None and line_totals and None not in line_totals:
        total = sum(each for each in line_totals if each is not None)
    if total is None:
        raise invalid("total", "A mandatory value is missing.")
    if net is None:
        net = total - (tax or 0)
    if tax is None:
        tax = total - net
    if net < 0 or tax < 0 or net + tax != total:
        raise invalid("transaction_amounts", "The net and tax amounts do not make the total.")
    return Amounts(net, tax, discount, total)


def _check_sum(lines: Sequence[WantedLine], total: int) -> None:
    known = [line.total for line in lines if line.total is not None]
    if len(known) == len(lines) and sum(known) != total:
        raise invalid("products", "The lines do not make the total.")


def _guid(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise invalid("id") from error


def _spend(body: SpendBody | None, currency: str) -> SpendRequest | None:
    if body is None:
        return None
    amount = read_amount("amount", body.amount, currency)
    if not amount:
        raise invalid("amount")
    return SpendRequest(amount, body.restrict_fully_covered)
