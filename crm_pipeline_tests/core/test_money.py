"""Amounts are shared out and taxed without losing or making a cent."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from crm_pipeline.core.money import included_tax, share_out

AMOUNTS = st.integers(0, 10**9)


@given(AMOUNTS, st.lists(AMOUNTS, min_size=1, max_size=30))
def test_shares_add_up_exactly_and_are_never_negative(total, weights):
    shares = share_out(total, weights)
    assert sum(shares) == total
    assert min(shares) >= 0


@given(AMOUNTS, st.lists(AMOUNTS, min_size=1, max_size=30))
def test_no_share_is_more_than_one_unit_off_its_weight(total, weights):
    whole = sum(weights)
    if whole:
        for share, weight in zip(share_out(total, weights), weights, strict=True):
            assert abs(share - Decimal(total * weight) / whole) < 1


@given(AMOUNTS, st.decimals("0", "1", places=3))
def test_the_tax_inside_a_total_is_never_more_than_the_total(total, rate):
    tax = included_tax(total, rate)
    assert 0 <= tax <= total
    assert abs(tax * (1 + rate) - total * rate) <= (1 + rate) / 2
