"""What the loop costs stage by stage: every event goes all the way."""

from __future__ import annotations

from bench.matching.check import check_engine
from bench.matching.goals import Size
from bench.matching.play import BATCH, Play
from bench.matching.stages import STAGES, stages


def test_events_that_went_through_the_stages_are_in_the_rankings() -> None:
    play = Play(Size("small", 1_500, 120), 3)
    play.load()
    spent_us = stages(play, 2 * BATCH)
    assert tuple(spent_us) == STAGES
    assert min(spent_us.values()) > 0
    assert check_engine(play.engine, play.city, 3, 60, 60) == 120
