"""Normal forms of what people and sources write: names, addresses, numbers, dates, money.

Each function takes the source's value and returns the normal form, or None for a value that says
nothing (absent, blank). What says something unusable raises ``InvalidValueError`` with a stable
code. Nothing depends on today's date or on the network, so the same value always gives the same
result. The fast ways below are checked against the libraries by tests.
"""

import datetime as dt
import re
import unicodedata
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache

import phonenumbers
import pycountry
from email_validator import SPECIAL_USE_DOMAIN_NAMES, EmailNotValidError, validate_email

from crm_pipeline.core.times import format_time, parse_time

# Whether mail can arrive is the CRM's question: reserved domains (``.invalid``, ``.test``) are well
# formed. The library's documentation names this list as the place to say so.
SPECIAL_USE_DOMAIN_NAMES.clear()

EARLIEST_BIRTH_YEAR = 1900
_PHONES_REMEMBERED = 4_096

#: ISO 4217: currencies whose smallest unit is not a hundredth.
_EXPONENTS: Mapping[str, int] = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(),  # noqa: SIM905
        0,
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),  # noqa: SIM905
    **dict.fromkeys("CLF UYW".split(), 4),  # noqa: SIM905
}
_ALPHA_3: Mapping[str, str] = {each.alpha_2: each.alpha_3 for each in pycountry.countries}

_PLAIN_EMAIL = re.compile(
    r"[a-z0-9_+-]+(?:\.[a-z0-9_+-]+)*@(?:[a-z0-9](?:[a-z0-9]{0,60}[a-z0-9])?\.)+[a-z]{2,24}",
    re.IGNORECASE | re.ASCII,
)
_LONGEST_LOCAL_PART = 64
_LONGEST_DOMAIN = 200
_E164 = re.compile(r"\+([1-9]\d{6,14})", re.ASCII)
_NOT_WORDS = re.compile(r"[\s\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060\ufeff]+")
_PLAIN_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.0+)?Z", re.ASCII)
_GENDERS = {"MALE": "MALE", "M": "MALE", "FEMALE": "FEMALE", "F": "FEMALE"}


_DECIMAL = re.compile(r"[+-]?[0-9]{1,30}(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?")
#: Beyond this an amount fits no column of whole numbers, whatever its currency.
_MOST_DIGITS = 14


class InvalidValueError(ValueError):
    """A value cannot be brought into its normal form. ``code`` is stable, holds no value."""

    def __init__(self, code: str) -> None:
        self.code = code
        super().__init__(code)


def text(value: object) -> str | None:
    """Return words with single spaces and composed letters; None for a blank.

    >>> text("  Mary   Jane ")
    'Mary Jane'
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidValueError("text_invalid")
    if value.isascii() and value.isalnum():
        return value
    return _NOT_WORDS.sub(" ", unicodedata.normalize("NFC", value)).strip() or None


def email(value: object) -> str | None:
    """Return an address that a mail server can be asked about; its own part keeps its case.

    Raises InvalidValueError ``email_invalid``. Nobody is asked whether the address exists.

    >>> email(" Mina.Okafor@Example.COM ")
    'Mina.Okafor@example.com'
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidValueError("email_invalid")
    address = value.strip()
    if not address:
        return None
    local, _, domain = address.partition("@")
    if (
        len(local) <= _LONGEST_LOCAL_PART
        and len(domain) <= _LONGEST_DOMAIN
        and _PLAIN_EMAIL.fullmatch(address)
    ):
        return f"{local}@{domain.lower()}"
    return _careful_email(address)


