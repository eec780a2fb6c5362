"""The arithmetic of growth: by hand for one size, and what must hold for all."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bench.capacity import BUSY_HOURS, HEADROOM, WORK_DAYS, Measured, plan

MEASURED = Measured(events=50_000, women=5_000, events_per_s=700, engine_events_per_s=8_000, memory_kb=2.0)


def test_a_country_by_hand() -> None:
    country = plan(10_000_000, MEASURED)
    assert country.events_a_month == 100_000_000
    assert round(country.peak_per_s, 2) == round(100_000_000 / (22 * 4 * 3600), 2) == 315.66
    assert (country.machines, country.engines, country.memory_gb) == (1, 1, 20.0)
    assert (WORK_DAYS, BUSY_HOURS, HEADROOM) == (22, 4, 0.5)


@given(st.integers(1, 10**9), st.integers(1, 10**9))
def test_more_women_never_need_less(some: int, more: int) -> None:
    small, large = plan(some, MEASURED), plan(some + more, MEASURED)
    assert small.events_a_month <= large.events_a_month
    assert small.machines <= large.machines
    assert small.memory_gb < large.memory_gb
    assert small.machines * MEASURED.events_per_s * HEADROOM >= small.peak_per_s


def test_what_needs_more_machines_than_partitions_is_not_one_installation() -> None:
    assert plan(10_000_000, MEASURED).fits
    assert not plan(1_000_000_000, MEASURED).fits
