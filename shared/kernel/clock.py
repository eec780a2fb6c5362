"""Time comes in from outside. Instants are aware UTC datetimes; days are China's civil calendar."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

CITY_ZONE = ZoneInfo("Asia/Shanghai")
"""All of China keeps one civil time; a day, a month and a birthday are meant in it."""

_AHEAD = timedelta(hours=8)

Clock = Callable[[], datetime]
"""Gives the present instant, aware, in UTC."""


def system_clock() -> datetime:
    """The machine's clock in UTC, to the millisecond (what MongoDB keeps of a datetime)."""
    now = datetime.now(UTC)
    return now.replace(microsecond=now.microsecond // 1000 * 1000)


def civil_day(instant: datetime) -> date:
    """The calendar day on which an instant falls in China."""
    # An event's instant is in UTC, which is eight hours behind on every day of China's calendar since 1991.
    if instant.tzinfo is UTC and instant.year > 1991:
        return (instant + _AHEAD).date()
    return instant.astimezone(CITY_ZONE).date()


def month_of(day: date) -> str:
    """`2026-03-09` → `"2026-03"`."""
    return f"{day.year:04d}-{day.month:02d}"


def end_of_month(day: date) -> date:
    """Last day of the month of `day`."""
    first_of_next = (day.replace(day=1) + timedelta(days=32)).replace(day=1)
    return first_of_next - timedelta(days=1)
