"""Makes one contact anonymous: CRM.COM has no call that deletes one.

Names become one word, media, birthday, gender, address and custom fields are emptied, both
channels closed, our tags taken away. The contact, its code, its points and its purchases stay.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from crm_pipeline.core.records import Fields, FieldValue
from crm_pipeline.destinations.crm_com.assumptions import ERASED_LOOKS, ERASED_NAME
from crm_pipeline.destinations.crm_com.calls import Calls, Tally
from crm_pipeline.destinations.crm_com.contacts.bodies import update_body
from crm_pipeline.destinations.crm_com.contacts.fields import FIELDS, OPT_OUTS, custom_key
from crm_pipeline.destinations.crm_com.contacts.reading import read_fields, read_linked, read_own
from crm_pipeline.destinations.crm_com.memberships.tags import Tags
from crm_pipeline.destinations.crm_com.problems import read_problem
from crm_pipeline.errors import DataError, TryLaterError

_NAMES = ("first_name", "last_name")
#: What an erased contact says: names are required, consents are refused.
_ANONYMOUS: Fields = {**dict.fromkeys(_NAMES, ERASED_NAME), **dict.fromkeys(OPT_OUTS, True)}
_Content = Mapping[str, Any]


class ContactErasedError(DataError):
    """CRM.COM still holds something of a person who was to be erased."""

    code = "not_erased"


class ContactEraser:
    """Erases contacts for one key. ``ours`` are our tags as the settings name them."""

    def __init__(
        self, calls: Calls, tags: Tags, *, ours: Sequence[str], settle: Callable[[], None]
    ) -> None:
        self._calls = calls
        self._tags = tags
        self._ours = ours
        self._settle = settle

    def erase(self, key: str, crm_id: str | None) -> bool:
        """Make a contact anonymous; False when there is none. Safe to repeat.

        Raises TryLaterError, or DataError when CRM.COM refuses or still shows something.
        """
        tally = Tally()
        content = self._find(key, crm_id, tally)
        if content is None:
            return False
        reference = str(content["id"])
        names = {name for name in (*FIELDS, *read_fields(content)) if _is_held(name, content)}
        answer = self._calls.update(reference, update_body(_ANONYMOUS, names), tally)
        if not answer.is_success:
            problem = read_problem(answer)
            if problem.is_contact_gone:
                return False
            raise ContactErasedError(
                f"CRM.COM refuses to empty a contact ({problem.name or problem.status}).",
                not_done="The contact is as it was.",
                remedy="Empty it by hand in CRM.COM, then run `crm-pipeline erase --resume`.",
            )
        self._take_tags(reference, tally)
        self._prove(reference, _personal_texts(content), tally)
        return True

    def _find(self, key: str, crm_id: str | None, tally: Tally) -> _Content | None:
        if crm_id:
            content = self._calls.contact(crm_id, tally)
            if read_linked(content, key=key) is not None:
                return content
        content = self._calls.contact(key, tally)
        return content if read_own(content, key=key) is not None else None

    def _take_tags(self, reference: str, tally: Tally) -> None:
        if not self._ours:
            return
        ids = self._tags.ids(tally)
        ours = {ids[name] for name in self._ours if name in ids}
        held = self._calls.contact_tags(reference, tally) or ()
        kept = [tag for tag in held if tag not in ours]
        if len(kept) == len(held):
            return
        answer = self._calls.set_contact_tags(reference, kept, tally)
        now = self._calls.contact_tags(reference, tally) if answer.is_success else held
        if ours.intersection(now or ()):
            raise ContactErasedError(
                "CRM.COM does not take a tag away from a contact.",
                not_done="The contact still carries a tag of ours.",
                remedy="Take it away by hand in CRM.COM, then run `crm-pipeline erase --resume`.",
            )

    def _prove(self, reference: str, texts: frozenset[str], tally: Tally) -> None:
        """Read the contact back until nothing that it said of the person is left."""
        left: list[str] = []
        for _ in range(ERASED_LOOKS):
            content = self._calls.contact(reference, tally)
            if content is None:
                return
            left = sorted(_left(content, texts))
            if not left:
                return
            self._settle()
        known = [name for name in left if name in FIELDS]
        raise (ContactErasedError if known else TryLaterError)(
            f"CRM.COM took that a contact is emptied and still shows {len(left)} values"
            f" ({', '.join(known) or 'of other members'}).",
            not_done="The person is not erased there.",
            remedy="Run `crm-pipeline erase --resume`; if it stays, empty it by hand in CRM.COM.",
        )


def _is_held(name: str, content: _Content) -> bool:
    """Whether a field has to be sent: CRM.COM's own always, a custom one if the contact has it."""
    return custom_key(name) is None or name in read_fields(content)


def _left(content: _Content, texts: frozenset[str]) -> Iterator[str]:
    """Give the fields, or the texts' places, that still say something of the person."""
    for name, value in read_fields(content).items():
        if name in OPT_OUTS:
            if value is not True:
                yield name
        elif value not in (None, "", ERASED_NAME):
            yield name
    for member, text in _leaves(content):
        if text in texts:
            yield member


def _personal_texts(content: _Content) -> frozenset[str]:
    """Return what a contact says of its person: the texts of the members that we empty."""
    wanted: set[FieldValue] = {
        value for name, value in read_fields(content).items() if name not in OPT_OUTS
    }
    return frozenset(str(value) for value in wanted if len(str(value)) > 3) - {ERASED_NAME}


def _leaves(value: Any, member: str = "") -> Iterator[tuple[str, str]]:
    """Give every text below a value, with the name of its member; ids and codes are left out."""
    if isinstance(value, Mapping):
        for name, part in value.items():
            if name not in ("id", "code"):
                yield from _leaves(part, str(name))
    elif isinstance(value, list):
        for part in value:
            yield from _leaves(part, member)
    elif isinstance(value, str):
        yield member, value
