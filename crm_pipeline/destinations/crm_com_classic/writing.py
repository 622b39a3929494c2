"""One purchase or refund: what is sent, and what the answer makes of the change.

Here: what our fields mean to the Web API. Not here: order, trying again, and what becomes of an
unknown outcome (``sync.apply``).
"""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from crm_pipeline.core.normalise import exponent_of
from crm_pipeline.core.records import Change, Fields, WriteResult
from crm_pipeline.destinations.crm_com_classic.assumptions import (
    EXTERNAL_SYSTEM,
    PAYER_ENTITY,
    UNIT_KEY,
)
from crm_pipeline.destinations.crm_com_classic.attempts import (
    FOUND,
    INVALID_VALUE,
    NOT_POSSIBLE,
    acked,
    rejected,
    try_once,
)
from crm_pipeline.destinations.crm_com_classic.calls import Tally
from crm_pipeline.destinations.crm_com_classic.client import ClassicClient
from crm_pipeline.destinations.crm_com_classic.closing import (
    Amounts,
    UnbalancedSaleError,
    sum_lines,
)
from crm_pipeline.destinations.crm_com_classic.envelope import ClassicRefusedError
from crm_pipeline.destinations.crm_com_classic.finding import Finder, is_cancelled
from crm_pipeline.destinations.crm_com_classic.identifiers import (
    Identifier,
    identify,
    parse_identifier,
    shown_means,
)
from crm_pipeline.destinations.crm_com_classic.sales import Line, Sale

ALREADY_CANCELLED = "already_cancelled"


