"""How bodies of CRM.COM are read into typed values: unknown members ignored, wrong ones named.

Here: references and reading. Not here: what they refer to.
"""

import re
from typing import TypeVar

import msgspec

from crm_pipeline.sandbox.crm_com.failures import INVALID_REQUEST, RefusedError, invalid

_WHERE = re.compile(r"at `\$\.?([^`]*)`")
_MISSING = re.compile(r"required field `(\w+)`")

Shape = TypeVar("Shape", bound=msgspec.Struct)


class CodeRef(msgspec.Struct):
    """A thing by id or by code."""

    id: str | None = None
    code: str | None = None


class NamedRef(msgspec.Struct):
    """A thing by id or by name; a name that is unknown is made."""

    id: str | None = None
    name: str | None = None
    code: str | None = None

    @property
    def text(self) -> str | None:
        """Return its name, or what stands for one."""
        return self.name or self.code


class ContactRef(msgspec.Struct):
    """A person by whichever of these is given; the first one counts."""

    id: str | None = None
    code: str | None = None
    cim: str | None = None
    otp: str | None = None
    wallet_code: str | None = None
    wallet: CodeRef | None = None


class OrganisationRef(msgspec.Struct):
    """A place by id or by a transaction acquiring point (TAP)."""

    id: str | None = None
    merchant_tap: CodeRef | None = None
    venue_tap: CodeRef | None = None


def read_shape(raw: bytes, shape: type[Shape]) -> Shape:
    """Decode a body. Raises RefusedError that names the innermost wrong member."""
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        raise invalid(_field_of(str(error))) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(400, "The body is not JSON.", INVALID_REQUEST, []) from error


def _field_of(message: str) -> str:
    missing = _MISSING.search(message)
    if missing:
        return missing[1]
    where = _WHERE.search(message)
    names = re.findall(r"\w+", where[1]) if where else []
    return names[-1] if names else "body"
