"""Promise 5: money is exact."""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.money import (
    E4,
    FEN_MAX,
    RATE_BP_MAX,
    RATE_BP_MIN,
    accrue_e4,
    hourly_wage_fen,
    settle_e4,
    yuan,
)

sums_e4 = st.integers(-FEN_MAX * E4, FEN_MAX * E4)
bases_fen = st.integers(-FEN_MAX, FEN_MAX)


@pytest.mark.parametrize(
    ("sum_e4", "amount_fen", "carry_e4"),
    [
        (0, 0, 0),
        (4_999, 0, 4_999),
        (5_000, 0, 5_000),  # half, to the even 0
        (5_001, 1, -4_999),
        (15_000, 2, -5_000),  # half, to the even 2
        (25_000, 2, 5_000),
        (-5_000, 0, -5_000),
        (-15_000, -2, 5_000),
        (-25_000, -2, -5_000),
        (128_250_400, 12_825, 400),
    ],
)
def test_a_month_is_rounded_half_to_even_and_the_rest_is_carried(sum_e4: int, amount_fen: int, carry_e4: int) -> None:
    assert settle_e4(sum_e4) == (amount_fen, carry_e4)


@given(sums_e4)
def test_nothing_is_gained_or_lost_by_rounding(sum_e4: int) -> None:
    amount_fen, carry_e4 = settle_e4(sum_e4)
    assert amount_fen * E4 + carry_e4 == sum_e4
    assert -5_000 <= carry_e4 <= 5_000


@given(sums_e4 | st.integers(-FEN_MAX, FEN_MAX).map(lambda fen: fen * E4 + E4 // 2))
def test_rounding_is_that_of_the_decimal_module(sum_e4: int) -> None:
    rounded = (Decimal(sum_e4) / E4).quantize(Decimal(1), ROUND_HALF_EVEN)
    assert settle_e4(sum_e4)[0] == rounded


@given(sums_e4)
def test_a_reversed_month_is_the_same_month_with_the_other_sign(sum_e4: int) -> None:
    amount_fen, carry_e4 = settle_e4(sum_e4)
    assert settle_e4(-sum_e4) == (-amount_fen, -carry_e4)


@given(st.lists(st.integers(-(10**9), 10**9), max_size=24))
def test_over_any_number_of_months_the_carry_keeps_the_books_within_half_a_fen(months_e4: list[int]) -> None:
    paid_fen = carry_e4 = 0
    for month_e4 in months_e4:
        amount_fen, carry_e4 = settle_e4(month_e4 + carry_e4)
        paid_fen += amount_fen
        assert abs(carry_e4) <= 5_000
    assert paid_fen * E4 + carry_e4 == sum(months_e4)


@given(bases_fen, st.integers(RATE_BP_MIN, RATE_BP_MAX))
def test_an_accrual_is_exact_and_fits_int64(base_fen: int, rate_bp: int) -> None:
    amount_e4 = accrue_e4(base_fen, rate_bp)
    assert Decimal(amount_e4) / E4 == Decimal(base_fen) * rate_bp / 10_000
    assert abs(amount_e4) < 2**63
    assert accrue_e4(-base_fen, rate_bp) == -amount_e4


def test_the_largest_base_at_the_whole_of_it_fits_int64() -> None:
    assert accrue_e4(FEN_MAX, E4) < 2**63


@pytest.mark.parametrize(("minutes", "hourly_fen", "wage_fen"), [(60, 1800, 1800), (0, 1800, 0), (1, 1801, 31)])
def test_pay_by_the_hour(minutes: int, hourly_fen: int, wage_fen: int) -> None:
    assert hourly_wage_fen(minutes, hourly_fen) == wage_fen


@given(st.integers(0, 1440), st.integers(0, FEN_MAX))
def test_a_fraction_of_a_fen_is_hers(minutes: int, hourly_fen: int) -> None:
    wage_fen = hourly_wage_fen(minutes, hourly_fen)
    assert wage_fen * 60 >= minutes * hourly_fen > (wage_fen - 1) * 60


@pytest.mark.parametrize(
    ("amount_fen", "text"),
    [(0, "0.00"), (5, "0.05"), (-5, "-0.05"), (123_456, "1,234.56"), (-100, "-1.00"), (FEN_MAX, "100,000,000,000.00")],
)
def test_yuan_for_people(amount_fen: int, text: str) -> None:
    assert yuan(amount_fen) == text


@given(bases_fen)
def test_yuan_says_the_same_amount(amount_fen: int) -> None:
    assert Decimal(yuan(amount_fen).replace(",", "")) * 100 == amount_fen