class UnfitError(ValueError):
    """A change that cannot be said to the Web API. ``reason`` is stable; no value is in it."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail


@dataclass(frozen=True, slots=True)
class PurchaseWriter:
    """Makes purchases. ``unit`` is where they happen when a purchase does not say."""

    client: ClassicClient
    finder: Finder
    unit: str

    def write(self, change: Change) -> WriteResult:
        """Try one change once."""
        if change.kind != "create":
            return _free(NOT_POSSIBLE, "A purchase cannot be changed at CRM.COM.")
        try:
            sale = read_sale(change.after, change.key, unit=self.unit)
        except UnfitError as error:
            return _free(error.reason, error.detail)
        except UnbalancedSaleError as error:
            return _free(error.code, error.happened)
        result = try_once(lambda tally: self._create(change.key, sale, tally))
        self.finder.remember(change.key, sale.payer if result.status == "unknown" else None)
        return result

    def _create(self, key: str, sale: Sale, tally: Tally) -> WriteResult:
        try:
            made = self.client.create_purchase(sale, tally=tally)
        except ClassicRefusedError as refusal:
            return self._refused(key, sale, refusal, tally)
        if not made.id:
            return WriteResult(
                status="unknown", reason="id_unknown", detail="CRM.COM gave the purchase no id."
            )
        return acked(made.id)

    def _refused(
        self, key: str, sale: Sale, refusal: ClassicRefusedError, tally: Tally
    ) -> WriteResult:
        """Say what a refusal means: perhaps an earlier write of ours, whose answer was lost.

        The external number is unique, and no list of error codes is known: so a look decides.
        """
        try:
            found = self.finder.listed(key, sale.payer, tally)
        except ClassicRefusedError:
            found = None
        if found is not None:
            return acked(str(found.id), reason=FOUND)
        return rejected(INVALID_VALUE, f"CRM.COM refused the purchase ({refusal.told}).")


@dataclass(frozen=True, slots=True)
class RefundWriter:
    """Cancels purchases that were refunded as a whole."""

    client: ClassicClient
    finder: Finder

    def write(self, change: Change) -> WriteResult:
        """Try one change once."""
        if change.kind != "create" or change.after.get("kind") != "cancel":
            return _free(
                NOT_POSSIBLE,
                "The classic Web API can cancel a whole purchase only; a part cannot be returned.",
            )
        crm_id = change.references.get("purchase_key")
        if not crm_id:
            return _free("purchase_not_in_crm", "The purchase that it undoes is not known.")
        return try_once(lambda tally: self._cancel(crm_id, tally))

    def _cancel(self, crm_id: str, tally: Tally) -> WriteResult:
        try:
            self.client.cancel_purchase(identify("event", id=crm_id), tally=tally)
        except ClassicRefusedError as refusal:
            found = self.finder.find("", crm_id, tally)
            if found is not None and is_cancelled(found):
                return acked(crm_id, reason=ALREADY_CANCELLED)
            return rejected(INVALID_VALUE, f"CRM.COM refused to cancel it ({refusal.told}).")
        return acked(crm_id)


def read_sale(fields: Fields, key: str, *, unit: str) -> Sale:
    """Return the purchase that our fields describe.

    Raises UnfitError for what is missing or does not add up; it names no value.
    """
    exponent = exponent_of(str(fields.get("currency")))
    if exponent is None:
        raise UnfitError(INVALID_VALUE, "The currency is not known.")
    lines = _lines(fields)
    _check_totals(fields, lines, exponent)
    classification = fields.get("classification")
    return Sale(
        payer=_payer(fields),
        place=_place(fields, unit),
        at=_moment(fields.get("date")),
        reference_number=str(fields.get("reference_number") or key),
        external_system=EXTERNAL_SYSTEM,
        external_reference_number=key,
        classification=identify("classification", name=str(classification))
        if classification
        else None,
        currency=identify("currency", code=str(fields["currency"])),
        description=str(fields["notes"]) if fields.get("notes") else None,
        lines=lines,
        exponent=exponent,
    )


def _free(reason: str, detail: str) -> WriteResult:
    return replace(rejected(reason, detail), calls=0)


def _payer(fields: Fields) -> Identifier:
    participant = fields.get("participant")
    if not participant:
        raise UnfitError(
            "participant_missing",
            "Nothing identifies the customer to CRM.COM, which takes no anonymous purchases.",
        )
    return shown_means(PAYER_ENTITY, str(participant))


def _place(fields: Fields, unit: str) -> Identifier:
    if fields.get("tap_code"):
        return identify("tap", code=str(fields["tap_code"]))
    text = str(fields.get("organisation_id") or unit)
    if not text:
        raise UnfitError("unit_missing", "No unit is configured for the place of sale.")
    return parse_identifier("unit", text, default_key=UNIT_KEY)


def _moment(date: object) -> dt.datetime:
    try:
        return dt.datetime.fromtimestamp(int(str(date)), dt.UTC)
    except (ValueError, OverflowError, OSError):
        raise UnfitError("time_unreadable", "The time of the purchase is not readable.") from None


def _lines(fields: Fields) -> list[Line]:
    try:
        listed = msgspec.json.decode(str(fields.get("lines") or "[]"), type=list[dict[str, Any]])
    except msgspec.DecodeError:
        raise UnfitError(INVALID_VALUE, "The lines of the purchase are not readable.") from None
    if listed:
        return [_line(each) for each in listed]
    names = {"net_amount": "net", "tax_amount": "tax", "total_amount": "total"}
    return [_line({member: fields.get(name) for member, name in names.items()})]


def _line(given: Mapping[str, Any]) -> Line:
    total = _amount(given.get("total_amount"))
    net, tax = given.get("net_amount"), given.get("tax_amount")
    vat = Decimal(0) if tax is None else _amount(tax)
    amounts = Amounts(net=total - vat if net is None else _amount(net), vat=vat, total=total)
    sku = given.get("sku")
    return Line(
        amounts=amounts,
        quantity=_amount(given.get("quantity", 1)),
        product=identify("product", code=str(sku)) if sku else None,
    )


def _check_totals(fields: Fields, lines: list[Line], exponent: int) -> None:
    """Refuse a purchase whose lines are not its total: it would award something else."""
    listed = sum_lines([line.amounts for line in lines], exponent=exponent).total
    if fields.get("total") is not None and listed != _amount(fields["total"]):
        raise UnfitError("unbalanced_amounts", "The lines of the purchase are not its total.")


def _amount(value: object) -> Decimal:
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        raise UnfitError(INVALID_VALUE, "An amount of the purchase is no number.") from None
    if not amount.is_finite():
        raise UnfitError(INVALID_VALUE, "An amount of the purchase is no number.")
    return amount
