"""A purchase is posted once under its reference, whatever happens to the answer.

Before anything is sent it is looked up; so it is when the answer is lost, and when CRM.COM says
that there is one. What is found counts only when it is the same sale.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from crm_pipeline.core.records import FieldValue
from crm_pipeline.destinations.crm_com.attempts import id_in
from crm_pipeline.destinations.crm_com.problems import Problem, read_problem
from crm_pipeline.destinations.crm_com.purchases.bodies import purchase_body
from crm_pipeline.destinations.crm_com.purchases.reading import contact_of, is_cancelled
from crm_pipeline.destinations.crm_com.values import as_object, as_text, json_number
from crm_pipeline.errors import AnswerLostError, DataError, MalformedAnswerError
from crm_pipeline.http import Answer
from crm_pipeline.pos.amounts import read_amount, show_amount
from crm_pipeline.pos.assumptions import COMPLETED, NOT_ENOUGH_NAMES, OTP_MEMBER, OTP_WORDS
from crm_pipeline.pos.calls import PosCalls
from crm_pipeline.pos.orders import state_of_order
from crm_pipeline.pos.refusals import (
    ContactUnknownError,
    OrderGuardedError,
    OtpRefusedError,
    PosRefusedError,
    ReferenceTakenError,
    WalletTooSmallError,
)
from crm_pipeline.pos.register import Content, Register, is_return
from crm_pipeline.pos.values import Posted, Sale, SaleLine, Spend


class Selling:
    """Posts purchases. Thread-safe; the caller gives each reference one turn at a time.

    ``now`` is in epoch seconds. ``currency`` is the one that wallets are kept in.
    """

    def __init__(
        self, calls: PosCalls, register: Register, *, currency: str, now: Callable[[], int]
    ) -> None:
        self._calls = calls
        self._register = register
        self._currency = currency
        self._now = now

    def post(self, sale: Sale, contact_id: str | None, *, otp: str, spend: Spend | None) -> Posted:
        """Post a sale that was checked, or return what was posted of it before."""
        found = self._register.find(sale.reference)
        if found is not None:
            return self._same(found, sale, contact_id)
        self._refuse_completed_order(sale.reference)
        answer = self._send(self._body(sale, contact_id, otp, spend))
        if answer is None:
            found = self._register.find_in_doubt(sale.reference, "purchase")
            return self._same(found, sale, contact_id, was_there=False)
        if answer.is_success:
            return self._posted_by(answer, sale, contact_id)
        problem = read_problem(answer)
        if problem.is_duplicate:
            found = self._register.find_in_doubt(sale.reference, "purchase")
            return self._same(found, sale, contact_id)
        raise _refusal(problem, sale.reference)

    def _refuse_completed_order(self, reference: str) -> None:
        """An order that was completed has been awarded: it is no purchase a second time."""
        if not _is_guid(reference):
            return
        order = self._calls.order(reference)
        if order is not None and state_of_order(order) == COMPLETED:
            raise OrderGuardedError(
                f"The order {reference} is completed, and CRM.COM has awarded it.",
                not_done="No purchase was posted.",
                remedy="Nothing to do: an order is completed or posted as a purchase, never both.",
            )

    def _body(
        self, sale: Sale, contact_id: str | None, otp: str, spend: Spend | None
    ) -> Mapping[str, Any]:
        body = purchase_body(
            sale_fields(sale, self._register.own_id(sale.reference), self._now()), contact_id
        )
        if otp:
            body["contact"] = {OTP_MEMBER: otp}
        if spend is not None:
            body["spend_request"] = {
                "amount": json_number(show_amount(spend.amount, sale.currency)),
                "restrict_fully_covered": spend.must_be_covered,
            }
        return body

    def _send(self, body: Mapping[str, Any]) -> Answer | None:
        """POST once; None when it may have been done and no usable answer came."""
        try:
            answer = self._calls.post_purchase(body)
            if answer.is_success:
                id_in(answer)
        except (AnswerLostError, MalformedAnswerError):
            return None
        return answer

    def _posted_by(self, answer: Answer, sale: Sale, contact_id: str | None) -> Posted:
        """Read the purchase back when its answer does not tell all of it.

        An id that we did not choose may be a purchase that was there.
        """
        crm_id = id_in(answer)
        told = as_object(answer.json()) if crm_id else {}
        rewards = as_object(told.get("rewards"))
        spend = read_amount(rewards.get("spend"), self._currency)
        if crm_id == self._register.own_id(sale.reference) and spend is not None:
            return Posted(
                id=crm_id,
                reference=sale.reference,
                currency=sale.currency,
                total=sale.total,
                contact_id=contact_id,
                wallet_currency=self._currency,
                award=read_amount(rewards.get("award"), self._currency),
                spend=spend,
                was_there=False,
            )
        found = self._register.by_id(crm_id) if crm_id else None
        if found is None:
            found = self._register.find_in_doubt(sale.reference, "purchase")
        return self._same(found, sale, contact_id, was_there=False)

    def _same(
        self, found: Content, sale: Sale, contact_id: str | None, *, was_there: bool = True
    ) -> Posted:
        """Return what was found when it is this sale. Raises ReferenceTakenError otherwise."""
        fault = _difference(found, sale, contact_id)
        if fault:
            raise ReferenceTakenError(
                f"Under the reference {sale.reference} CRM.COM holds {fault}.",
                not_done="Nothing was posted.",
                remedy="Choose a reference that was never used, or look up what was sold under"
                " this one.",
            )
        home = as_text(found.get("default_currency_code")) or self._currency
        rewards = as_object(found.get("rewards"))
        return Posted(
            id=str(found["id"]),
            reference=sale.reference,
            currency=sale.currency,
            total=sale.total,
            contact_id=contact_of(found),
            wallet_currency=home,
            award=read_amount(rewards.get("award"), home),
            spend=read_amount(rewards.get("spend"), home),
            was_there=was_there,
        )


def _difference(found: Content, sale: Sale, contact_id: str | None) -> str:
    """Say what tells a purchase from a sale; nothing when they are the same.

    Without ``contact_id`` (nobody, or a one-time password) a contact may have claimed it since.
    """
    if is_return(found):
        return "a return of goods"
    if is_cancelled(found):
        return "a purchase that was voided"
    total = read_amount(as_object(found.get("transaction_amounts")).get("total"), sale.currency)
    if (as_text(found.get("currency_code")) or sale.currency) != sale.currency:
        return "a purchase in another currency"
    if total != sale.total:
        return "a purchase with another total"
    if contact_id is not None and contact_of(found) != contact_id:
        return "a purchase of another contact"
    return ""


def sale_fields(sale: Sale, own_id: str, now: int) -> dict[str, FieldValue]:
    """Return a sale in the flat fields of a purchase; amounts as exact decimals."""

    def shown(units: int) -> str:
        return show_amount(units, sale.currency)

    return {
        "purchase_id": own_id,
        "reference_number": sale.reference,
        "date": sale.date if sale.date is not None else now,
        "currency": sale.currency,
        "total": shown(sale.total),
        "net": shown(sale.net),
        "tax": shown(sale.tax),
        "discount": shown(sale.discount),
        "classification": sale.classification,
        "organisation_id": sale.place.organisation_id,
        "tap_code": sale.place.tap_code,
        "notes": sale.notes,
        "lines": msgspec.json.encode([_line(each, shown) for each in sale.lines]).decode(),
    }


def _line(line: SaleLine, shown: Callable[[int], str]) -> dict[str, str]:
    return {
        "sku": line.sku,
        "name": line.name,
        "family": line.family,
        "quantity": format(line.quantity, "f"),
        "net_amount": shown(line.total - line.tax),
        "tax_amount": shown(line.tax),
        "total_amount": shown(line.total),
    }


def _refusal(problem: Problem, reference: str) -> DataError:
    """Return the error that says what to do about a refusal."""
    not_done = f"The purchase {reference} was not posted."
    if problem.is_not_found and problem.parameters[:1] and problem.parameters[0] in OTP_WORDS:
        return OtpRefusedError(
            "CRM.COM does not accept the one-time password: it is wrong, used or too old.",
            not_done=not_done,
            remedy="Ask the contact for a new one, or sell without it.",
        )
    if any(part in problem.name for part in NOT_ENOUGH_NAMES):
        return WalletTooSmallError(
            "The wallet does not cover the amount to spend.",
            not_done=not_done,
            remedy="Ask for less, or let CRM.COM spend what there is.",
        )
    if problem.is_missing("contact"):
        return ContactUnknownError(
            "CRM.COM has no such contact.",
            not_done=not_done,
            remedy="Identify the contact again, or sell without one.",
        )
    return PosRefusedError(problem.named_detail, not_done=not_done, remedy="Correct it.")


def _is_guid(text: str) -> bool:
    parts = text.split("-")
    return [len(part) for part in parts] == [8, 4, 4, 4, 12] and all(
        letter in "0123456789abcdef" for part in parts for letter in part
    )
