"""Why a webhook is not taken: the status that the sender gets, and the word that we count it by.

LOKE takes every answer below 500 for "delivered" and never sends again (vendors file 1.14). So a
4xx means that the sender is wrong for ever; whatever is our trouble is 503.
"""

from typing import Literal

Cause = Literal[
    "unknown",
    "bad_proof",
    "cross_tenant",
    "malformed",
    "too_large",
    "cut_short",
    "too_slow",
    "overloaded",
    "not_stored",
    "stopping",
    "misconfigured",
    "bug",
]
CAUSES: tuple[Cause, ...] = (
    "unknown",
    "bad_proof",
    "cross_tenant",
    "malformed",
    "too_large",
    "cut_short",
    "too_slow",
    "overloaded",
    "not_stored",
    "stopping",
    "misconfigured",
    "bug",
)


class Refused(Exception):  # noqa: N818 - not an error: an answer
    """The answer to a webhook that is not taken. ``detail`` is for our log: no personal data."""

    def __init__(self, status: int, cause: Cause, detail: str = "") -> None:
        self.status = status
        self.cause = cause
        self.detail = detail
        super().__init__(cause)
