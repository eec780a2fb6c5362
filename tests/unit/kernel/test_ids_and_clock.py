"""Identifiers that tell nothing, and the civil calendar of China."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.clock import civil_day, end_of_month, month_of, system_clock
from shared.kernel.ids import ID_PATTERN, PREFIXES, new_id


@pytest.mark.parametrize("entity", PREFIXES)
def test_an_id_shows_its_kind_and_nothing_else(entity: str) -> None:
    made = {new_id(entity) for _ in range(100)}
    assert len(made) == 100
    for one in made:
        assert re.fullmatch(ID_PATTERN, one)
        assert one.startswith(f"{PREFIXES[entity]}-")


def test_each_kind_has_a_prefix_of_its_own() -> None:
    assert len(set(PREFIXES.values())) == len(PREFIXES)


def test_an_unknown_kind_is_a_bug() -> None:
    with pytest.raises(KeyError):
        new_id("child")


@pytest.mark.parametrize(
    ("instant", "day"),
    [
        ("2026-03-01T15:59:59.999+00:00", date(2026, 3, 1)),
        ("2026-03-01T16:00:00.000+00:00", date(2026, 3, 2)),  # midnight in Yantai
        ("2026-03-01T16:00:00.001+00:00", date(2026, 3, 2)),
        ("2025-12-31T16:00:00+00:00", date(2026, 1, 1)),
        ("2026-03-02T00:00:00+08:00", date(2026, 3, 2)),
        ("2026-03-01T23:59:59+08:00", date(2026, 3, 1)),
        ("2026-03-01T10:00:00-06:00", date(2026, 3, 2)),
        ("1988-07-01T15:30:00+00:00", date(1988, 7, 2)),  # China had summer time from 1986 to 1991
    ],
)
def test_the_day_is_that_of_china(instant: str, day: date) -> None:
    assert civil_day(datetime.fromisoformat(instant)) == day


@given(st.datetimes(datetime(1992, 1, 1), datetime(2099, 12, 31)), st.integers(-23, 23))
def test_the_day_does_not_depend_on_how_the_instant_is_written(moment: datetime, offset_hours: int) -> None:
    instant = moment.replace(tzinfo=UTC)
    elsewhere = instant.astimezone(timezone(timedelta(hours=offset_hours)))
    assert civil_day(instant) == civil_day(elsewhere) == (moment + timedelta(hours=8)).date()


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_the_end_of_the_month(day: date) -> None:
    end = end_of_month(day)
    assert (end.year, end.month, end.day) == (day.year, day.month, monthrange(day.year, day.month)[1])
    assert month_of(end) == month_of(day) == day.isoformat()[:7]


@pytest.mark.parametrize(
    ("day", "end"),
    [
        (date(2024, 2, 1), date(2024, 2, 29)),
        (date(2026, 2, 28), date(2026, 2, 28)),
        (date(2026, 12, 31), date(2026, 12, 31)),
        (date(2026, 1, 31), date(2026, 1, 31)),
    ],
)
def test_short_and_last_months(day: date, end: date) -> None:
    assert end_of_month(day) == end


def test_the_clock_is_aware_and_as_fine_as_the_store() -> None:
    before = datetime.now(UTC)
    now = system_clock()
    assert now.utcoffset() == timedelta(0)
    assert now.microsecond % 1000 == 0
    assert before - timedelta(milliseconds=1) <= now <= datetime.now(UTC)
