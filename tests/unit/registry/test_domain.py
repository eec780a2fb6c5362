"""The registry's rules as pure functions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.registry.domain import people, shifts
from services.registry.domain.hours import mask_of_text, spans_of_text, text_of, week_mask
from services.registry.domain.places import area_faults
from services.registry.domain.posts import Pay
from services.registry.domain.shifts import Pieces, Stretch, Timeline, Worked
from shared.kernel.clock import end_of_month
from shared.kernel.week import FULL_WEEK, hours_of

DAYS = st.dates(min_value=date(1950, 1, 1), max_value=date(2090, 12, 31))
NOW = datetime(2026, 3, 9, 2, 0, tzinfo=UTC)


@given(mask=st.integers(min_value=0, max_value=FULL_WEEK))
def test_a_week_survives_its_text(mask: int) -> None:
    assert mask_of_text(text_of(mask)) == mask


@pytest.mark.parametrize("text", ["8 09:00-10:00", "1", "1 09:00", "1-09:00", ";", "x 09:00-10:00", "11 09:00-10:00"])
def test_text_that_is_no_week_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^0: expected"):
        spans_of_text(text)


def test_each_bad_span_is_named() -> None:
    mask, faults = week_mask([(1, "09:00", "10:00"), (2, "10:00", "10:00"), (3, "22:00", "06:00")], "free")
    assert hours_of(mask) == [(1, "09:00", "10:00")]
    assert [fault.field for fault in faults] == ["free.1.to", "free.2.to"]


@given(born=DAYS, age=st.integers(min_value=1, max_value=60))
def test_a_birthday_is_the_same_day_or_the_end_of_february(born: date, age: int) -> None:
    day = people.birthday(born, age)
    assert day.year == born.year + age
    assert (day.month, day.day) == (born.month, born.day) or ((born.month, born.day), (day.month, day.day)) == (
        (2, 29),
        (2, 28),
    )


@given(children=st.lists(DAYS, min_size=1, max_size=10), today=DAYS)
def test_the_youngest_child_decides(children: list[date], today: date) -> None:
    faults = people.child_faults(children, today)
    assert bool(faults) == (today >= people.birthday(max(children), 12))
    assert not faults or faults[0].field == f"person.children.{children.index(max(children))}.birth_date"
    assert people.eligible_until(children) == end_of_month(people.eligible_before(children))


@given(born=DAYS, day=DAYS)
def test_working_age_is_counted_in_full_years(born: date, day: date) -> None:
    years = sum(people.birthday(born, age) <= day for age in range(1, 141))
    assert bool(people.working_age_faults(born, day)) == (not 16 <= years < 55)


def test_nobody_is_born_in_the_future_or_before_her_mother() -> None:
    today = date(2026, 3, 9)
    faults = people.birth_faults(date(1990, 1, 1), [date(1989, 1, 1), today, today + timedelta(days=1)], today)
    assert [fault.field for fault in faults] == ["person.children.0.birth_date", "person.children.2.birth_date"]


@pytest.mark.parametrize(
    ("city", "area", "inside"),
    [
        ("370600", "370602", True),
        ("370600", "370602001003", True),
        ("370600", "370702", False),
        ("110000", "110105", True),
        ("429004", "429004", True),
        ("429004", "429005", False),
    ],
)
def test_an_area_lies_in_its_city(city: str, area: str, inside: bool) -> None:
    assert (not area_faults(city, area)) == inside


def worked(minutes: float, verdict: shifts.Verdict = "attended", pieces: Pieces | None = None) -> Worked:
    return Worked(NOW - timedelta(minutes=minutes), NOW, verdict, pieces, None)


@given(
    millis=st.integers(min_value=1, max_value=86_400_000),
    fen=st.integers(min_value=1, max_value=10**6),
    verdict=st.sampled_from(["attended", "left-early"]),
)
def test_hourly_pay_never_rounds_against_her(millis: int, fen: int, verdict: shifts.Verdict) -> None:
    shift = worked(millis / 60_000, verdict)
    minutes = shifts.minutes_worked(shift)
    assert 0 <= minutes * 60_000 - millis < 60_001
    assert 0 <= shifts.wage_fen(shift, Pay("hour", fen, fen)) * 60 - minutes * fen < 60


@given(accepted=st.integers(0, 10**6), rejected=st.integers(0, 10**6), fen=st.integers(1, 10**6))
def test_piece_pay_is_for_accepted_pieces(accepted: int, rejected: int, fen: int) -> None:
    shift = worked(60, pieces=Pieces(accepted, rejected))
    assert shifts.wage_fen(shift, Pay("piece", fen, 0)) == accepted * fen


@given(minutes=st.integers(1, 1440), fen=st.integers(1, 10**6), per=st.sampled_from(["hour", "piece"]))
def test_a_missed_shift_pays_nothing(minutes: int, fen: int, per: str) -> None:
    pay = Pay("hour" if per == "hour" else "piece", fen, fen)
    missed = worked(minutes, "no-show")
    assert (shifts.minutes_worked(missed), shifts.wage_fen(missed, pay)) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 200), st.integers(1, 20)), max_size=40))
def test_a_timeline_takes_exactly_what_meets_nothing(tries: list[tuple[int, int]]) -> None:
    timeline, taken = Timeline(), list[tuple[int, int]]()
    for start, length in tries:
        begins, ends = NOW + timedelta(minutes=start), NOW + timedelta(minutes=start + length)
        free = all(start + length <= other or other_end <= start for other, other_end in taken)
        assert timeline.is_free(begins, ends) == free
        if free:
            timeline.add(begins, ends)
            taken.append((start, start + length))


def test_a_timeline_knows_the_shifts_of_before() -> None:
    timeline = Timeline([Stretch("s", "p", NOW, NOW + timedelta(hours=1))])
    assert not timeline.is_free(NOW + timedelta(minutes=59), NOW + timedelta(hours=2))
    assert timeline.is_free(NOW + timedelta(hours=1), NOW + timedelta(hours=2))
