"""Months as `YYYY-MM` texts, which sort as time does."""

from __future__ import annotations

from datetime import date, timedelta

from shared.kernel.clock import end_of_month, month_of


def first_day(month: str) -> date:
    """`"2026-03"` → 1 March 2026."""
    return date(int(month[:4]), int(month[5:]), 1)


def next_month(month: str) -> str:
    """`"2026-12"` → `"2027-01"`."""
    return month_of(end_of_month(first_day(month)) + timedelta(days=1))


def is_over(month: str, today: date) -> bool:
    """Whether no day of the month is left, in the city's civil calendar."""
    return today > end_of_month(first_day(month))
