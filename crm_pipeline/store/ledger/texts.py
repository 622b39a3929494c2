"""Values as the ledger stores them: canonical JSON text."""

from typing import TypeVar

import msgspec

from crm_pipeline.errors import LedgerDamagedError
from crm_pipeline.store.ledger.failures import damaged

Value = TypeVar("Value")


def to_text(value: object) -> str:
    """Return a value as JSON with sorted keys.

    >>> to_text({"b": 1, "a": [True, None]})
    '{"a":[true,null],"b":1}'
    """
    return msgspec.json.encode(value, order="sorted").decode()


def from_text(decoder: "msgspec.json.Decoder[Value]", text: str) -> Value:
    """Return the value that a text stands for.

    Raises LedgerDamagedError when it is none of the decoder's type.
    """
    try:
        return decoder.decode(text)
    except msgspec.DecodeError as error:
        raise _unreadable(error) from None


def _unreadable(error: msgspec.DecodeError) -> LedgerDamagedError:
    """The decoder's message names a place, such as ``$.created_at``, and never a value."""
    return damaged(f"holds a value that this version cannot read ({type(error).__name__})")
