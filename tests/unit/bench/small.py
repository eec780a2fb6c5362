"""A small city with its changes, drawn once for all tests that only look at it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from bench.matching.city import Generator
from bench.matching.mix import Mix, Stream
from bench.matching.play import policy
from bench.matching.tables import City

SEEKERS, POSTS, EVENTS = 1_500, 120, 3_000


@dataclass(frozen=True)
class Drawn:
    """A city before and after some changes."""

    before: City
    stream: Stream
    after: City


def draw(seed: int) -> Drawn:
    """The same for the same seed."""
    generator = Generator(seed, SEEKERS, POSTS, policy(), spare=200)
    before = generator.city.copy()
    mix = Mix(generator, SEEKERS, POSTS)
    return Drawn(before, mix.draw(EVENTS), mix.city)


@cache
def drawn() -> Drawn:
    """One that tests share and do not change."""
    return draw(3)
