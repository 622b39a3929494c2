"""The envelope of every answer, and numbers that stay exact on the wire.

Success and failure share one form; ``status.code`` is ``OK`` or the name of the failure.
"""

from decimal import Decimal
from typing import Any

import msgspec

from crm_pipeline.sandbox.wire import Answer

_ENCODER = msgspec.json.Encoder(decimal_format="number")
_DECODER = msgspec.json.Decoder(float_hook=Decimal)

INVALID_TOKEN = "INVALID_TOKEN"
LOGIN_FAILED = "LOGIN_FAILED"
ACCESS_DENIED = "ACCESS_DENIED"
MANDATORY = "MANDATORY_PARAMETER_MISSING"
INVALID = "INVALID_PARAMETER"
NOT_FOUND = "NOT_FOUND"
METHOD_UNKNOWN = "METHOD_NOT_FOUND"
CURRENCY = "CURRENCY_MISMATCH"
DUPLICATE = "EXTERNAL_REFERENCE_NUMBER_ALREADY_EXISTS"
NOT_POSTED = "INVALID_LIFE_CYCLE_STATE"
BALANCE = "WALLET_BALANCE_NOT_ENOUGH"
EXISTS = "PRODUCT_ALREADY_EXISTS"
TOO_MANY = "TOO_MANY_ENTRIES"
INTERNAL = "INTERNAL_ERROR"

Data = dict[str, Any]


class RefusedError(Exception):
    """The call is refused; nothing was written. Business errors travel with HTTP status 200."""

    def __init__(self, code: str, description: str, *, status: int = 200) -> None:
        """Carry the members of ``status``."""
        super().__init__(description)
        self.code = code
        self.description = description
        self.status = status

    def answer(self) -> Answer:
        """Write the failure."""
        told = {"code": self.code, "message": self.code.title(), "description": self.description}
        return Answer(self.status, _ENCODER.encode({"status": told, "data": None}))


def ok(data: Any) -> Answer:
    """Write a success."""
    told = {"code": "OK", "message": "", "description": ""}
    return Answer(200, _ENCODER.encode({"status": told, "data": data}))


def read_body(raw: bytes) -> Data:
    """Read a JSON object; numbers with a point come as decimals."""
    try:
        body = _DECODER.decode(raw or b"{}")
    except msgspec.DecodeError as error:
        raise RefusedError(INVALID, "The body is not JSON.") from error
    if not isinstance(body, dict):
        raise RefusedError(INVALID, "The body is no object.")
    return body


def needed(body: Data, name: str) -> Any:
    """Return a mandatory member."""
    value = body.get(name)
    if value in (None, "", [], {}):
        raise RefusedError(MANDATORY, name)
    return value


def amount(body: Data, name: str) -> Decimal:
    """Return a mandatory amount; a text is not one."""
    value = body.get(name)
    if value is None:
        raise RefusedError(MANDATORY, name)
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        raise RefusedError(INVALID, name)
    return Decimal(value)


def one_key(identifier: Any, name: str, known: tuple[str, ...]) -> tuple[str, Any]:
    """Return the only key of an identifier object and its value."""
    if not isinstance(identifier, dict):
        raise RefusedError(INVALID, name)
    given = {key: value for key, value in identifier.items() if value is not None}
    if len(given) != 1:
        raise RefusedError(INVALID, f"{name}: exactly one key is needed")
    ((key, value),) = given.items()
    if key not in known:
        raise RefusedError(INVALID, f"{name}.{key}")
    return key, value


def one_of(body: Data, names: tuple[str, ...]) -> str:
    """Return which one of several members is there; neither none nor two may be."""
    given = [name for name in names if body.get(name) is not None]
    if len(given) != 1:
        raise RefusedError(MANDATORY, f"exactly one of {', '.join(names)}")
    return given[0]
