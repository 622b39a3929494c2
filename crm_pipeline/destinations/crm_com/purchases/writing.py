"""One purchase: posted once, read back by id or reference number.

CRM.COM has no key that makes a repeated POST harmless. So a purchase is sent once for each time
that the engine says so; whatever may have arrived is unknown, and is looked up before the engine
says so again.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from crm_pipeline.core.records import Change, RemoteObject, WriteResult
from crm_pipeline.destinations.crm_com.assumptions import PURCHASES_PATH
from crm_pipeline.destinations.crm_com.attempts import (
    FOUND,
    INVALID_VALUE,
    acked,
    id_in,
    rejected,
    try_once,
)
from crm_pipeline.destinations.crm_com.calls import OLDEST_FIRST, Calls, Tally
from crm_pipeline.destinations.crm_com.problems import Problem, read_problem
from crm_pipeline.destinations.crm_com.purchases.bodies import purchase_body
from crm_pipeline.destinations.crm_com.purchases.finding import Finder
from crm_pipeline.destinations.crm_com.purchases.reading import purchase_with, read_purchase
from crm_pipeline.http import Answer

#: The purchase names a contact that is not in the CRM (any more).
CONTACT_MISSING = "contact_not_in_crm"
#: CRM.COM says that the reference number is in use and shows no such purchase.
REFERENCE_TAKEN = "reference_taken"
IMMUTABLE = "immutable"


class Purchases:
    """One organisation's purchases. Thread-safe: all state of a change is in its ``Tally``.

    ``settle`` waits until CRM.COM shows what it was told a moment ago.
    """

    def __init__(
        self, calls: Calls, finder: Finder, *, key_prefix: str, settle: Callable[[], None]
    ) -> None:
        self._calls = calls
        self._finder = finder
        self._key_prefix = key_prefix
        self._settle = settle

    def write(self, changes: Sequence[Change]) -> Sequence[WriteResult]:
        """Post each purchase once."""
        return [self._post(change) for change in changes]

    def _post(self, change: Change) -> WriteResult:
        return try_once(lambda tally: self._create(change, tally))

    def find(self, key: str, crm_id: str | None) -> RemoteObject | None:
        """Read a purchase by id or reference number; a cancelled one is there as well."""
        content = self._finder.find(key, crm_id, Tally())
        return None if content is None else purchase_with(content, key=key)

    def read_all(self) -> Iterator[Sequence[RemoteObject]]:
        """Read every purchase, oldest first; returns are left out."""
        for content in self._calls.pages(PURCHASES_PATH, OLDEST_FIRST):
            read = [
                read_purchase(each, key_prefix=self._key_prefix, own_id=self._finder.own_id)
                for each in content
            ]
            yield [each for each in read if each is not None]

    def _create(self, change: Change, tally: Tally) -> WriteResult:
        if change.kind != "create":
            return rejected(IMMUTABLE, "A purchase never changes.")
        contact_id = change.references.get("contact_key")
        if change.after.get("contact_key") and not contact_id:
            return rejected(CONTACT_MISSING, "The contact that it belongs to is not in the CRM.")
        try:
            body = purchase_body(change.after, contact_id)
        except (KeyError, ValueError):
            return rejected(INVALID_VALUE, "An amount or a line of the purchase is unreadable.")
        answer = self._calls.submit(body, tally)
        if answer.is_success:
            return self._created(change, answer, tally)
        return self._refused(change, read_problem(answer), tally)

    def _refused(self, change: Change, problem: Problem, tally: Tally) -> WriteResult:
        if problem.is_duplicate:
            return self._duplicate(change, problem.named_detail, tally)
        if change.references and problem.is_missing("contact"):
            return rejected(CONTACT_MISSING, problem.named_detail)
        return rejected(INVALID_VALUE, problem.named_detail)

    def _created(self, change: Change, answer: Answer, tally: Tally) -> WriteResult:
        """Acknowledge; an answer without an id is completed by a look-up, or by our own id."""
        crm_id = id_in(answer)
        if crm_id is None:
            found = self._finder.find(change.key, None, tally)
            crm_id = _id_of(found) or self._finder.own_id(change.key)
        return acked(crm_id)

    def _duplicate(self, change: Change, detail: str, tally: Tally) -> WriteResult:
        """Find the purchase that is there already; it may be shown a moment later only."""
        found = self._finder.find(change.key, change.crm_id, tally)
        if found is None:
            self._settle()
            found = self._finder.find(change.key, change.crm_id, tally)
        crm_id = _id_of(found)
        return acked(crm_id, reason=FOUND) if crm_id else rejected(REFERENCE_TAKEN, detail)


def _id_of(content: Mapping[str, Any] | None) -> str | None:
    return str(content["id"]) if content else None
