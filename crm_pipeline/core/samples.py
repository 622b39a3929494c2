"""What one landed sample order says: how far it is, who ordered, what they agreed to.

Pure. Doubt is no: a consent that cannot be read, is another company's or waits for a confirmation
is none. Not here: whose contact it is, and what the CRM gets (``sync.resolve``). Source of the
rules: ``vendors/loke-sopost.md`` 2.4 and traps 36 to 46.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
import pycountry

Channel = Literal["email", "sms"]
Row = Mapping[str, Any]

PENDING, APPROVED, REJECTED = "PENDING", "APPROVED", "REJECTED"
#: The known states in the order in which an order goes through them. What follows APPROVED is an
#: assumption; REJECTED is last because nothing follows it.
_RANKS: Mapping[str, int] = {
    PENDING: 0,
    APPROVED: 2,
    "DISPATCHED": 3,
    "DELIVERED": 4,
    REJECTED: 5,
}
#: A state that we do not know comes after the first one, and proves nothing besides.
_UNKNOWN_RANK = 1

#: Words that belong to the family name that follows them.
_PARTICLES = frozenset(
    "af al bin da das de del della den der di do dos du el ibn la las le los ten ter van"  # noqa: SIM905
    " vom von zu zum zur".split()
)

_ADDRESS_FIELDS: Mapping[str, str] = {
    "line_1": "address_line_1",
    "line_2": "address_line_2",
    "town": "town_city",
    "district": "state_province_county",
    "postcode": "postal_code",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentRule:
    """One consent that counts as ours: its id and its data handler together, and what it opens."""

    consent_id: str
    data_handler: str
    channels: tuple[Channel, ...] = ("email",)


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleOrder:
    """One landed order, read. Texts are None when the order does not give them.

    ``status`` is as it came, ``rank`` None when we do not know it. ``first_name`` and
    ``last_name`` are worked out of ``full_name``, which stays as it was.
    """

    id: str
    short_id: str | None
    activity_id: str | None
    status: str | None
    rank: int | None
    full_name: str | None
    first_name: str
    last_name: str
    email: str | None
    telephone: str | None
    identity: str | None
    address: Mapping[str, str]
    consents: str | None
    custom_questions: str | None


def read_order(row: Row) -> SampleOrder:
    """Return what a row of ``sopost/orders`` says."""
    first_name, last_name = split_name(row["full_name"])
    return SampleOrder(
        rank=status_rank(row["status"]),
        first_name=first_name,
        last_name=last_name,
        address=address_parts(row["address"]),
        **{name: row[name] for name in _AS_LANDED},
    )


_AS_LANDED = (
    "id", "short_id", "activity_id", "status", "full_name", "email", "telephone", "identity",
    "consents", "custom_questions",
)  # fmt: skip


def status_rank(status: str | None) -> int | None:
    """Return how far a state is; None for one that is absent or unknown.

    >>> status_rank("approved") < status_rank("DELIVERED"), status_rank("HELD_AT_DEPOT")
    (True, None)
    """
    return _RANKS.get(_folded(status))


def newer_status(old: str | None, new: str | None) -> str | None:
    """Return the later of two states, whichever of them arrived last.

    The order of the arguments never matters for states we know, so a delayed or repeated reading
    changes nothing. REJECTED ends an order: it wins over every other state, because a rejected
    order is no customer and doubt is no. An unknown state wins over PENDING only: it neither
    proves an approval nor takes one away.

    >>> newer_status("DISPATCHED", "APPROVED"), newer_status("PENDING", "HELD_AT_DEPOT")
    ('DISPATCHED', 'HELD_AT_DEPOT')
    """
    if not old or not new:
        return old or new
    return new if _position(new) >= _position(old) else old


def is_approved(status: str | None, approved_states: Iterable[str]) -> bool:
    """Whether a state is one of those after which somebody may go to a CRM; case does not count.

    >>> is_approved("Approved", ["APPROVED"]), is_approved("PENDING", ["APPROVED"])
    (True, False)
    """
    return bool(status) and _folded(status) in {_folded(each) for each in approved_states}


def granted_channels(consents: str | None, allowed: Sequence[ConsentRule]) -> tuple[Channel, ...]:
    """Return the channels that an order's consents open, sorted.

    A consent counts when its id and its data handler are those of one rule and its status is
    APPROVED: terms, another company's consent, or one that waits for a confirmation open nothing.
    """
    opened: set[Channel] = set()
    for consent in _objects(consents):
        if _folded(consent.get("status")) != APPROVED:
            continue
        for rule in allowed:
            if _is_meant(consent, rule):
                opened.update(rule.channels)
    return tuple(sorted(opened))


def _is_meant(consent: Row, rule: ConsentRule) -> bool:
    """Whether a consent is the rule's. The case of an id (a UUID) does not count."""
    is_id = _folded(consent.get("consent_id")) == _folded(rule.consent_id)
    return is_id and _plain(consent.get("data_handler")) == _plain(rule.data_handler)


