"""How long a fetch waits for records: short while they come, longer the longer none came, never without a limit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shared.messaging.consume import FETCH_WAIT_MIN_MS, FETCH_WAIT_SHARE, fetch_wait_ms

SILENCES = st.floats(0, 1e6)


@given(SILENCES, SILENCES, st.integers(FETCH_WAIT_MIN_MS, 5000))
def test_a_fetch_waits_a_share_of_the_silence_within_its_limits(one_s: float, other_s: float, max_ms: int) -> None:
    shorter, longer = sorted((one_s, other_s))
    assert FETCH_WAIT_MIN_MS <= fetch_wait_ms(shorter, max_ms) <= fetch_wait_ms(longer, max_ms) <= max_ms
    # What ends a silence is late by no more than that share of it, or by the shortest wait.
    assert fetch_wait_ms(longer, max_ms) <= max(FETCH_WAIT_MIN_MS, longer * 1000 * FETCH_WAIT_SHARE)


def test_an_operator_may_ask_for_shorter_waits_than_ours() -> None:
    assert fetch_wait_ms(0.0, 5) == 5
    assert fetch_wait_ms(3600.0, 5) == 5
