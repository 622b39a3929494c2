"""One membership: the tags of ours that a contact carries, and no other tag touched.

The whole set of a contact's tags is sent, those of others included. So it is right whether
``PUT tags`` replaces or adds; what an adding one cannot do, taking a tag away, shows when the tags
are read back.

A membership is not an object of CRM.COM's. Its id there is the contact's. What was written is
compared on our tags alone: the option ``tags`` names them, in the words of the settings, and what a
contact carries besides them is left out when it is read.
"""

from collections.abc import Collection, Iterator, Sequence

from crm_pipeline.core.records import Change, RemoteObject, WriteResult
from crm_pipeline.destinations.crm_com.assumptions import TAG_MEMBERS
from crm_pipeline.destinations.crm_com.attempts import (
    GONE,
    INVALID_VALUE,
    NOTHING_TO_SEND,
    acked,
    rejected,
    try_once,
)
from crm_pipeline.destinations.crm_com.calls import Calls, Tally
from crm_pipeline.destinations.crm_com.contacts.reading import read_own
from crm_pipeline.destinations.crm_com.memberships.tags import Tags
from crm_pipeline.destinations.crm_com.problems import Problem, read_problem
from crm_pipeline.destinations.crm_com.values import json_list, listed

TAG_UNKNOWN = "tag_unknown"
TAG_NOT_REMOVED = "tag_not_removed"
TAG_NOT_ADDED = "tag_not_added"

_GONE_DETAIL = "CRM.COM has no such contact any more."


class Memberships:
    """One organisation's memberships; ``ours`` are its tags as the settings name them.

    Thread-safe.
    """

    def __init__(self, calls: Calls, tags: Tags, *, ours: Sequence[str]) -> None:
        self._calls = calls
        self._tags = tags
        self._ours = ours

    def write(self, changes: Sequence[Change]) -> Sequence[WriteResult]:
        """Bring each contact's tags of ours to what is wanted, once."""
        return [self._bring(change) for change in changes]

    def _bring(self, change: Change) -> WriteResult:
        return try_once(lambda tally: self._write(change, tally))

    def find(self, key: str, crm_id: str | None) -> RemoteObject | None:
        """Read which of our tags a contact carries, or None when there is no contact.

        Without ``crm_id`` the contact is looked up by its code.
        """
        tally = Tally()
        if crm_id is None:
            own = read_own(self._calls.contact(key, tally), key=key)
            if own is None:
                return None
            crm_id = own.crm_id
        held = self._calls.contact_tags(crm_id, tally)
        if held is None:
            return None
        ids = self._tags.ids(tally)
        on = [name for name in self._ours if ids.get(name) in held]
        fields = {"contact_key": key, "tags": json_list(on), "ours": json_list(self._ours)}
        return RemoteObject(crm_id=crm_id, key=key, fields=fields)

    def read_all(self) -> Iterator[Sequence[RemoteObject]]:
        """Memberships are not listed."""
        raise ValueError("CRM.COM does not list memberships")

    def _write(self, change: Change, tally: Tally) -> WriteResult:
        crm_id = change.references.get("contact_key") or change.crm_id
        if not crm_id:
            return rejected("contact_not_in_crm", "The contact is not in the CRM.")
        wanted_names = listed(change.after.get("tags"))
        unknown = self._tags.unknown(wanted_names, tally)
        if unknown:
            return _tag_unknown(unknown)
        ids = self._tags.ids(tally)
        held = self._calls.contact_tags(crm_id, tally)
        if held is None:
            return rejected(GONE, _GONE_DETAIL)
        wanted = [ids[name] for name in wanted_names]
        ours = {ids[name] for name in listed(change.after.get("ours")) if name in ids}
        kept = [tag for tag in held if tag not in ours]
        return self._replace(crm_id, held, list(dict.fromkeys([*kept, *wanted])), tally)

    def _replace(
        self, crm_id: str, held: Collection[str], target: Sequence[str], tally: Tally
    ) -> WriteResult:
        if set(target) == set(held):
            return acked(crm_id, reason=NOTHING_TO_SEND)
        answer = self._calls.set_contact_tags(crm_id, target, tally)
        if not answer.is_success:
            return _refused(read_problem(answer))
        removed = set(held).difference(target)
        if not removed:
            return acked(crm_id)
        return self._read_back(crm_id, removed, set(target), tally)

    def _read_back(
        self, crm_id: str, removed: set[str], target: set[str], tally: Tally
    ) -> WriteResult:
        """See whether the tags that were left out are gone, and none besides them."""
        now = self._calls.contact_tags(crm_id, tally)
        if now is None:
            return rejected(GONE, _GONE_DETAIL)
        if removed.intersection(now):
            return rejected(
                TAG_NOT_REMOVED,
                "CRM.COM took the new set of tags and still shows what was left out of it.",
            )
        if not target.issubset(now):
            return rejected(TAG_NOT_ADDED, "CRM.COM took the new set of tags and lacks some.")
        return acked(crm_id)


def _tag_unknown(names: Collection[str]) -> WriteResult:
    return rejected(TAG_UNKNOWN, f"CRM.COM has no tag {', '.join(names)} for contacts.")


def _refused(problem: Problem) -> WriteResult:
    if problem.is_contact_gone and not _is_about_tags(problem.parameters):
        return rejected(GONE, _GONE_DETAIL)
    if _is_about_tags(problem.parameters):
        return rejected(TAG_UNKNOWN, problem.named_detail)
    return rejected(INVALID_VALUE, problem.named_detail)


def _is_about_tags(parameters: Collection[str]) -> bool:
    return any(each.lower() in TAG_MEMBERS for each in parameters)
