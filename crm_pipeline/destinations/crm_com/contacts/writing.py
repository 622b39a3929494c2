"""One change of one contact: what is sent, and what the answer makes of the change.

Here: create, update, archive, and the conflicts between contacts. Not here: the order of changes,
trying again, and what becomes of an unknown outcome (``sync.apply``).
"""

from collections.abc import Collection, Sequence
from dataclasses import replace

from crm_pipeline.core.ports import ConflictRule, visible_fields
from crm_pipeline.core.records import Change, Fields, RemoteObject, WriteResult
from crm_pipeline.destinations.crm_com.assumptions import ARCHIVED_FLAGS
from crm_pipeline.destinations.crm_com.attempts import (
    GONE,
    INVALID_VALUE,
    NOTHING_TO_SEND,
    id_in,
    rejected,
    try_once,
)
from crm_pipeline.destinations.crm_com.calls import Calls, Tally
from crm_pipeline.destinations.crm_com.comparing import is_same
from crm_pipeline.destinations.crm_com.contacts.bodies import create_body, update_body
from crm_pipeline.destinations.crm_com.contacts.fields import ADDRESS, MEDIA, OPT_OUTS
from crm_pipeline.destinations.crm_com.contacts.reading import OwnCodes, read_contact, read_own
from crm_pipeline.destinations.crm_com.problems import Problem, read_problem
from crm_pipeline.http import Answer

MEDIUM_TAKEN = "medium_taken"
CODE_TAKEN = "code_taken"
LINKED = "linked"
OPT_OUT_KEPT = "opt_out_kept"

_MEDIUM_TAKEN_DETAIL = "An e-mail address or phone number is another contact's."

#: One try with everything, one without each medium.
_TRIES = len(MEDIA) + 1


