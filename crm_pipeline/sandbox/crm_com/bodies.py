"""What a contact body may hold: checked field by field, unknown fields ignored.

The result is a set of changes in the flat form in which contacts are kept. A member that was not
sent makes no change; a member sent as null clears.

Here: the form of values. Not here: what other contacts already have (``contacts``).
"""

import datetime as dt
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from crm_pipeline.sandbox.crm_com.failures import INVALID_REQUEST, RefusedError, invalid

#: ISO 3166-1 alpha-3, as CRM.COM writes countries.
_COUNTRY_LIST = (
    "ABW AFG AGO AIA ALA ALB AND ARE ARG ARM ASM ATA ATF ATG AUS AUT AZE BDI BEL BEN BES BFA BGD"
    " BGR BHR BHS BIH BLM BLR BLZ BMU BOL BRA BRB BRN BTN BVT BWA CAF CAN CCK CHE CHL CHN CIV CMR"
    " COD COG COK COL COM CPV CRI CUB CUW CXR CYM CYP CZE DEU DJI DMA DNK DOM DZA ECU EGY ERI ESH"
    " ESP EST ETH FIN FJI FLK FRA FRO FSM GAB GBR GEO GGY GHA GIB GIN GLP GMB GNB GNQ GRC GRD GRL"
    " GTM GUF GUM GUY HKG HMD HND HRV HTI HUN IDN IMN IND IOT IRL IRN IRQ ISL ISR ITA JAM JEY JOR"
    " JPN KAZ KEN KGZ KHM KIR KNA KOR KWT LAO LBN LBR LBY LCA LIE LKA LSO LTU LUX LVA MAC MAF MAR"
    " MCO MDA MDG MDV MEX MHL MKD MLI MLT MMR MNE MNG MNP MOZ MRT MSR MTQ MUS MWI MYS MYT NAM NCL"
    " NER NFK NGA NIC NIU NLD NOR NPL NRU NZL OMN PAK PAN PCN PER PHL PLW PNG POL PRI PRK PRT PRY"
    " PSE PYF QAT REU ROU RUS RWA SAU SDN SEN SGP SGS SHN SJM SLB SLE SLV SMR SOM SPM SRB SSD STP"
    " SUR SVK SVN SWE SWZ SXM SYC SYR TCA TCD TGO THA TJK TKL TKM TLS TON TTO TUN TUR TUV TWN TZA"
    " UGA UKR UMI URY USA UZB VAT VCT VEN VGB VIR VNM VUT WLF WSM YEM ZAF ZMB ZWE"
)
COUNTRIES = frozenset(_COUNTRY_LIST.split())
_ADDRESS_TYPES = ("HOME", "BUSINESS", "ALTERNATIVE")
_ADDRESS_TEXTS = (
    "name",
    "address_line_1",
    "address_line_2",
    "town_city",
    "state_province_county",
    "postal_code",
)
_PHONE_TYPES = ("MOBILE", "LANDLINE", "FAX")
_GENDERS = ("FEMALE", "MALE", "OTHER")
_TEXTS = ("company_name", "language_code", "country_of_agreement")
_FLAGS = ("email_opt_out", "sms_opt_out")

Changes = dict[str, Any]


def read_changes(
    raw: bytes, email_fields: Collection[str], custom_keys: Collection[str]
) -> Changes:
    """Read a body of POST or PUT. Raises RefusedError."""
    body = _as_object(raw)
    changes: Changes = {}
    for name, read in _READERS.items():
        if name in body:
            changes |= read(body[name])
    for name in email_fields:
        if name in body:
            changes["email"] = _email(name, body[name])
    if "custom_fields" in body:
        changes["custom_fields"] = _custom_fields(body["custom_fields"], custom_keys)
    return changes


def _as_object(raw: bytes) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RefusedError(400, "The body is not JSON.", INVALID_REQUEST, []) from error
    if not isinstance(body, dict):
        raise invalid("body")
    return body


def _text(field: str, value: Any) -> str | None:
    if value is not None and not isinstance(value, str):
        raise invalid(field)
    return value or None


def _person_name(value: Any) -> Changes:
    if value is None:
        return {"first_name": None, "last_name": None, "middle_name": None}
    if not isinstance(value, dict):
        raise invalid("person_name")
    names = ("first_name", "last_name", "middle_name", "title")
    return {name: _text(name, value[name]) for name in names if name in value}


