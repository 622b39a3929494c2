"""Whether a value that was read back is the value that was written."""

from decimal import Decimal, InvalidOperation

_AMOUNTS = frozenset({"total", "net", "tax", "amount"})


def is_same(field: str, wrote: object, found: object) -> bool:
    """Say whether two values of a field mean the same; 10.5 and 10.50 do.

    >>> is_same("total", "10.50", "10.5"), is_same("name", None, ""), is_same("name", "a", "b")
    (True, True, False)
    """
    if field in _AMOUNTS and wrote and found:
        try:
            return Decimal(str(wrote)) == Decimal(str(found))
        except InvalidOperation:
            return False
    return str(wrote or "") == str(found or "")