def split_name(full_name: str | None) -> tuple[str, str]:
    """Return first and family name, which together always give every word of the full name.

    The last word is the family name, with the particles before it; one word is a first name.

    >>> split_name("Asha Mary van der Berg"), split_name("Cher"), split_name(None)
    (('Asha Mary', 'van der Berg'), ('Cher', ''), ('', ''))
    """
    words = (full_name or "").split()
    start = max(1, len(words) - 1)
    while start > 1 and words[start - 1].lower() in _PARTICLES:
        start -= 1
    return " ".join(words[:start]), " ".join(words[start:])


def answers(custom_questions: str | None, wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the answers to the wanted questions: ``wanted`` gives a target by question id.

    Questions are known by their ids, for their texts change with the language. Several answers
    become one text, joined by ``;`` (one inside an answer becomes a comma then); a free text is
    an answer without an id. A question without an answer is left out.
    """
    found: dict[str, list[str]] = {}
    for question in _objects(custom_questions):
        target = wanted.get(_plain(question.get("question_id")))
        texts = list(_answer_texts(question))
        if target is not None and texts:
            found.setdefault(target, []).extend(texts)
    return {target: _joined(texts) for target, texts in found.items()}


def _answer_texts(question: Row) -> Iterator[str]:
    given = question.get("answer")
    for answer in given if isinstance(given, list) else [given]:
        if not isinstance(answer, Mapping):
            answer = {"answer_text": answer}  # noqa: PLW2901 - a free text may stand by itself
        text = _plain(answer.get("answer_text")) or _plain(answer.get("answer_id"))
        if text:
            yield text


def _joined(texts: Sequence[str]) -> str:
    different = list(dict.fromkeys(texts))
    if len(different) == 1:
        return different[0]
    return ";".join(text.replace(";", ",") for text in different)


def address_parts(address: str | None) -> dict[str, str]:
    """Return the parts of an address that say something, by the names that CRM.COM has for them.

    ``country_code`` is an ISO 3166 code of three letters; any other territory is left out.
    """
    given = _decoded(address)
    if not isinstance(given, dict):
        return {}
    texts = {target: _plain(given.get(name)) for name, target in _ADDRESS_FIELDS.items()}
    texts["country_code"] = _country(_folded(given.get("territory")))
    return {name: text for name, text in texts.items() if text}


def _country(code: str) -> str:
    return code if pycountry.countries.get(alpha_3=code) is not None else ""


def _position(status: str) -> int:
    return _RANKS.get(_folded(status), _UNKNOWN_RANK)


def _folded(value: object) -> str:
    return _plain(value).upper()


def _plain(value: object) -> str:
    """Return a text without white space around it; empty for anything else."""
    return value.strip() if isinstance(value, str) else ""


def _objects(text: str | None) -> list[dict[str, Any]]:
    """Return the objects of a JSON list; whatever else a text holds is passed over."""
    listed = _decoded(text)
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _decoded(text: str | None) -> Any:
    """Decode JSON that was landed as it came; None when it cannot be read (half a character)."""
    try:
        return msgspec.json.decode(text) if text else None
    except (msgspec.DecodeError, RecursionError):
        return None
