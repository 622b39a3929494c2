"""Closing a sale is exact, whatever the amounts; identifiers have one key, numbers no floats."""

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.destinations.crm_com_classic.closing import (
    BACK_END,
    Amounts,
    Spent,
    UnbalancedSaleError,
    close_sale,
    redemption_of,
    sum_lines,
)
from crm_pipeline.destinations.crm_com_classic.identifiers import (
    AccessToken,
    Identifier,
    identify,
    parse_identifier,
    shown_means,
)
from crm_pipeline.destinations.crm_com_classic.sales import local_time, number, zone_of
from crm_pipeline.errors import ConfigurationError

EXPONENTS = (0, 2, 3)


@st.composite
def sales(draw: st.DrawFn) -> tuple[int, list[Amounts], list[Spent]]:
    exponent = draw(st.sampled_from(EXPONENTS))

    def amount(units: int) -> Decimal:
        return Decimal(units).scaleb(-exponent)

    lines = []
    for _ in range(draw(st.integers(1, 6))):
        total = draw(st.integers(0, 500_000))
        vat = draw(st.integers(0, total))
        lines.append(Amounts(net=amount(total - vat), vat=amount(vat), total=amount(total)))
    left = sum(int(line.total.scaleb(exponent)) for line in lines)
    spends = []
    for _ in range(draw(st.integers(0, 3))):
        units = draw(st.integers(0, left))
        is_back_end = draw(st.booleans())
        left -= 0 if is_back_end else units
        method = BACK_END if is_back_end else "FRONT_END_REDUCTION"
        spends.append(Spent(amount=amount(units), reduction_method=method))
    return exponent, lines, spends


@given(sales())
def test_every_closing_adds_up_per_line_and_over_lines(
    sale: tuple[int, list[Amounts], list[Spent]],
) -> None:
    exponent, lines, spends = sale
    closing = close_sale(lines, spends, exponent=exponent)
    front = [each.amount for each in spends if each.reduction_method != BACK_END]
    assert closing.redemption == sum(front)
    assert closing.total == sum(line.total for line in lines)
    assert closing.to_pay == closing.total - closing.redemption >= 0
    assert sum(line.total for line in closing.lines) == closing.to_pay
    for before, after in zip(lines, closing.lines, strict=True):
        assert after.net + after.vat == after.total
        assert 0 <= after.total <= before.total
        assert 0 <= after.vat <= before.vat
        assert after.net >= 0
        assert after.total.scaleb(exponent) % 1 == 0
        assert after.vat.scaleb(exponent) % 1 == 0


@given(sales())
def test_the_sum_of_lines_adds_up(sale: tuple[int, list[Amounts], list[Spent]]) -> None:
    exponent, lines, _ = sale
    whole = sum_lines(lines, exponent=exponent)
    assert whole.net + whole.vat == whole.total


def line(net: str, vat: str, total: str) -> Amounts:
    return Amounts(net=Decimal(net), vat=Decimal(vat), total=Decimal(total))


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [line("8.40", "1.59", "10.00")],
        [line("-1.00", "0.00", "-1.00")],
        [line("0.005", "0.005", "0.01")],
        [line("NaN", "0", "NaN")],
        [line("1e15", "0", "1e15")],
    ],
)
def test_a_sale_that_does_not_add_up_is_refused(lines: list[Amounts]) -> None:
    with pytest.raises(UnbalancedSaleError):
        sum_lines(lines)


@pytest.mark.parametrize("amount", ["-0.01", "0.001", "10.01"])
def test_a_spend_that_is_negative_too_fine_or_too_much_is_refused(amount: str) -> None:
    with pytest.raises(UnbalancedSaleError):
        close_sale([line("8.40", "1.60", "10.00")], [Spent(amount=Decimal(amount))])


def test_what_the_back_end_pays_out_is_no_discount() -> None:
    spends = [Spent(amount=Decimal("3")), Spent(amount=Decimal("2"), reduction_method=BACK_END)]
    assert redemption_of(spends) == 3


@pytest.mark.parametrize(
    "token",
    [
        {},
        {"authentication_code": "a", "one_time_password": "b"},
        {"identifier": "a"},
        {"pass_code": "a"},
        {"authentication_code": "a", "pass_code": "b"},
    ],
)
def test_a_means_of_identification_is_exactly_one_way(token: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"exactly one|belong together"):
        AccessToken(**token)


@pytest.mark.parametrize(
    ("entity", "keys"),
    [
        ("participant", {}),
        ("participant", {"id": "a", "number": "b"}),
        ("participant", {"name": "a"}),
        ("nobody", {"id": "a"}),
        ("event", {"number": ""}),
    ],
)
def test_an_identifier_object_has_exactly_one_known_key(entity: str, keys: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"key|called"):
        identify(entity, **keys)


def test_an_empty_value_identifies_nothing() -> None:
    with pytest.raises(ValueError, match="empty"):
        Identifier("event", "id", "")


def test_what_a_customer_shows_stays_out_of_messages_and_queries() -> None:
    shown = shown_means("participant", "+61400000001")
    assert "614" not in repr(shown)
    assert "4711" not in repr(AccessToken(identifier="card-1", pass_code="4711"))
    with pytest.raises(ValueError, match="query"):
        shown.query()
    assert identify("event", number="CE12345").query() == "number=CE12345"


def test_a_setting_names_a_unit_by_its_name_or_by_a_key_that_it_says() -> None:
    assert parse_identifier("unit", "a=b", default_key="name").wire() == {"name": "a=b"}
    assert parse_identifier("unit", "id=01B0", default_key="name").wire() == {"id": "01B0"}


@given(st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_an_amount_travels_digit_by_digit(value: Decimal) -> None:
    text = msgspec.json.encode(number(value))
    assert msgspec.json.decode(text, type=Decimal) == value
    assert b"e" not in text.lower()


def test_what_is_no_number_does_not_travel() -> None:
    with pytest.raises(ValueError, match="no number"):
        number(Decimal("NaN"))


def test_a_time_travels_as_the_unit_shows_it() -> None:
    at = dt.datetime(2026, 7, 1, 22, 30, 5, 900_000, tzinfo=dt.UTC)
    assert local_time(at, ZoneInfo("UTC")) == "2026-07-01T22:30:05"
    assert local_time(at, zone_of("Australia/Melbourne")) == "2026-07-02T08:30:05"
    with pytest.raises(ValueError, match="zone"):
        local_time(at.replace(tzinfo=None), ZoneInfo("UTC"))


@pytest.mark.parametrize("name", ["Mars/Base", "", "../etc", "/etc/passwd"])
def test_an_unknown_time_zone_is_a_setting_to_change(name: str) -> None:
    with pytest.raises(ConfigurationError, match="IANA"):
        zone_of(name)
