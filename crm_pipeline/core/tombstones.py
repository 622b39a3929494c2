"""Tombstones: proof that a person was erased, which names nobody without the installation's key.

Pure. Here: how an identifier is brought into one form and digested, and which columns of a dataset
say whose a row is. Not here: the key and where digests are kept (``store``), and who asks
(``sync.erase``). Source: ``FAULTS.md`` C10, C11, I11.
"""

import hmac
import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from crm_pipeline.core import normalise
from crm_pipeline.core.media import normal_form
from crm_pipeline.core.normalise import InvalidValueError
from crm_pipeline.core.subject import (
    CONTACT,
    CRM_ID,
    CRM_ORDER,
    CUSTOMER,
    EMAIL,
    LOKE_ORDER,
    MEMBER,
    PAYMENT,
    PERSON,
    PHONE,
    SAMPLE,
    Subject,
)

#: Whose a landed row is: kind of identifier by column. Other datasets go by their ids alone.
_COLUMNS: Mapping[str, Mapping[str, str]] = {
    PAYMENT: {"id": PAYMENT, "customer_id": CUSTOMER},
    LOKE_ORDER: {"id": LOKE_ORDER, "customer_id": CUSTOMER},
    MEMBER: {"customer_id": CUSTOMER},
    SAMPLE: {"id": SAMPLE, "identity": PERSON},
    CRM_ORDER: {"id": CRM_ORDER, "contact_code": CONTACT, "contact_id": CRM_ID},
}
_SEPARATOR = "\x1f"
_CHECK = "crm_pipeline tombstone key"


def identifying_columns(source: str, dataset: str) -> Mapping[str, str]:
    """Return the columns of a dataset that say whose a row is, with what each holds.

    >>> identifying_columns("loke", "list_members")
    {'customer_id': 'loke/customers'}
    """
    name = f"{source}/{dataset}"
    return _COLUMNS.get(name, {"id": name})


def tombstone(key: bytes, organisation: str, kind: str, value: str) -> str:
    """Return the digest of one identifier: HMAC-SHA256, 64 hex digits.

    The same person has other tombstones in another organisation, and in another installation.

    >>> one = tombstone(b"k" * 32, "acme", EMAIL, "Mina@Example.com ")
    >>> one == tombstone(b"k" * 32, "acme", EMAIL, "mina@example.com"), len(one)
    (True, 64)
    """
    text = _SEPARATOR.join((organisation, kind, normal_identifier(kind, value)))
    return hmac.digest(key, text.encode("utf-8", "surrogatepass"), "sha256").hex()


def key_name(key: bytes) -> str:
    """Return a name of a key that tells it from another one and tells nothing of it."""
    return hmac.digest(key, _CHECK.encode(), "sha256").hex()[:16]


def normal_identifier(kind: str, value: str) -> str:
    """Return an identifier in the one form that is digested; what has none is folded only.

    >>> normal_identifier(PHONE, "+61 400 000 001")
    'AUS 400000001'
    """
    if kind == EMAIL:
        return normal_email(value) or value.strip().casefold()
    if kind == PHONE:
        return normal_phone(value) or value.strip()
    return value.strip().casefold()


def normal_email(value: object) -> str | None:
    """Return the form by which e-mail addresses are compared; None for what is none."""
    try:
        return normal_form("email", {"email": normalise.email(value)})
    except InvalidValueError:
        return None


def normal_phone(value: object) -> str | None:
    """Return the form by which international phone numbers are compared; None for what is none."""
    try:
        fields = {
            "phone_country": normalise.phone_country(value),
            "phone_number": normalise.phone_number(value),
        }
    except InvalidValueError:
        return None
    return normal_form("phone", fields)


def refusal_key(digest: str) -> str:
    """Return under which key the consent log keeps an erased person's refusal.

    >>> refusal_key("ab12")
    'erased:ab12'
    """
    return f"erased:{digest}"


def texts_in(value: Any) -> Iterator[str]:
    """Give every text and number of a JSON value, however deep; names of members are left out."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, list | tuple):
            waiting.extend(one)
        elif isinstance(one, int | float) and not isinstance(one, bool):
            yield str(one)


#: A shorter id says nothing by itself: it may be a quantity.
_SHORTEST_TOLD = 8
_NUMBER = re.compile(r"\+?[\d\s().-]{7,25}")


class Mentions:
    """Tells whether a text, JSON or not, speaks of one person."""

    def __init__(self, subject: Subject) -> None:
        names = {name.casefold() for name in subject.names() if len(name) >= _SHORTEST_TOLD}
        crm_ids = {each.casefold() for some in subject.crm_ids.values() for each in some.values()}
        self._words = frozenset({*names, *crm_ids, *subject.emails})
        self._phones = subject.phones
        self._parts = tuple(sorted({*self._words, *map(digits_of, subject.phones)} - {""}))

    def is_in(self, text: str) -> bool:
        """Whether the person is named in a text."""
        try:
            value = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeError):
            folded = text.casefold()
            return any(part in folded for part in self._parts)
        return any(map(self._is_name, texts_in(value)))

    def _is_name(self, text: str) -> bool:
        if text.strip().casefold() in self._words:
            return True
        if "@" in text:
            return normal_email(text) in self._words
        if text[:1] in "{[" and len(text) > 2:
            return self.is_in(text) if _is_json(text) else False
        return bool(_NUMBER.fullmatch(text)) and normal_phone(text) in self._phones


def digits_of(phone: str) -> str:
    """Return the national number of a phone in normal form.

    >>> digits_of("AUS 400000001")
    '400000001'
    """
    return phone.rpartition(" ")[2]


def _is_json(text: str) -> bool:
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
