"""The one form of every answer: ``status`` and ``data``.

``status.code`` decides, whatever the HTTP status. Its message and description may quote what was
sent, so only the code is ever shown. Source: ``crmcom.md`` 2.1.
"""

import re
from typing import TypeVar

import msgspec

from crm_pipeline.destinations.crm_com_classic.assumptions import (
    ACCESS_REFUSED_CODES,
    TOKEN_REFUSED_CODES,
)
from crm_pipeline.errors import CredentialsRefusedError, DataError
from crm_pipeline.http import Answer

Shape = TypeVar("Shape")

_SHOWN_CODE = re.compile(r"[A-Z][A-Z_.]{1,79}")


class ClassicRefusedError(DataError):
    """The Web API took a call and refused it. ``told`` is its code, safe to show."""

    code = "refused_by_crm"

    def __init__(self, told: str, call: str) -> None:
        super().__init__(
            f"{call}: CRM.COM refused it ({told}).",
            not_done="Nothing was written by this call.",
            remedy="Look the code up in CRM.COM's Web API guide.",
        )
        self.told = told


class _Status(msgspec.Struct, frozen=True):
    code: str


class Envelope(msgspec.Struct, frozen=True):
    """One answer. ``data`` is still encoded; it may be missing or null."""

    status: _Status
    data: msgspec.Raw = msgspec.Raw(b"null")

    @property
    def is_ok(self) -> bool:
        """Whether the call was done; nothing else decides."""
        return self.status.code == "OK"


def read_envelope(answer: Answer) -> Envelope | None:
    """Return what an answer tells, or None when it is no envelope."""
    try:
        return msgspec.json.decode(answer.body, type=Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def is_done(answer: Answer) -> bool:
    """Whether a call was done, whatever its HTTP status says."""
    envelope = read_envelope(answer)
    return envelope is not None and envelope.is_ok


def is_token_refused(answer: Answer) -> bool:
    """Whether a call was refused for its token only: surely nothing was done."""
    envelope = read_envelope(answer)
    if envelope is None:
        return answer.status == 401
    return not envelope.is_ok and (
        answer.status == 401 or envelope.status.code.upper() in TOKEN_REFUSED_CODES
    )


def read_data(answer: Answer, shape: type[Shape]) -> Shape:
    """Return the data of a call that was done.

    Raises ClassicRefusedError for a refusal, CredentialsRefusedError when we may not do this and
    MalformedAnswerError for any other form.
    """
    envelope = read_envelope(answer)
    if envelope is None:
        if answer.status == 403:
            raise _not_allowed(answer, "no code")
        raise answer.malformed("is no envelope of the Web API")
    if not envelope.is_ok:
        raise _refused(answer, envelope)
    try:
        # Not strict: flags come as 1 and 0 as well, amounts as texts.
        return msgspec.json.decode(envelope.data, type=shape, strict=False)
    except (msgspec.ValidationError, UnicodeDecodeError):
        raise answer.malformed("holds data of another form") from None


def shown_code(code: object) -> str:
    """Return a code that may be shown, or a word for one that looks like something else.

    >>> shown_code("NOT_FOUND"), shown_code("no card +61400000001")
    ('NOT_FOUND', 'a code that is not shown')
    """
    text = str(code)
    return text if _SHOWN_CODE.fullmatch(text) else "a code that is not shown"


def _refused(answer: Answer, envelope: Envelope) -> Exception:
    told = shown_code(envelope.status.code)
    if answer.status == 403 or envelope.status.code.upper() in ACCESS_REFUSED_CODES:
        return _not_allowed(answer, told)
    return ClassicRefusedError(told, answer.call)


def _not_allowed(answer: Answer, told: str) -> CredentialsRefusedError:
    return CredentialsRefusedError(
        f"{answer.call}: the Web API key or user may not do this ({told}).",
        not_done="The call was not done.",
        remedy="Let CRM.COM's administrator allow it, then run `crm-pipeline doctor`.",
    )
