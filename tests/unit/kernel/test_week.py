"""The week mask against the plain definition of hours, minute by minute."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.week import (
    FULL_WEEK,
    SLOT_MINUTES,
    SLOTS_PER_WEEK,
    hours_of,
    mask_of,
    minutes_of,
    overlap_minutes,
    slot_of,
    time_of,
)

Span = tuple[int, str, str]


@st.composite
def spans(draw: st.DrawFn) -> Span:
    start = draw(st.integers(0, 47))
    return draw(st.integers(1, 7)), time_of(start), time_of(draw(st.integers(start + 1, 48)))


weeks = st.lists(spans(), max_size=12)
# Random masks are mostly lone slots; those of spans are as people live. Both must hold.
masks = st.integers(0, FULL_WEEK) | weeks.map(mask_of)


def minutes_in(hours: list[Span]) -> set[tuple[int, int]]:
    """Every minute of a week that the spans cover, each by itself."""
    covered: set[tuple[int, int]] = set()
    for day, start, end in hours:
        first, last = (int(time[:2]) * 60 + int(time[3:]) for time in (start, end))
        covered |= {(day, minute) for minute in range(first, last)}
    return covered


@given(masks)
def test_a_mask_is_its_hours(mask: int) -> None:
    assert mask_of(hours_of(mask)) == mask


@given(masks)
def test_hours_are_in_order_apart_and_as_few_as_can_be(mask: int) -> None:
    hours = hours_of(mask)
    assert hours == sorted(hours)
    for (day, _, end), (next_day, start, _) in itertools.pairwise(hours):
        assert day < next_day or slot_of(end) < slot_of(start)


@given(weeks)
def test_a_mask_covers_the_minutes_of_its_spans(hours: list[Span]) -> None:
    assert minutes_of(mask_of(hours)) == len(minutes_in(hours))


@given(weeks, weeks)
def test_overlap_is_the_minutes_that_both_have(hers: list[Span], asked: list[Span]) -> None:
    shared = overlap_minutes(mask_of(hers), mask_of(asked))
    assert shared == len(minutes_in(hers) & minutes_in(asked))
    assert shared == overlap_minutes(mask_of(asked), mask_of(hers))


@given(weeks)
def test_the_order_of_spans_and_a_repetition_change_nothing(hours: list[Span]) -> None:
    assert mask_of([*reversed(hours), *hours]) == mask_of(hours)


def test_the_whole_week() -> None:
    assert mask_of([(day, "00:00", "24:00") for day in range(1, 8)]) == FULL_WEEK
    assert hours_of(FULL_WEEK) == [(day, "00:00", "24:00") for day in range(1, 8)]
    assert minutes_of(FULL_WEEK) == SLOTS_PER_WEEK * SLOT_MINUTES == 7 * 24 * 60
    assert hours_of(0) == []


def test_where_the_bits_stand() -> None:
    assert mask_of([(1, "00:00", "00:30")]) == 1
    assert mask_of([(2, "08:30", "09:30")]) == 0b11 << (48 + 17)
    assert mask_of([(7, "23:30", "24:00")]) == 1 << 335


@pytest.mark.parametrize("slot", range(49))
def test_a_slot_is_a_time(slot: int) -> None:
    assert slot_of(time_of(slot)) == slot


@pytest.mark.parametrize(
    "time",
    ["", "8:30", "08:3", "08:15", "08:60", "24:30", "25:00", "08-30", "0x:30", "-1:00", " 8:30", "08:30 ", "08:300"],
)
def test_what_is_no_time_on_the_grid(time: str) -> None:
    with pytest.raises(ValueError, match="expected"):
        slot_of(time)


def test_a_bad_time_is_not_repeated() -> None:
    with pytest.raises(ValueError, match="expected") as refused:
        slot_of("王小妹13805351234")
    assert "1380535" not in str(refused.value)


@pytest.mark.parametrize(
    ("span", "expected"),
    [
        ((0, "08:00", "09:00"), "day"),
        ((8, "08:00", "09:00"), "day"),
        ((1, "09:00", "09:00"), "to"),
        ((1, "22:00", "06:00"), "midnight"),
        ((1, "24:00", "24:00"), "to"),
    ],
)
def test_what_is_no_span(span: Span, expected: str) -> None:
    with pytest.raises(ValueError, match=expected):
        mask_of([span])
