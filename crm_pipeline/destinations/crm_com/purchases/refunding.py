"""One refund: the purchase is cancelled, or goods come back by an amount.

A cancel is safe to repeat: a purchase that is cancelled already is done. A return is money like a
purchase: sent once, looked up whenever it may have arrived.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from crm_pipeline.core.purchases import refund_key
from crm_pipeline.core.records import Change, RemoteObject, WriteResult
from crm_pipeline.destinations.crm_com.attempts import (
    FOUND,
    GONE,
    INVALID_VALUE,
    acked,
    id_in,
    rejected,
    try_once,
)
from crm_pipeline.destinations.crm_com.calls import Calls, Tally
from crm_pipeline.destinations.crm_com.problems import Problem, read_problem
from crm_pipeline.destinations.crm_com.purchases.bodies import return_body
from crm_pipeline.destinations.crm_com.purchases.finding import Finder
from crm_pipeline.destinations.crm_com.purchases.reading import contact_of, is_cancelled
from crm_pipeline.destinations.crm_com.purchases.writing import IMMUTABLE, REFERENCE_TAKEN

PURCHASE_MISSING = "purchase_not_in_crm"
ALREADY_CANCELLED = "already_cancelled"
NOT_CANCELLED = "not_cancelled"

_ENDING = refund_key("")


class Refunds:
    """One organisation's refunds. Thread-safe: all state of a change is in its ``Tally``."""

    def __init__(self, calls: Calls, finder: Finder, *, settle: Callable[[], None]) -> None:
        self._calls = calls
        self._finder = finder
        self._settle = settle

    def write(self, changes: Sequence[Change]) -> Sequence[WriteResult]:
        """Refund each once."""
        return [self._refund(change) for change in changes]

    def _refund(self, change: Change) -> WriteResult:
        return try_once(lambda tally: self._dispatch(change, tally))

    def find(self, key: str, crm_id: str | None) -> RemoteObject | None:
        """Read a refund: the purchase when it is cancelled, else the return with our number.

        ``crm_id`` is the one or the other.
        """
        tally = Tally()
        bought = self._finder.find(key.removesuffix(_ENDING), None, tally)
        if bought is not None and is_cancelled(bought):
            return _shown(bought, key, "cancel")
        returned = self._finder.find(key, None, tally)
        return None if returned is None else _shown(returned, key, "return")

    def read_all(self) -> Iterator[Sequence[RemoteObject]]:
        """Refunds are not listed."""
        raise ValueError("CRM.COM does not list refunds")

    def _dispatch(self, change: Change, tally: Tally) -> WriteResult:
        if change.kind != "create":
            return rejected(IMMUTABLE, "A refund never changes.")
        crm_id = change.references.get("purchase_key")
        if not crm_id:
            return rejected(PURCHASE_MISSING, "The purchase that it belongs to is not in the CRM.")
        if change.after.get("kind") == "cancel":
            return self._cancel(str(change.after["purchase_key"]), crm_id, tally)
        if change.after.get("kind") == "return":
            return self._return(change, crm_id, tally)
        return rejected(INVALID_VALUE, "A refund is a cancel or a return.")

    # -- the whole purchase ------------------------------------------------------------------------

    def _cancel(self, key: str, crm_id: str, tally: Tally) -> WriteResult:
        """Cancel under the CRM's id; when it does not know that one, under its other names."""
        answer = self._calls.cancel(crm_id, tally)
        if answer.is_success:
            return acked(id_in(answer) or crm_id)
        problem = read_problem(answer)
        found = self._finder.find(key, crm_id, tally)
        if found is None:
            return rejected(GONE, "CRM.COM has no such purchase any more.")
        if is_cancelled(found):
            return acked(str(found["id"]), reason=ALREADY_CANCELLED)
        if not problem.is_not_found:
            return rejected(NOT_CANCELLED, problem.named_detail)
        return self._cancel_by_other_name(key, crm_id, found, problem, tally)

    def _cancel_by_other_name(
        self,
        key: str,
        crm_id: str,
        found: Mapping[str, Any],
        problem: Problem,
        tally: Tally,
    ) -> WriteResult:
        """Try the id that the purchase is shown with, then our reference number."""
        for name in dict.fromkeys((str(found["id"]), key)):
            if name == crm_id:
                continue
            answer = self._calls.cancel(name, tally)
            if answer.is_success:
                return acked(str(found["id"]))
            problem = read_problem(answer)
        return rejected(NOT_CANCELLED, problem.named_detail)

    # -- a part of it ------------------------------------------------------------------------------

    def _return(self, change: Change, crm_id: str, tally: Tally) -> WriteResult:
        """Take goods back from the contact that the purchase is shown with.

        A purchase that somebody cancelled has given everything back: nothing more is taken.
        """
        bought = self._finder.find(str(change.after["purchase_key"]), crm_id, tally)
        if bought is None:
            return rejected(GONE, "CRM.COM has no such purchase any more.")
        if is_cancelled(bought):
            return acked(str(bought["id"]), reason=ALREADY_CANCELLED)
        own_id = self._finder.own_id(change.key)
        try:
            body = return_body(change.after, own_id, _contact(bought, change))
        except (KeyError, ValueError):
            return rejected(INVALID_VALUE, "The amount of the refund is unreadable.")
        answer = self._calls.take_back(body, tally)
        if answer.is_success:
            return acked(id_in(answer) or own_id)
        problem = read_problem(answer)
        if problem.is_duplicate:
            return self._duplicate(change, problem, tally)
        return rejected(INVALID_VALUE, problem.named_detail)

    def _duplicate(self, change: Change, problem: Problem, tally: Tally) -> WriteResult:
        found = self._finder.find(change.key, None, tally)
        if found is None:
            self._settle()
            found = self._finder.find(change.key, None, tally)
        if found is None:
            return rejected(REFERENCE_TAKEN, problem.named_detail)
        return acked(str(found["id"]), reason=FOUND)


def _contact(bought: Mapping[str, Any], change: Change) -> dict[str, str] | None:
    """Name the contact by the purchase's own, else by our key; nobody's purchase has none."""
    contact_id = contact_of(bought)
    if contact_id:
        return {"id": contact_id}
    key = change.after.get("contact_key")
    return {"code": str(key)} if key else None


def _shown(content: Mapping[str, Any], key: str, kind: str) -> RemoteObject:
    fields = {"purchase_key": key.removesuffix(_ENDING), "kind": kind}
    return RemoteObject(crm_id=str(content["id"]), key=key, fields=fields)
