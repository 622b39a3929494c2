"""Purchases are voided, goods come back.

A void is safe to repeat: a purchase that is cancelled already is done. A return moves money like a
purchase: it is looked up before it is sent, and whenever its answer is lost.
"""

from collections.abc import Callable, Mapping

from crm_pipeline.destinations.crm_com.attempts import id_in
from crm_pipeline.destinations.crm_com.problems import Problem, read_problem
from crm_pipeline.destinations.crm_com.purchases.bodies import return_body
from crm_pipeline.destinations.crm_com.purchases.reading import contact_of, is_cancelled
from crm_pipeline.destinations.crm_com.values import as_object, as_text
from crm_pipeline.errors import AnswerLostError, CrmPipelineError, MalformedAnswerError
from crm_pipeline.http import Answer
from crm_pipeline.pos.amounts import read_amount, show_amount
from crm_pipeline.pos.calls import PosCalls
from crm_pipeline.pos.refusals import (
    OutcomeUnknownError,
    PosRefusedError,
    PurchaseUnknownError,
    ReferenceTakenError,
)
from crm_pipeline.pos.register import Content, Register, is_return, reference_of
from crm_pipeline.pos.values import GoodsBack, Return, Voided


class Undoing:
    """Voids purchases and takes goods back. Thread-safe; turns are the caller's.

    ``now`` is in epoch seconds. ``currency`` is the one that wallets are kept in.
    """

    def __init__(
        self, calls: PosCalls, register: Register, *, currency: str, now: Callable[[], int]
    ) -> None:
        self._calls = calls
        self._register = register
        self._currency = currency
        self._now = now

    # -- voids -------------------------------------------------------------------------------------

    def void(self, found: Content) -> Voided:
        """Cancel a purchase; one that is cancelled already is done."""
        if is_cancelled(found):
            return _voided(found, was_there=True)
        if is_return(found):
            raise PurchaseUnknownError(
                f"{found['id']} is a return of goods, which cannot be voided.",
                not_done="Nothing was voided.",
                remedy="Name the purchase.",
            )
        answer = self._cancel(str(found["id"]))
        if answer is not None and answer.is_success:
            return _voided(found, was_there=False)
        return self._after_refusal(found, answer)

    def purchase_of(self, reference: str) -> Content:
        """Return the one purchase under a reference: ours, else a posted one, else a cancelled one.

        Raises PurchaseUnknownError for none, and for several that are posted.
        """
        own = self._register.by_id(self._register.own_id(reference))
        if own is not None:
            return own
        found = [each for each in self._register.all(reference) if not is_return(each)]
        posted = [each for each in found if not is_cancelled(each)]
        if len(posted) > 1:
            listed = ", ".join(sorted(str(each["id"]) for each in posted))
            raise PurchaseUnknownError(
                f"CRM.COM holds {len(posted)} purchases under the reference {reference}: {listed}.",
                not_done="Nothing was voided.",
                remedy="Name the one to void by its id.",
            )
        if not found:
            raise PurchaseUnknownError(
                f"CRM.COM has no purchase under the reference {reference}.",
                not_done="Nothing was voided.",
                remedy="Check the reference, or name the purchase by its id.",
            )
        return (posted or found)[0]

    def purchase_with(self, crm_id: str) -> Content:
        """Return a purchase by CRM.COM's id. Raises PurchaseUnknownError."""
        found = self._register.by_id(crm_id)
        if found is None:
            raise PurchaseUnknownError(
                f"CRM.COM has no purchase {crm_id}.",
                not_done="Nothing was voided.",
                remedy="Check the id, or name the purchase by its reference.",
            )
        return found

    def _after_refusal(self, found: Content, answer: Answer | None) -> Voided:
        """Look whether it is cancelled by now; try its other name when the id is not taken."""
        if self._is_cancelled_now(found):
            return _voided(found, was_there=False)
        problem = None if answer is None else read_problem(answer)
        number = reference_of(found)
        if problem is not None and problem.is_not_found and number and self._is_only(number):
            answer = self._cancel(number)
            if (answer is not None and answer.is_success) or self._is_cancelled_now(found):
                return _voided(found, was_there=False)
            problem = None if answer is None else read_problem(answer)
        if problem is None:
            raise OutcomeUnknownError(
                f"The void of {found['id']} was sent, and no answer came.",
                not_done="Whether it is voided is unknown.",
                remedy="Repeat it: voiding twice does no harm.",
            )
        raise PosRefusedError(
            problem.named_detail,
            not_done=f"The purchase {found['id']} was not voided.",
            remedy="Look at it in CRM.COM.",
        )

    def _is_cancelled_now(self, found: Content) -> bool:
        try:
            now = self._register.by_id(str(found["id"]))
        except CrmPipelineError:
            return False
        return now is not None and is_cancelled(now)

    def _is_only(self, reference: str) -> bool:
        """Whether a number names one purchase: cancelling by it must not meet another."""
        return len(self._register.all(reference)) == 1

    def _cancel(self, name: str) -> Answer | None:
        try:
            return self._calls.cancel(name)
        except AnswerLostError:
            return None

    # -- returns -----------------------------------------------------------------------------------

    def take_back(self, wanted: Return, contact_id: str | None) -> GoodsBack:
        """Take goods back under a reference, or return what was taken back before."""
        found = self._register.find(wanted.reference)
        if found is not None:
            return self._same(found, wanted, contact_id, was_there=True)
        answer = self._send(wanted, contact_id)
        if answer is not None and answer.is_success:
            return self._taken_by(answer, wanted, contact_id)
        if answer is not None:
            _raise_refusal(read_problem(answer), wanted.reference)
        found = self._register.find_in_doubt(wanted.reference, "return")
        return self._same(found, wanted, contact_id, was_there=answer is not None)

    def _taken_by(self, answer: Answer, wanted: Return, contact_id: str | None) -> GoodsBack:
        """Read the return back: its answer does not tell what left the wallet."""
        crm_id = id_in(answer)
        found = self._register.by_id(crm_id) if crm_id else None
        if found is None and crm_id:
            return self._untold(wanted, crm_id)
        if found is None:
            found = self._register.find_in_doubt(wanted.reference, "return")
        return self._same(found, wanted, contact_id, was_there=False)

    def _send(self, wanted: Return, contact_id: str | None) -> Answer | None:
        """POST once; None when it may have been done and no usable answer came."""
        try:
            answer = self._calls.take_back(self._body(wanted, contact_id))
            if answer.is_success:
                id_in(answer)
        except (AnswerLostError, MalformedAnswerError):
            return None
        return answer

    def _body(self, wanted: Return, contact_id: str | None) -> Mapping[str, object]:
        fields = {
            "reference_number": wanted.reference,
            "organisation_id": wanted.place.organisation_id,
            "tap_code": wanted.place.tap_code,
            "date": wanted.date if wanted.date is not None else self._now(),
            "amount": show_amount(wanted.amount, wanted.currency),
            "currency": wanted.currency,
        }
        own_id = self._register.own_id(wanted.reference)
        return return_body(fields, own_id, {"id": contact_id} if contact_id else None)

    def _same(
        self, found: Content, wanted: Return, contact_id: str | None, *, was_there: bool
    ) -> GoodsBack:
        """Return what was found when it is this return. Raises ReferenceTakenError otherwise."""
        fault = _difference(found, wanted, contact_id)
        if fault:
            raise ReferenceTakenError(
                f"Under the reference {wanted.reference} CRM.COM holds {fault}.",
                not_done="Nothing was taken back.",
                remedy="Choose a reference that was never used.",
            )
        home = as_text(found.get("default_currency_code")) or self._currency
        shown = as_object(found.get("ad_hoc_return"))
        return GoodsBack(
            id=str(found["id"]),
            reference=wanted.reference,
            currency=wanted.currency,
            amount=wanted.amount,
            wallet_currency=home,
            debited=read_amount(shown.get("amount"), home),
            was_there=was_there,
        )

    def _untold(self, wanted: Return, crm_id: str) -> GoodsBack:
        """Return what CRM.COM took and does not show."""
        return GoodsBack(
            id=crm_id,
            reference=wanted.reference,
            currency=wanted.currency,
            amount=wanted.amount,
            wallet_currency=self._currency,
            debited=None,
            was_there=False,
        )


def _raise_refusal(problem: Problem, reference: str) -> None:
    """Raise unless the refusal says that the return is there already."""
    if not problem.is_duplicate:
        raise PosRefusedError(
            problem.named_detail,
            not_done=f"The return {reference} was not done.",
            remedy="Correct it.",
        )


def _difference(found: Content, wanted: Return, contact_id: str | None) -> str:
    """Say what tells a return from what is wanted; nothing when they are the same."""
    if not is_return(found):
        return "a purchase"
    shown = as_object(found.get("ad_hoc_return"))
    if (as_text(found.get("currency_code")) or wanted.currency) != wanted.currency:
        return "a return in another currency"
    if read_amount(shown.get("return_amount"), wanted.currency) != wanted.amount:
        return "a return of another amount"
    if contact_of(found) != contact_id:
        return "a return of another contact"
    return ""


def _voided(found: Content, *, was_there: bool) -> Voided:
    return Voided(id=str(found["id"]), reference=reference_of(found), was_there=was_there)
