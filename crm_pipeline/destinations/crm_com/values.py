"""Members of an answer, read without trusting their form.

Here: what a value must be to be used. Not here: what it means.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec


def as_object(value: Any) -> Mapping[str, Any]:
    """Return an object; an empty one for anything else."""
    return value if isinstance(value, Mapping) else {}


def as_objects(value: Any) -> Sequence[Mapping[str, Any]]:
    """Return the objects of a list; none for anything else."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


def as_flag(value: Any) -> bool | None:
    """Return a flag; None for anything else."""
    return value if isinstance(value, bool) else None


def as_text(value: Any) -> str | None:
    """Return a text or a number as text; None for nothing, empty and anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value) or None


def json_number(value: object) -> msgspec.Raw:
    """Return a decimal text as a JSON number with the same digits; no float is involved.

    Raises ValueError for what is no finite number.

    >>> bytes(json_number("10.00")), bytes(json_number(3))
    (b'10.00', b'3')
    """
    number = as_decimal(value)
    if number is None:
        raise ValueError("an amount is not a number")
    return msgspec.Raw(format(number, "f").encode())


def as_decimal(value: object) -> Decimal | None:
    """Return a finite number, given as one or as text; None for anything else.

    >>> as_decimal("10.0") == as_decimal(10)
    True
    """
    if isinstance(value, bool) or not isinstance(value, str | int | float | Decimal):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() else None


def listed(text: object) -> Sequence[str]:
    r"""Return the texts of a JSON list, or the lines of a text; empty ones are left out.

    >>> listed('["b", "a"]'), listed("b\na\n"), listed(None)
    (['b', 'a'], ['b', 'a'], [])
    """
    if not isinstance(text, str):
        return []
    try:
        values = msgspec.json.decode(text, type=list[str])
    except msgspec.MsgspecError:
        values = text.splitlines()
    return [value.strip() for value in values if value.strip()]


def json_list(values: Sequence[str]) -> str:
    """Return texts as a JSON list, sorted, each once."""
    return msgspec.json.encode(sorted(set(values))).decode()