class ContactWriter:
    """Writes contacts for one key. Thread-safe: all state of a change is in its ``Tally``."""

    def __init__(self, calls: Calls, *, conflict: ConflictRule, own: OwnCodes) -> None:
        self._calls = calls
        self._conflict = conflict
        self._own_codes = own

    def write(self, change: Change) -> WriteResult:
        """Try one change once. Raises only what stops the whole destination."""
        return try_once(lambda tally: self._dispatch(change, tally))

    def _dispatch(self, change: Change, tally: Tally) -> WriteResult:
        if change.kind == "create":
            return self._create(change, tally)
        if change.kind == "archive":
            return self._archive(change, tally)
        return self._update(change, tally)

    # -- create ----------------------------------------------------------------------------------

    def _create(self, change: Change, tally: Tally) -> WriteResult:
        withheld = set(change.withheld)
        for attempt in range(_TRIES):
            body = create_body(change.key, visible_fields(change.after, sorted(withheld)))
            answer = self._calls.create(body, tally)
            if answer.is_success:
                return self._created(change, answer, withheld, tally)
            settled = self._settled(
                change, read_problem(answer), withheld, tally, is_first=attempt == 0
            )
            if settled is not None:
                return settled
        return rejected(MEDIUM_TAKEN, _MEDIUM_TAKEN_DETAIL)

    def _settled(
        self,
        change: Change,
        problem: Problem,
        withheld: set[str],
        tally: Tally,
        *,
        is_first: bool,
    ) -> WriteResult | None:
        """Say how a refused create ends, or None when it can be tried without a medium."""
        if problem.is_code_taken or (problem.is_medium_taken and is_first):
            # Perhaps our own earlier write, whose answer was lost.
            own = self._own(change.key, tally)
            if own is not None:
                return self._bring_in_line(change, own, withheld, tally)
        if problem.is_code_taken:
            return WriteResult(
                status="retry", reason=CODE_TAKEN, detail="CRM.COM has the code but no contact yet."
            )
        if not problem.is_medium_taken:
            return rejected(INVALID_VALUE, problem.detail)
        linked = self._linked(change, withheld, tally) if is_first else None
        if linked is not None:
            return linked
        if self._withhold(problem, change.after, withheld, tally):
            return None
        return rejected(MEDIUM_TAKEN, _MEDIUM_TAKEN_DETAIL)

    def _created(
        self, change: Change, answer: Answer, withheld: Collection[str], tally: Tally
    ) -> WriteResult:
        """Acknowledge a create; an answer without an id is completed by looking the code up."""
        crm_id = id_in(answer)
        if crm_id is None:
            own = self._own(change.key, tally)
            if own is None:
                return WriteResult(
                    status="unknown",
                    reason="id_unknown",
                    detail="CRM.COM took the contact, gave no id and does not find it yet.",
                )
            crm_id = own.crm_id
        return _acked(crm_id, change, withheld)

    def _own(self, key: str, tally: Tally) -> RemoteObject | None:
        return read_own(self._calls.contact(key, tally), key=key)

    def _bring_in_line(
        self, change: Change, found: RemoteObject, withheld: Collection[str], tally: Tally
    ) -> WriteResult:
        """Bring a contact that is there already to ``after``, never widening a consent.

        Nobody told us when the person opted out there, so the opt-out stands; the read-back will
        report the difference.
        """
        kept = {
            name
            for name in OPT_OUTS
            if found.fields.get(name) is True and change.after.get(name) is False
        }
        names = [
            name
            for name, value in change.after.items()
            if not is_same(name, value, found.fields.get(name))
            # An address need not be shown: then nobody knows whether it is there.
            or (name in ADDRESS and name not in found.fields)
        ]
        result = self._put(change, found.crm_id, names, {*withheld, *kept}, tally)
        if kept and result.status == "acked" and result.reason in {"", NOTHING_TO_SEND}:
            return replace(result, reason=OPT_OUT_KEPT)
        return result

    # -- conflicts -------------------------------------------------------------------------------

    def _linked(
        self, change: Change, withheld: Collection[str], tally: Tally
    ) -> WriteResult | None:
        """Take over the one contact with exactly this e-mail address, if the rule allows it.

        A contact with a code of ours is another of our people and is never taken over.
        """
        email = change.after.get("email")
        if self._conflict != "link" or not email or "email" in withheld:
            return None
        listed = self._calls.contacts_with(tally, email_address=str(email))
        read = [read_contact(each, own=self._own_codes) for each in listed]
        holders = [
            each for each in read if each and is_same("email", email, each.fields.get("email"))
        ]
        if len(holders) != 1 or holders[0].key not in (None, change.key):
            return None
        result = self._bring_in_line(change, holders[0], withheld, tally)
        if result.status == "acked" and result.reason in {"", NOTHING_TO_SEND}:
            return replace(result, reason=LINKED)
        return result

    def _withhold(self, problem: Problem, after: Fields, withheld: set[str], tally: Tally) -> bool:
        """Add the medium that is taken to ``withheld``; False when nothing more can be left out."""
        if self._conflict == "reject":
            return False
        open_media = [
            medium
            for medium, names in MEDIA.items()
            if all(after.get(name) for name in names) and not withheld.intersection(names)
        ]
        if not open_media:
            return False
        medium = problem.taken_medium(after)
        if medium not in open_media:
            medium = self._found_taken(open_media, after, tally)
        withheld.update(MEDIA[medium])
        return True

    def _found_taken(self, open_media: Sequence[str], after: Fields, tally: Tally) -> str:
        """Look up which medium is taken when the refusal does not say."""
        if len(open_media) > 1 and not self._calls.contacts_with(
            tally, email_address=str(after.get("email"))
        ):
            return "phone"
        return open_media[0]

    # -- update ----------------------------------------------------------------------------------

    def _update(self, change: Change, tally: Tally) -> WriteResult:
        result = self._put(change, change.crm_id, change.changed, set(change.withheld), tally)
        if result.status == "rejected" and result.reason != GONE:
            return self._with_opt_outs(change, result, tally)
        return result

    def _put(
        self,
        change: Change,
        crm_id: str | None,
        names: Collection[str],
        withheld: set[str],
        tally: Tally,
    ) -> WriteResult:
        """PUT the named fields, leaving out media that turn out to be taken.

        A medium that stays behind and that we wrote ourselves before is cleared: it is no longer
        this person's.
        """
        for _ in range(_TRIES):
            kept = withheld - _written_by_us(change, withheld)
            sendable = visible_fields(change.after, sorted(withheld))
            body = update_body(sendable, set(names) - kept)
            if not body:
                return _acked(crm_id, change, withheld, reason=NOTHING_TO_SEND)
            answer = self._calls.update(crm_id or change.key, body, tally)
            if answer.is_success:
                return _acked(crm_id or id_in(answer), change, withheld)
            problem = read_problem(answer)
            if problem.is_contact_gone:
                return rejected(GONE, "CRM.COM has no such contact any more.")
            if not problem.is_medium_taken:
                return rejected(INVALID_VALUE, problem.detail)
            if not self._withhold(problem, change.after, withheld, tally):
                break
        return rejected(MEDIUM_TAKEN, _MEDIUM_TAKEN_DETAIL)

    def _with_opt_outs(self, change: Change, result: WriteResult, tally: Tally) -> WriteResult:
        """Deliver opt-outs even when the rest of the update was refused: they must arrive."""
        flags = [name for name in OPT_OUTS if change.after.get(name) is True]
        if not set(flags).intersection(change.changed):
            return result
        answer = self._calls.update(
            change.crm_id or change.key, update_body(change.after, flags), tally
        )
        told = "was written" if answer.is_success else "was refused as well"
        return replace(result, detail=f"{result.detail} The opt-out {told}.")

    def _archive(self, change: Change, tally: Tally) -> WriteResult:
        """Opt the contact out of everything; one that is gone already is done."""
        reference = change.crm_id or change.key
        answer = self._calls.update(reference, dict(ARCHIVED_FLAGS), tally)
        if answer.is_success:
            return WriteResult(status="acked", crm_id=id_in(answer) or change.crm_id)
        problem = read_problem(answer)
        if problem.is_contact_gone:
            return WriteResult(status="acked", crm_id=change.crm_id, reason=GONE)
        return rejected(INVALID_VALUE, problem.detail)


def _written_by_us(change: Change, names: Collection[str]) -> set[str]:
    """Return those of some fields that CRM.COM holds by our own account."""
    before = change.before or {}
    return {name for name in names if before.get(name) is not None}


def _acked(
    crm_id: str | None, change: Change, withheld: Collection[str], *, reason: str = ""
) -> WriteResult:
    """Acknowledge, naming the fields that stayed behind.

    An opt-out that was kept is not named: a field that is known not to be there is sent again by a
    later plan, and that would opt the person in.
    """
    hidden = {name for name in withheld if name not in OPT_OUTS}.union(change.withheld)
    left_out = tuple(name for name in change.after if name in hidden)
    is_new = set(left_out) - set(change.withheld)
    return WriteResult(
        status="acked",
        crm_id=crm_id,
        withheld=left_out,
        reason=MEDIUM_TAKEN if is_new else reason,
    )
