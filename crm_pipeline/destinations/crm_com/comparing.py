"""Whether a value that was read back is the value that was written.

Here: pure comparison, forgiving what a CRM may do to a value (case, spaces, spelling of numbers).
The names of fields mean the same in every kind of object.
"""

import unicodedata
from decimal import Decimal
from typing import Any

import msgspec

from crm_pipeline.destinations.crm_com.assumptions import IS_ADDRESS_SHOWN
from crm_pipeline.destinations.crm_com.contacts.fields import ADDRESS, OPT_OUTS, custom_key
from crm_pipeline.destinations.crm_com.values import as_decimal, listed

#: Amounts and rates: compared as numbers.
_NUMBERS = frozenset({"total", "net", "tax", "discount", "amount", "price", "tax_rate", "date"})

#: What says something about us and not about what CRM.COM holds: the id that we chose, which it
#: need not have honoured, and the tags that we may touch.
_OURS_ALONE = frozenset({"purchase_id", "ours"})

#: What CRM.COM need not show of a purchase, or of a contact: only what it shows can differ.
_SELDOM_SHOWN = frozenset(
    {
        *("contact_key", "classification", "organisation_id", "tap_code", "notes", "lines"),
        "discount",
        *(() if IS_ADDRESS_SHOWN else ADDRESS),
    }
)

#: Texts whose case does not count.
_CASELESS = frozenset({"email", "gender", "phone_country", "address_country", "currency"})


def is_same(field: str, wrote: object, found: object) -> bool:
    """Say whether two values of a field mean the same.

    >>> is_same("email", "Mina@Example.com", "mina@example.com")
    True
    >>> is_same("custom.loke_total_spend", "184.50", "184.5"), is_same("total", "10.00", "10.0")
    (True, True)
    >>> is_same("tags", '["b", "a"]', '["a", "b"]'), is_same("notes", "Table 4", None)
    (True, True)
    >>> is_same("first_name", None, "")
    True
    >>> is_same("sms_opt_out", True, None)
    False
    """
    if field in OPT_OUTS:
        return _flag(wrote) == _flag(found)
    if field in _OURS_ALONE or (field in _SELDOM_SHOWN and found is None):
        return True
    if field == "tags":
        return set(listed(wrote)) == set(listed(found))
    if field == "lines":
        return _lines(wrote) == _lines(found)
    return _normal(field, wrote) == _normal(field, found)


def _flag(value: object) -> bool:
    """Read an opt-out flag; CRM.COM's default is "not opted out"."""
    return value is True or value == "true"


def _normal(field: str, value: object) -> str | Decimal:
    text = _text(value)
    if field in _CASELESS:
        return text.casefold()
    if field == "postal_code":
        return "".join(text.casefold().split())
    if field == "phone_number":
        return "".join(letter for letter in text if letter.isdigit())
    if field in _NUMBERS or custom_key(field) is not None:
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
    number = as_decimal(text)
    return text if number is None else number


def _lines(value: object) -> object:
    """Return what was bought, in any order: products, pieces and what they cost together."""
    try:
        lines = msgspec.json.decode(str(value or "[]"), type=list[dict[str, Any]])
    except msgspec.MsgspecError:
        return value
    return sorted(
        (str(line.get("sku")), *(_amount(line.get(name)) for name in ("quantity", "total_amount")))
        for line in lines
    )


def _amount(value: object) -> Decimal:
    number = as_decimal(value)
    return Decimal(0) if number is None else number
