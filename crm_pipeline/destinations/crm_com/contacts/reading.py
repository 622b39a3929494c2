"""Contacts as CRM.COM shows them, in our flat fields.

Both spellings of the vendor's sources are read: flat and nested names, ``email`` and
``email_address``, ``phone`` and ``phones``, ``address`` and ``addresses``. What has an unexpected
form is left out.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from crm_pipeline.core.records import FieldValue, RemoteObject
from crm_pipeline.destinations.crm_com.assumptions import (
    ADDRESS_MEMBER,
    ADDRESS_TYPE,
    EMAIL_MEMBER,
)
from crm_pipeline.destinations.crm_com.contacts.bodies import ADDRESS_PARTS
from crm_pipeline.destinations.crm_com.contacts.fields import OPT_OUTS, custom_field
from crm_pipeline.destinations.crm_com.values import (
    as_flag,
    as_object,
    as_objects,
    as_text,
)

#: How codes of ours begin, and by each the custom field that still names our record when a
#: contact's code is not ours. The first field that a contact has counts.
OwnCodes = Mapping[str, str]


def read_contact(content: Any, *, own: OwnCodes) -> RemoteObject | None:
    """Return a contact, or None when it has no id. ``key`` is set when the contact is ours.

    >>> own = {"loke:": "custom.loke_customer_id"}
    >>> read_contact({"id": "7", "code": "loke:1", "email": "a@example.com"}, own=own)
    RemoteObject(crm_id='7', key='loke:1', fields={'email': 'a@example.com'})
    """
    if not isinstance(content, Mapping):
        return None
    crm_id = as_text(content.get("id"))
    if crm_id is None:
        return None
    fields = read_fields(content)
    return RemoteObject(crm_id=crm_id, key=_key_of(content, fields, own), fields=fields)


def read_own(content: Mapping[str, Any] | None, *, key: str) -> RemoteObject | None:
    """Return the contact that was asked for by our key, or None when it is another's."""
    if content is None or as_text(content.get("code")) not in (None, key):
        return None
    return read_linked(content, key=key)


def read_linked(content: Mapping[str, Any] | None, *, key: str) -> RemoteObject | None:
    """Return a contact that is ours whatever its code, or None when there is none."""
    if content is None:
        return None
    crm_id = as_text(content.get("id"))
    return RemoteObject(crm_id=crm_id, key=key, fields=read_fields(content)) if crm_id else None


def read_fields(content: Mapping[str, Any]) -> dict[str, FieldValue]:
    """Return the fields that have a value."""
    name = as_object(content.get("person_name"))
    demographics = as_object(content.get("demographics"))
    phone = as_object(content.get("phone")) or _primary(as_objects(content.get("phones")))
    address = _address_of(content)
    found: dict[str, FieldValue] = {
        "first_name": as_text(content.get("first_name")) or as_text(name.get("first_name")),
        "last_name": as_text(content.get("last_name")) or as_text(name.get("last_name")),
        "email": as_text(content.get("email")) or as_text(content.get(EMAIL_MEMBER)),
        "phone_country": as_text(phone.get("country_code")),
        "phone_number": as_text(phone.get("number")),
        "date_of_birth": _birthday(demographics.get("date_of_birth")),
        "gender": as_text(demographics.get("gender")),
        **{name: as_text(address.get(member)) for name, member in ADDRESS_PARTS.items()},
        **{flag: as_flag(content.get(flag)) for flag in OPT_OUTS},
        **_customs(content.get("custom_fields")),
    }
    return {field: value for field, value in found.items() if value is not None}


def _key_of(
    content: Mapping[str, Any], fields: Mapping[str, FieldValue], own: OwnCodes
) -> str | None:
    """Return our key: the code, or the custom field of a contact that was linked or merged."""
    code = as_text(content.get("code"))
    if code is not None and code.startswith(tuple(own)):
        return code
    named = (f"{prefix}{fields[field]}" for prefix, field in own.items() if fields.get(field))
    return next(named, None)


def _address_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the home address; where none says that it is one, the address that is shown."""
    shown = as_objects(content.get("addresses"))
    at_home = [each for each in shown if each.get("type") == ADDRESS_TYPE]
    return as_object(content.get(ADDRESS_MEMBER)) or _primary(at_home or shown)


def _primary(shown: Sequence[Mapping[str, Any]]) -> Mapping[str, Any]:
    """Return the primary one of several, else the first."""
    return next((each for each in shown if each.get("is_primary") is True), (*shown, {})[0])


def _birthday(value: Any) -> str | None:
    parts = as_object(value)
    numbers = [parts.get(name) for name in ("year", "month", "day")]
    if not all(type(number) is int for number in numbers):
        return as_text(value)
    year, month, day = numbers
    return f"{year:04}-{month:02}-{day:02}"


def _customs(value: Any) -> dict[str, FieldValue]:
    listed = value if isinstance(value, list) else []
    return {
        custom_field(str(entry["key"])): as_text(entry.get("value"))
        for entry in map(as_object, listed)
        if as_text(entry.get("key")) is not None
    }
