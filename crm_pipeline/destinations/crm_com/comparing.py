"""Whether a value that was read back is the value that was written.

Here: pure comparison, forgiving what a CRM may do to a value (case, spaces, spelling of numbers).
"""

import unicodedata
from decimal import Decimal, InvalidOperation

from crm_pipeline.destinations.crm_com.catalogue import OPT_OUTS, custom_key


def is_same(field: str, wrote: object, found: object) -> bool:
    """Say whether two values of a field mean the same.

    >>> is_same("email", "Mina@Example.com", "mina@example.com")
    True
    >>> is_same("custom.loke_total_spend", "184.50", "184.5")
    True
    >>> is_same("first_name", None, "")
    True
    >>> is_same("sms_opt_out", True, None)
    False
    """
    if field in OPT_OUTS:
        return _flag(wrote) == _flag(found)
    return _normal(field, wrote) == _normal(field, found)


def _flag(value: object) -> bool:
    """Read an opt-out flag; CRM.COM's default is "not opted out"."""
    return value is True or value == "true"


def _normal(field: str, value: object) -> str | Decimal:
    text = _text(value)
    if field in {"email", "gender", "phone_country"}:
        return text.casefold()
    if field == "phone_number":
        return "".join(letter for letter in text if letter.isdigit())
    if custom_key(field) is not None:
        return _number(text)
    return text


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return unicodedata.normalize("NFC", str(value)).strip()


def _number(text: str) -> str | Decimal:
    """Return a number for a text that is nothing but one, so that 1.50 equals 1.5."""
    if not text or len(text) > 40 or not text.lstrip("-").replace(".", "", 1).isdecimal():
        return text
    try:
        return Decimal(text)
    except InvalidOperation:
        return text
