"""The ranking engine: incremental upkeep of all rankings, against ranking every post anew by the pure function."""

from __future__ import annotations

import random
import time

from bench.measure import NOW, YANTAI, Measured, post, seeker
from services.matching.domain import Programme, best_posts, policy_on, rank_post, view_of
from services.matching.engine import Engine
from services.matching.facts import fact_of
from shared.kernel.clock import civil_day

SEEKERS, POSTS = 5_000, 3_200
"""Yantai's programme."""

CHANGES = 2_000
SAMPLE = 20
"""Posts that the pure function ranks; all of them would take minutes."""


async def bench_engine(round_number: int) -> list[Measured]:
    """One round: load, then single changes of seekers, one at a time."""
    dice = random.Random(round_number)
    seekers = [seeker(dice) for _ in range(SEEKERS)]
    posts = [post(dice) for _ in range(POSTS)]
    facts = [fact_of(event) for event in [*seekers, *posts]]
    engine = Engine(NOW)
    started = time.perf_counter()
    engine.apply(facts)
    load_s = time.perf_counter() - started
    changes = [fact_of(seeker(dice, old.seeker_id, version=2)) for old in dice.sample(seekers, CHANGES)]
    started = time.perf_counter()
    for change in changes:
        engine.apply([change])
    change_s = time.perf_counter() - started

    view = view_of(Programme.of([*facts, *changes]), NOW)
    weights = policy_on(YANTAI, civil_day(NOW)).weights
    openings = [view.openings[one.post_id] for one in posts[:SAMPLE]]
    started = time.perf_counter()
    pure = [rank_post(weights, opening, view.candidates.values()) for opening in openings]
    post_s = (time.perf_counter() - started) / SAMPLE
    for one, expected in zip(posts, pure, strict=False):
        if engine.ranking(one.post_id) != expected:
            raise AssertionError(f"the engine's ranking of {one.post_id} is wrong")
    candidates = [view.candidates[one.seeker_id] for one in seekers[:SAMPLE]]
    started = time.perf_counter()
    for candidate in candidates:
        best_posts(weights, candidate, view.openings.values())
    seeker_s = (time.perf_counter() - started) / SAMPLE
    return [
        Measured(
            f"one seeker changed, {SEEKERS:,} × {POSTS:,}",
            CHANGES / change_s,
            1 / seeker_s,
            "changes/s",
            "her pairs alone scored by the pure function, no ranking updated",
        ),
        Measured(
            f"all loaded, {SEEKERS:,} × {POSTS:,}",
            (SEEKERS + POSTS) / load_s,
            (SEEKERS + POSTS) / (post_s * POSTS),
            "entities/s",
            "every post ranked once by the pure function (from a sample)",
        ),
    ]
