"""What the bench of the whole path sends, and when it takes a rate for too much."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from bench.saturation import ANSWER_P99_MAX_MS, EFFECT_P99_MAX_MS, MIX, Found, Step

CALM = {"p50": 10.0, "p99": 20.0}
STEP = Step(
    offered_per_s=20, answered_per_s=20, answer_ms=CALM, accrued_ms=CALM, fresh_ms=CALM, busy=0, cpu_ms={"broker": 1.0}
)


def test_of_ten_commands_six_are_shifts_three_profiles_one_a_post() -> None:
    assert Counter(MIX) == {"shift": 6, "seeker": 3, "post": 1}


def test_a_rate_is_sustained_while_answers_and_effects_come_in_time() -> None:
    late_answers = {"p50": 10.0, "p99": ANSWER_P99_MAX_MS + 1}
    late_effects = {"p50": 10.0, "p99": EFFECT_P99_MAX_MS + 1}
    assert STEP.sustained
    assert not replace(STEP, answer_ms=late_answers).sustained
    assert not replace(STEP, accrued_ms=late_effects).sustained
    assert not replace(STEP, fresh_ms=late_effects).sustained


def test_the_best_rate_is_the_highest_that_was_sustained() -> None:
    late = {"p50": 10.0, "p99": ANSWER_P99_MAX_MS + 1}
    steps = [replace(STEP, offered_per_s=rate) for rate in (20, 28)]
    assert Found({}, [*steps, replace(STEP, offered_per_s=39, answer_ms=late)]).best == steps[-1]
    assert Found({}, [replace(STEP, answer_ms=late)]).best is None