def _careful_email(address: str) -> str:
    try:
        found = validate_email(address, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        raise InvalidValueError("email_invalid") from error
    if "." not in found.domain:
        raise InvalidValueError("email_invalid")
    return found.normalized


def phone_country(value: object) -> str | None:
    """Return the ISO alpha-3 country of a phone number. Raises InvalidValueError.

    >>> phone_country("+61400000001")
    'AUS'
    """
    found = _phone(value)
    return found and found[0]


def phone_number(value: object) -> str | None:
    """Return the digits of a phone number after its country's code. Raises InvalidValueError.

    >>> phone_number("+61 400 000 001")
    '400000001'
    """
    found = _phone(value)
    return found and found[1]


def _phone(value: object) -> tuple[str, str] | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidValueError("phone_unparsable")
    found = split_phone(value.strip()) if value.strip() else ("", "")
    if found is None:
        raise InvalidValueError("phone_unparsable")
    return found if found[0] else None


@lru_cache(maxsize=_PHONES_REMEMBERED)
def split_phone(number: str) -> tuple[str, str] | None:
    """Return country (alpha-3) and national digits of an international number, or None.

    Regions that share a code (+1, +44, +7) are told apart by the number itself.
    """
    found = _plain_phone(number) or _careful_phone(number)
    if found is None:
        return None
    region, national = found
    country = _ALPHA_3.get(region)
    return None if country is None else (country, national)


def _plain_phone(number: str) -> tuple[str, str] | None:
    """Read digits after a plus without the library's search for a number in a text."""
    matched = _E164.fullmatch(number)
    code = _calling_code(matched[1]) if matched else None
    if matched is None or code is None:
        return None
    national = matched[1][len(str(code)) :]
    if not national or national.startswith("0"):
        return None
    plain = phonenumbers.PhoneNumber(country_code=code, national_number=int(national))
    region = phonenumbers.region_code_for_number(plain)
    return None if region is None else (region, national)


def _calling_code(digits: str) -> int | None:
    codes = (int(digits[:length]) for length in (1, 2, 3))
    return next((code for code in codes if code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE), None)


def _careful_phone(number: str) -> tuple[str, str] | None:
    try:
        found = phonenumbers.parse(number, None)
    except phonenumbers.NumberParseException:
        return None
    region = phonenumbers.region_code_for_number(found)
    if region is None:
        return None
    return region, phonenumbers.national_significant_number(found)


def date(value: object) -> str | None:
    """Return a date of the calendar as YYYY-MM-DD. Raises InvalidValueError ``date_invalid``.

    >>> date("1990-05-17")
    '1990-05-17'
    """
    plain = text(value)
    if plain is None:
        return None
    try:
        found = dt.date.fromisoformat(plain)
    except ValueError as error:
        raise InvalidValueError("date_invalid") from error
    if found.isoformat() != plain or found.year < EARLIEST_BIRTH_YEAR:
        raise InvalidValueError("date_invalid")
    return plain


def gender(value: object) -> str | None:
    """Return MALE, FEMALE or OTHER; every other word is OTHER.

    >>> gender("female"), gender("non-binary")
    ('FEMALE', 'OTHER')
    """
    word = text(value)
    return None if word is None else _GENDERS.get(word.upper(), "OTHER")


def moment(value: object) -> str | None:
    """Return a time in the one form that we write. Raises InvalidValueError ``time_unreadable``.

    >>> moment("2024-06-06T22:10:11.000Z")
    '2024-06-06T22:10:11Z'
    """
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise InvalidValueError("time_unreadable")
    plain = _PLAIN_TIME.fullmatch(value)
    try:
        if plain:
            dt.datetime.fromisoformat(plain[1])
            return f"{plain[1]}Z"
        return format_time(parse_time(value))
    except ValueError as error:
        raise InvalidValueError("time_unreadable") from error


def whole(value: object) -> str | None:
    """Return a whole number as text. Raises InvalidValueError ``number_invalid``.

    >>> whole(1250)
    '1250'
    """
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidValueError("number_invalid")
    return str(value)


def exponent_of(currency: str) -> int | None:
    """Return how many decimals a currency has (ISO 4217, capital letters), None for an unknown one.

    >>> exponent_of("AUD"), exponent_of("JPY"), exponent_of("BHD"), exponent_of("aud")
    (2, 0, 3, None)
    """
    if not currency.isupper() or pycountry.currencies.get(alpha_3=currency) is None:
        return None
    return _EXPONENTS.get(currency, 2)


def money(value: object, exponent: int) -> str | None:
    """Return an amount of smallest units as a decimal text. Raises InvalidValueError.

    >>> money(18450, 2), money(5, 3), money(-5, 0)
    ('184.50', '0.005', '-5')
    """
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidValueError("amount_invalid")
    return format(Decimal(value).scaleb(-exponent), "f")


def smallest_units(text: str, exponent: int) -> int:
    """Return a decimal text as a whole number of smallest units: the reverse of ``money``.

    Exact or not at all. Raises InvalidValueError ``amount_invalid``.

    >>> smallest_units("14.99", 2), smallest_units("15.000", 2), smallest_units("1.5e3", 0)
    (1499, 1500, 1500)
    >>> smallest_units("14.995", 2)
    Traceback (most recent call last):
    ...
    crm_pipeline.core.normalise.InvalidValueError: amount_invalid
    """
    amount = Decimal(text) if _DECIMAL.fullmatch(text) else None
    if amount is None or amount.adjusted() > _MOST_DIGITS:
        raise InvalidValueError("amount_invalid")
    units = int(amount.scaleb(exponent))
    if Decimal(units).scaleb(-exponent) != amount:
        raise InvalidValueError("amount_invalid")
    return units
