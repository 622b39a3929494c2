"""Contacts as CRM.COM wants them written.

Here: pure encoding of our flat fields. Not here: which fields to send (``writing``).
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from crm_pipeline.core.records import Fields, FieldValue
from crm_pipeline.destinations.crm_com.assumptions import (
    ADDRESS_MEMBER,
    ADDRESS_TYPE,
    CLEARED,
    CLEARED_CUSTOM_VALUE,
    CODE_MEMBER,
    EMAIL_MEMBER,
    PHONE_TYPE,
    STATE_MEMBER,
)
from crm_pipeline.destinations.crm_com.contacts.fields import (
    ADDRESS,
    FIELDS,
    MEDIA,
    OPT_OUTS,
    custom_key,
)

Body = dict[str, Any]

#: What CRM.COM calls the parts of an address, by our names.
ADDRESS_PARTS = {
    **{name: name for name in ADDRESS},
    "state_province_county": STATE_MEMBER,
    "address_country": "country_code",
}


def create_body(key: str, fields: Fields) -> Body:
    """Return the body that creates a contact.

    Both opt-out flags are always there: CRM.COM takes a missing one for a consent. A field that
    says nothing about consent opts out.

    >>> create_body("loke:1", {"first_name": "Mina", "email_opt_out": False})
    {'type': 'PERSON', 'code': 'loke:1', 'person_name': {'first_name': 'Mina'},
     'email_opt_out': False, 'sms_opt_out': True}
    """
    held = {name: value for name, value in fields.items() if value is not None and value != ""}
    flags = {name: fields.get(name) is not False for name in OPT_OUTS}
    body = _without_empty(_encode({**held, **flags}, {*held, *OPT_OUTS}))
    return {"type": "PERSON", CODE_MEMBER: key, **body}


def update_body(fields: Fields, names: Collection[str]) -> Body:
    """Return the body that brings the named fields to their values in ``fields``.

    A named field without a value is cleared. Fields that share a member travel together. An
    opt-out always goes along, named or not; the opposite only when it is named.

    >>> update_body({"email_opt_out": True, "sms_opt_out": False}, ["gender"])
    {'demographics': {'gender': None, 'date_of_birth': None}, 'email_opt_out': True}
    """
    if not names:
        return {}
    opt_outs = {name for name in OPT_OUTS if fields.get(name) is True}
    return _encode(fields, {*names, *opt_outs})


def _encode(fields: Fields, names: Collection[str]) -> Body:
    body: Body = {}
    for group, encode in _GROUPS.items():
        if any(name in names for name in group):
            member, value = encode(fields)
            body[member] = value
    for name in OPT_OUTS:
        if name in names:
            body[name] = fields.get(name) is not False
    customs = [
        {"key": custom_key(name), "value": _custom_value(fields.get(name))}
        for name in sorted(names)
        if custom_key(name) is not None
    ]
    if customs:
        body["custom_fields"] = customs
    return body


def _person_name(fields: Fields) -> tuple[str, Any]:
    return "person_name", {name: fields.get(name) for name in ("first_name", "last_name")}


def _email(fields: Fields) -> tuple[str, Any]:
    return EMAIL_MEMBER, fields.get("email") or CLEARED


def _phone(fields: Fields) -> tuple[str, Any]:
    country, number = fields.get("phone_country"), fields.get("phone_number")
    if not country or not number:
        return "phone", CLEARED
    return "phone", {"country_code": country, "number": number, "type": PHONE_TYPE}


def _address(fields: Fields) -> tuple[str, Any]:
    parts = {member: fields.get(name) or CLEARED for name, member in ADDRESS_PARTS.items()}
    if all(part is CLEARED for part in parts.values()):
        return ADDRESS_MEMBER, CLEARED
    return ADDRESS_MEMBER, {"type": ADDRESS_TYPE, "is_primary": True, **parts}


def _demographics(fields: Fields) -> tuple[str, Any]:
    return "demographics", {
        "gender": fields.get("gender") or CLEARED,
        "date_of_birth": _birthday(fields.get("date_of_birth")),
    }


def _birthday(value: FieldValue) -> dict[str, int] | None:
    """Return a date in CRM.COM's three parts; what is no date is left out, never guessed."""
    parts = str(value or "").split("-")
    if len(parts) != 3 or not all(part.isascii() and part.isdecimal() for part in parts):
        return CLEARED
    year, month, day = map(int, parts)
    return {"year": year, "month": month, "day": day}


def _custom_value(value: FieldValue) -> str | None:
    if value is None or value == "":
        return CLEARED_CUSTOM_VALUE
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


#: Fields that share one member of the body, and what encodes them.
_GROUPS: Mapping[tuple[str, ...], Callable[[Fields], tuple[str, Any]]] = {
    ("first_name", "last_name"): _person_name,
    MEDIA["email"]: _email,
    MEDIA["phone"]: _phone,
    ("gender", "date_of_birth"): _demographics,
    ADDRESS: _address,
}


def _without_empty(body: Body) -> Body:
    """Leave out what a create has no value for, inside groups as well."""
    slim = {
        member: {name: part for name, part in value.items() if part is not None}
        if isinstance(value, dict)
        else value
        for member, value in body.items()
    }
    return {member: value for member, value in slim.items() if value not in (None, {})}


def wire_words() -> frozenset[str]:
    """Return the names that an error may show to an operator: none of them is a value."""
    own = {"person_name", "phone", "demographics", "country_code", "number", "type", "body"}
    keys = {custom_key(name) or name for name in FIELDS}
    members = {EMAIL_MEMBER, CODE_MEMBER, ADDRESS_MEMBER, "custom_fields"}
    return frozenset({*own, *keys, *members, *ADDRESS_PARTS.values()})
