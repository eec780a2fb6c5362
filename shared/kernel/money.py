"""Exact money: fen (1/100 yuan), basis points, and fen × 10 000 ("e4") inside an accrual.

Nothing here is a float. `base_fen × rate_bp` is an exact amount in fen × 10 000, because a basis point is 1/10 000;
so an accrual needs no rounding, and a month is rounded once, when it is settled (DESIGN.md §6).
"""

from __future__ import annotations

E4 = 10_000
"""Units of `*_fen_e4` in one fen; equals the number of basis points in 1."""

FEN_MAX = 10**13
"""Largest amount in fen that any command or event may name (100 billion yuan).

The product with a rate of 10 000 bp stays below 2**63, so every stored amount fits MongoDB's int64.
"""

RATE_BP_MIN = 500
RATE_BP_MAX = 1500
"""Rebate rates agreed in the programme: 5 % to 15 % (FACTS.md, Money, source Y)."""


def accrue_e4(base_fen: int, rate_bp: int) -> int:
    """Rebate of one base amount, exact, in fen × 10 000 (DESIGN.md §6)."""
    return base_fen * rate_bp


def settle_e4(sum_e4: int) -> tuple[int, int]:
    """Round a month's exact sum once, half to even.

    Args:
        sum_e4: exact sum of accruals and the carried remainder, in fen × 10 000; may be negative after corrections.

    Returns:
        `(amount_fen, carry_fen_e4)` with `amount_fen * 10_000 + carry_fen_e4 == sum_e4` and
        `-5_000 <= carry_fen_e4 <= 5_000`. The carry goes into the next month.
    """
    amount, rest = divmod(sum_e4, E4)
    if rest > E4 // 2 or (rest == E4 // 2 and amount % 2 == 1):
        amount += 1
        rest -= E4
    return amount, rest


def hourly_wage_fen(minutes: int, hourly_fen: int) -> int:
    """Pay for worked minutes at an hourly rate, rounded up: a fraction of a fen goes to the woman, never from her."""
    return -(-minutes * hourly_fen // 60)


def yuan(amount_fen: int) -> str:
    """`123456` → `"1,234.56"`, for people; machines read fen."""
    sign = "-" if amount_fen < 0 else ""
    whole, cents = divmod(abs(amount_fen), 100)
    return f"{sign}{whole:,}.{cents:02d}"
