"""Pieces of a batch that take their time, whatever the records of its topics cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.pace import GROWTH_MAX, SLICE_MAX, UNKNOWN_S, Pace
from shared.messaging.records import Record

AIM_S = 0.004


def _records(topics: Sequence[str]) -> list[Record]:
    return [cast(Record, SimpleNamespace(topic=topic)) for topic in topics]


def _work_off(pace: Pace, topics: Sequence[str], cost_s: Mapping[str, float], fixed_s: float = 0.0) -> list[float]:
    """What each piece of a batch took."""
    left, took = _records(topics), []
    while left:
        count = pace.fitting(left, AIM_S)
        piece, left = left[:count], left[count:]
        took.append(fixed_s + sum(cost_s[record.topic] for record in piece))
        pace.learn(piece, took[-1], AIM_S)
    return took


@pytest.mark.parametrize(
    ("ratio", "grows_by"), [(1.0, 1.0), (2.0, 0.5), (0.5, 2.0), (0.01, 2.0), (100.0, 0.0)], ids=lambda one: f"{one:g}"
)
def test_the_next_piece_takes_its_time_and_grows_to_the_double_at_most(ratio: float, grows_by: float) -> None:
    pace, records = Pace(), _records(["a"] * 1_000)
    first = pace.fitting(records, AIM_S)
    assert abs(first - AIM_S / UNKNOWN_S) <= 1
    pace.learn(records[:first], AIM_S * ratio, AIM_S)
    assert pace.fitting(records, AIM_S) == pytest.approx(first * grows_by, rel=0.1, abs=1)
    assert GROWTH_MAX == 2


def test_dear_records_behind_cheap_ones_are_not_taken_for_cheap() -> None:
    pace, cost_s = Pace(), {"shift": 0.000_03, "post": 0.002}
    batch = ["shift"] * 400 + ["post"] * 20
    for _ in range(5):
        _work_off(pace, batch, cost_s)
    took = _work_off(pace, batch, cost_s)
    assert max(took) <= 1.5 * AIM_S
    assert len(took) <= 1.5 * sum(cost_s[topic] for topic in batch) / AIM_S, "cheap ones stay many at a time"


def test_the_few_records_that_had_come_say_nothing_of_more() -> None:
    pace, records = Pace(), _records(["a"] * 1_000)
    before = pace.fitting(records, AIM_S)
    pace.learn(records[:1], AIM_S / 8, AIM_S)
    assert pace.fitting(records, AIM_S) == before
    pace.learn(records[:1], AIM_S * 2, AIM_S)
    assert pace.fitting(records, AIM_S) == 1, "one that took too long does"


def test_a_piece_is_bounded_however_fast_records_are() -> None:
    pace, records = Pace(), _records(["a"] * 2_000)
    for _ in range(10):
        count = pace.fitting(records, AIM_S)
        assert count <= SLICE_MAX
        pace.learn(records[:count], count * 0.000_000_1, AIM_S)
    assert pace.fitting(records, AIM_S) == SLICE_MAX


@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=600),
    st.lists(st.tuples(st.integers(1, 60), st.floats(0, 10)), max_size=20),
)
def test_whatever_was_learnt_a_piece_holds_something_and_never_more_than_there_is(
    topics: list[str], learnt: list[tuple[int, float]]
) -> None:
    pace, records = Pace(), _records(topics)
    for count, took_s in learnt:
        pace.learn(records[:count], took_s, AIM_S)
        assert 1 <= pace.fitting(records, AIM_S) <= min(len(records), SLICE_MAX)