def _email(field: str, value: Any) -> str | None:
    text = _text(field, value)
    if text is not None:
        box, at, host = text.rpartition("@")
        if not (box and at and "." in host) or any(letter.isspace() for letter in text):
            raise invalid(field)
    return text


def _phone(value: Any) -> Changes:
    if value is None:
        return {"phone": None}
    if not isinstance(value, dict):
        raise invalid("phone")
    country, number = value.get("country_code"), value.get("number")
    kind = value.get("type") or "MOBILE"
    if not isinstance(country, str) or country not in COUNTRIES:
        raise invalid("country_code")
    # Without the dialling code: a plus, like anything else that is no digit, is an error.
    if not (isinstance(number, str) and number.isascii() and number.isdecimal()):
        raise invalid("number")
    if kind not in _PHONE_TYPES:
        raise invalid("type")
    return {"phone": {"country_code": country, "number": number, "type": kind}}


def _address(value: Any) -> Changes:
    """Read an address; it may have any of its parts, and those that it has not are empty."""
    if value is None:
        return {"address": None}
    if not isinstance(value, dict):
        raise invalid("address")
    country = value.get("country_code")
    kind = value.get("type") or "HOME"
    is_primary = value.get("is_primary")
    if country is not None and (not isinstance(country, str) or country not in COUNTRIES):
        raise invalid("country_code")
    if kind not in _ADDRESS_TYPES:
        raise invalid("type")
    if is_primary is not None and not isinstance(is_primary, bool):
        raise invalid("is_primary")
    texts = {name: _text(name, value.get(name)) for name in _ADDRESS_TEXTS}
    head = {"type": kind, "is_primary": is_primary is not False}
    return {"address": {**head, **texts, "country_code": country}}


def _demographics(value: Any) -> Changes:
    if value is None:
        return {"demographics": None}
    if not isinstance(value, dict):
        raise invalid("demographics")
    kept: dict[str, Any] = {}
    if "gender" in value:
        if value["gender"] is not None and value["gender"] not in _GENDERS:
            raise invalid("gender")
        kept["gender"] = value["gender"]
    if "date_of_birth" in value:
        kept["date_of_birth"] = _birthday(value["date_of_birth"])
    return {"demographics": kept}


def _birthday(value: Any) -> dict[str, int] | None:
    if value is None:
        return None
    try:
        day = dt.date(value["year"], value["month"], value["day"])
    except (TypeError, KeyError, ValueError) as error:
        raise invalid("date_of_birth") from error
    return {"year": day.year, "month": day.month, "day": day.day}


def _custom_fields(value: Any, known: Collection[str]) -> dict[str, str | None]:
    if value is None:
        return dict.fromkeys(known)
    if not isinstance(value, list):
        raise invalid("custom_fields")
    read: dict[str, str | None] = {}
    for entry in value:
        key = entry.get("key") if isinstance(entry, dict) else None
        if key not in known:
            raise invalid(str(key), "Unknown custom field.")
        held = entry.get("value")
        if held is not None and not isinstance(held, str):
            raise invalid(str(key), "The value of a custom field must be a string.")
        read[str(key)] = held
    return read


def _loyalty_identifiers(value: Any) -> Changes:
    given = value or []
    if not isinstance(given, list):
        raise invalid("loyalty_identifiers")
    texts = [each.get("identifier") if isinstance(each, dict) else None for each in given]
    if not all(isinstance(text, str) and text for text in texts):
        raise invalid("loyalty_identifiers")
    return {"loyalty_identifiers": [{"identifier": text} for text in dict.fromkeys(texts)]}


def _flag_reader(name: str) -> Callable[[Any], Changes]:
    def read(value: Any) -> Changes:
        if value is not None and not isinstance(value, bool):
            raise invalid(name)
        return {name: bool(value)}

    return read


def _text_reader(name: str) -> Callable[[Any], Changes]:
    return lambda value: {name: _text(name, value)}


def _type(value: Any) -> Changes:
    if value not in ("PERSON", "COMPANY"):
        raise invalid("type")
    return {"type": value}


_READERS: dict[str, Callable[[Any], Changes]] = {
    "type": _type,
    "code": _text_reader("code"),
    "person_name": _person_name,
    "phone": _phone,
    "address": _address,
    "demographics": _demographics,
    "loyalty_identifiers": _loyalty_identifiers,
    **{name: _text_reader(name) for name in _TEXTS},
    **{name: _flag_reader(name) for name in _FLAGS},
}
