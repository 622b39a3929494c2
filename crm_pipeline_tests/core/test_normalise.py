"""Normal forms, and that the fast ways agree with the libraries."""

import phonenumbers
import pycountry
import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.core import normalise
from crm_pipeline.core.normalise import InvalidValueError


def outcome(function, value):
    try:
        return function(value)
    except InvalidValueError as error:
        return error.code


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        (normalise.text, None, None),
        (normalise.text, "Mina", "Mina"),
        (normalise.text, "", None),
        (normalise.text, " \u200b\t ", None),
        (normalise.text, "Zoe\u0308", "Zoë"),
        (normalise.text, "A\x00\x1bB", "A B"),
        (normalise.text, 7, "text_invalid"),
        (normalise.email, None, None),
        (normalise.email, "  ", None),
        (normalise.email, "Mina@Example.COM", "Mina@example.com"),
        (normalise.email, "jörg@münchen.de", "jörg@münchen.de"),
        (normalise.email, "someone@sandbox.invalid", "someone@sandbox.invalid"),
        (normalise.email, "someone@localhost", "email_invalid"),
        (normalise.email, "no at sign", "email_invalid"),
        (normalise.email, "a..b@example.com", "email_invalid"),
        (normalise.email, 7, "email_invalid"),
        (normalise.phone_country, None, None),
        (normalise.phone_country, " ", None),
        (normalise.phone_country, "+61411222333", "AUS"),
        (normalise.phone_country, "+12505550199", "CAN"),
        (normalise.phone_country, "+12125550123", "USA"),
        (normalise.phone_country, "+447400123456", "GBR"),
        (normalise.phone_country, "+447911123456", "GGY"),
        (normalise.phone_country, "+447700900000", "phone_unparsable"),
        (normalise.phone_country, "+77012345678", "KAZ"),
        (normalise.phone_country, "+79161234567", "RUS"),
        (normalise.phone_number, "+390612345678", "0612345678"),
        (normalise.phone_number, "+61 411 222 333", "411222333"),
        (normalise.phone_number, "0411222333", "phone_unparsable"),
        (normalise.phone_number, "+999123456789", "phone_unparsable"),
        (normalise.phone_number, "+80012345678", "phone_unparsable"),
        (normalise.phone_number, "+6100000000", "phone_unparsable"),
        (normalise.phone_number, "+1111111", "phone_unparsable"),
        (normalise.phone_number, 411222333, "phone_unparsable"),
        (normalise.date, None, None),
        (normalise.date, "", None),
        (normalise.date, "1990-05-17", "1990-05-17"),
        (normalise.date, "2024-02-29", "2024-02-29"),
        (normalise.date, "2023-02-29", "date_invalid"),
        (normalise.date, "19900517", "date_invalid"),
        (normalise.date, "1899-12-31", "date_invalid"),
        (normalise.date, "17.05.1990", "date_invalid"),
        (normalise.gender, None, None),
        (normalise.gender, "", None),
        (normalise.gender, "m", "MALE"),
        (normalise.gender, "Female", "FEMALE"),
        (normalise.gender, "X", "OTHER"),
        (normalise.moment, None, None),
        (normalise.moment, "", None),
        (normalise.moment, "2024-06-07T10:00:00Z", "2024-06-07T10:00:00Z"),
        (normalise.moment, "2024-06-07T10:00:00.000Z", "2024-06-07T10:00:00Z"),
        (normalise.moment, "2024-06-07T20:00:00+10:00", "2024-06-07T10:00:00Z"),
        (normalise.moment, "2024-13-07T10:00:00Z", "time_unreadable"),
        (normalise.moment, "yesterday", "time_unreadable"),
        (normalise.moment, 1717754400, "time_unreadable"),
        (normalise.whole, None, None),
        (normalise.whole, 0, "0"),
        (normalise.whole, True, "number_invalid"),
        (normalise.whole, "5", "number_invalid"),
    ],
)
def test_a_value_has_one_normal_form_or_a_code(function, value, expected):
    assert outcome(function, value) == expected


@pytest.mark.parametrize(
    ("cents", "exponent", "expected"),
    [
        (18450, 2, "184.50"),
        (0, 2, "0.00"),
        (-1, 2, "-0.01"),
        (2**53 + 1, 2, "90071992547409.93"),
        (500, 0, "500"),
        (1, 3, "0.001"),
        (None, 2, None),
    ],
)
def test_money_is_exact_at_every_size(cents, exponent, expected):
    assert normalise.money(cents, exponent) == expected


@pytest.mark.parametrize("value", [True, 1.5, "5"])
def test_money_that_is_not_a_whole_number_is_refused(value):
    with pytest.raises(InvalidValueError, match="amount_invalid"):
        normalise.money(value, 2)


@pytest.mark.parametrize(
    ("currency", "exponent"), [("AUD", 2), ("JPY", 0), ("BHD", 3), ("CLF", 4), ("XXZ", None)]
)
def test_a_currency_says_its_decimals(currency, exponent):
    assert normalise.exponent_of(currency) == exponent


_local = st.text("abzAZ019._+-'é ", min_size=0, max_size=8)
_domain = st.text("abzAZ09.-_é", min_size=0, max_size=12)


@given(
    st.one_of(
        st.tuples(_local, _domain).map("@".join),
        st.tuples(_local, st.sampled_from(["example.com", "sub.Example.org", "x.invalid"])).map(
            "@".join
        ),
        st.emails(),
    )
)
def test_an_email_gets_what_the_library_says(address):
    try:
        found = validate_email(
            address.strip(), check_deliverability=False, globally_deliverable=False
        )
        expected = found.normalized if "." in found.domain else "email_invalid"
    except EmailNotValidError:
        expected = "email_invalid" if address.strip() else None
    assert outcome(normalise.email, address) == expected


_codes = st.sampled_from(
    [1, 7, 33, 39, 44, 61, 64, 65, 212, 247, 262, 358, 590, 599, 800, 881, 999]
)


@given(_codes, st.integers(0, 10**11))
def test_a_phone_number_gets_what_the_library_says(code, rest):
    number = f"+{code}{rest}"
    try:
        found = phonenumbers.parse(number, None)
        region = phonenumbers.region_code_for_number(found)
        country = pycountry.countries.get(alpha_2=region or "")
        national = phonenumbers.national_significant_number(found)
        expected = (country.alpha_3, national) if country else None
    except phonenumbers.NumberParseException:
        expected = None
    assert normalise.split_phone(number) == expected


@given(st.text(max_size=12))
def test_a_normal_form_is_its_own_normal_form(value):
    for function in (normalise.text, normalise.email, normalise.gender):
        once = outcome(function, value)
        if once is not None and not once.endswith("_invalid"):
            assert function(once) == once
