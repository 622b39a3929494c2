"""One sample order at the fake SoPost: its body, and the kinds of consents and answers it may have.

Here: values. Not here: state and hooks (``vendor``).
"""

import dataclasses
from typing import Any, Literal

import msgspec

from crm_pipeline.sandbox.sopost.brands import QUESTIONS, Answers, Brand

PENDING, APPROVED, REJECTED = "PENDING", "APPROVED", "REJECTED"
#: The way of an order that goes well. What follows APPROVED is not documented: these are invented.
STAGES = (PENDING, APPROVED, "DISPATCHED", "DELIVERED")
#: A status that no document names, to see who stumbles over it.
UNKNOWN_STATUS = "HELD_AT_DEPOT"

ConsentKind = Literal["mixed", "newsletter", "empty", "foreign", "terms", "pending", "several"]
AnswerKind = Literal["mixed", "none", "one", "several", "text", "all"]

_CONSENT_TURNS: tuple[ConsentKind, ...] = (
    "newsletter", "several", "empty", "newsletter", "terms", "foreign", "pending", "newsletter",
)  # fmt: skip
_ANSWER_TURNS: tuple[AnswerKind, ...] = ("one", "several", "none", "text", "all")
_SHORT_LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZ"


class GivenConsent(msgspec.Struct):
    """One consent in the body of POST /orders."""

    consent_id: str


class OrderBody(msgspec.Struct, kw_only=True):
    """POST /orders."""

    activity_id: str
    full_name: str
    email: str
    address: dict[str, str]
    line_items: list[dict[str, str]]
    provider: str = "api"
    identity: str | None = None
    telephone: str | None = None
    consents: list[GivenConsent] | None = None
    locale: str = "en_GB"


@dataclasses.dataclass(slots=True)
class Order:
    """One order. ``body`` is what its endpoint answers, ``blocked_reads`` how often it fails."""

    brand: Brand
    body: dict[str, Any]
    #: Every status so far, the present one last.
    history: list[str]
    blocked_reads: int = 0

    @property
    def id(self) -> str:
        """The order's id."""
        return str(self.body["id"])

    @property
    def activity_id(self) -> str:
        """The id of the activity that the order was given to."""
        return str(self.body["activity_id"])


def consents_of(brand: Brand, kind: ConsentKind, number: int) -> list[dict[str, str]]:
    """Return an order's consents; ``mixed`` takes turns by the order's number."""
    if kind == "mixed":
        kind = _CONSENT_TURNS[number % len(_CONSENT_TURNS)]
    if kind == "pending":
        return [brand.consent("newsletter", "PENDING"), brand.consent("terms")]
    names = {
        "newsletter": ("newsletter",),
        "empty": (),
        "foreign": ("foreign",),
        "terms": ("terms", "privacy"),
        "several": ("terms", "newsletter", "foreign", "privacy"),
    }[kind]
    return [brand.consent(name) for name in names]


def answers_of(kind: AnswerKind, number: int) -> list[dict[str, Any]]:
    """Return an order's answered questions; ``mixed`` takes turns by the order's number."""
    if kind == "mixed":
        kind = _ANSWER_TURNS[number % len(_ANSWER_TURNS)]
    one, several, text = QUESTIONS
    words = (("", "My sister likes it; so will I."),)
    turn = number % len(one[2])
    chosen: dict[AnswerKind, list[dict[str, Any]]] = {
        "none": [],
        "one": [_answered(one, one[2][turn : turn + 1])],
        "several": [_answered(several, several[2][:2])],
        "text": [_answered(text, words)],
        "all": [_answered(one, one[2][:1]), _answered(several, several[2]), _answered(text, words)],
    }
    return chosen[kind]


def _answered(question: tuple[str, str, Answers], answers: Answers) -> dict[str, Any]:
    return {
        "question_text": question[1],
        "question_id": question[0],
        "answer": [
            {"answer_text": text, "answer_id": name} if name else {"answer_text": text}
            for name, text in answers
        ],
    }


def way(status: str, upto: str = "") -> list[str]:
    """Return the statuses from one to another, or to the next; raises ValueError for no way.

    >>> way("PENDING", "DISPATCHED"), way("DELIVERED"), way("PENDING", "REJECTED")
    (['APPROVED', 'DISPATCHED'], [], ['REJECTED'])
    """
    if upto == REJECTED and status == PENDING:
        return [REJECTED]
    if status not in STAGES or (upto and upto not in STAGES):
        raise ValueError(f"there is no way from {status!r} to {upto or 'the next stage'!r}")
    place = STAGES.index(status) + 1
    return list(STAGES[place : STAGES.index(upto) + 1 if upto else place + 1])


def short_id(number: int) -> str:
    """Return an order's code for people.

    >>> short_id(41)
    '1041TTTTTTT'
    """
    letter = _SHORT_LETTERS[number % len(_SHORT_LETTERS)]
    return f"{1000 + number}{letter * 7}"
