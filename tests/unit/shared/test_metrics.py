"""Ages that are counted together are counted as one by one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from shared.runtime.metrics import observe_ages

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
BOUNDS = (0.01, 0.5, 5, 30)

# Whole milliseconds, so that an age lies on a bound now and then; a clock that is ahead makes one negative.
AGES_MS = st.lists(st.one_of(st.integers(-5_000, 100_000), st.sampled_from([10, 500, 5_000, 30_000])), max_size=60)


def samples_of(histogram: Histogram) -> dict[tuple[str, str], float]:
    (family,) = histogram.collect()
    return {
        (sample.name, sample.labels.get("le", "")): sample.value
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


@given(AGES_MS)
@example([])
@example([10, 500, 5_000, 30_000])
def test_ages_counted_together_are_counted_as_one_by_one(ages_ms: list[int]) -> None:
    together, singly = (Histogram("age", "of a test", buckets=BOUNDS, registry=CollectorRegistry()) for _ in range(2))
    observe_ages(together, NOW, [NOW - timedelta(milliseconds=age_ms) for age_ms in ages_ms])
    for age_ms in ages_ms:
        singly.observe(max(age_ms, 0) / 1000)
    assert samples_of(together) == pytest.approx(samples_of(singly))
