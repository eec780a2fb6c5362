"""A city that an engine keeps ranked while the mix goes on."""

from __future__ import annotations

import contextlib
import gc
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from unittest.mock import patch

from bench.matching.city import Generator
from bench.matching.goals import Size
from bench.matching.mix import Mix, Stream
from bench.matching.pairs import Columns
from bench.matching.speak import city_facts, stream_facts
from bench.matching.tables import AT, CITY, City
from services.matching.domain import Fact, Policy, policy_on
from services.matching.engine import Engine, running
from shared.kernel.clock import civil_day

BATCH = 500
"""Events that the engine is given at once: what one poll of the service brings."""

PIECE = 10_000
"""Events that are drawn at once; drawing is not measured."""

SPARE = 20_000
"""Rows for women and posts who are new, of a million events."""


def policy() -> Policy:
    """The policy of the city."""
    return policy_on(CITY, civil_day(AT))


class Spent(NamedTuple):
    """What some events took, and how much of it the compiled functions."""

    events: int
    seconds: float
    compiled_s: float


@contextlib.contextmanager
def kernel_clock() -> Iterator[list[float]]:
    """Seconds of each call of a compiled function that brings rankings up to date."""
    spent_s: list[float] = []

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            try:
                return function(*arguments, **named)
            finally:
                spent_s.append(time.perf_counter() - started)

        return call

    with patch.object(running, "run", timed(running.run)):
        yield spent_s


@dataclass(slots=True)
class Play:
    """One city, its changes and, once loaded, its engine.

    Attributes:
        keep: whether the facts are kept, for the pure function to be run over all of them.
    """

    size: Size
    seed: int
    keep: bool = False
    kept: list[Fact] = field(default_factory=list)
    mix: Mix = field(init=False)
    engine: Engine = field(init=False)

    def __post_init__(self) -> None:
        generator = Generator(self.seed, self.size.seekers, self.size.posts, policy(), SPARE)
        self.mix = Mix(generator, self.size.seekers, self.size.posts)

    @property
    def city(self) -> City:
        """The city after everything that was drawn."""
        return self.mix.city

    def load(self) -> float:
        """Give the city to a new engine. Returns the seconds that the engine took."""
        self.engine = Engine(AT)
        taken_s = 0.0
        for facts in city_facts(self.city):
            if self.keep:
                self.kept += facts
            started = time.perf_counter()
            self.engine.apply(facts)
            taken_s += time.perf_counter() - started
        gc.collect()
        gc.freeze()  # as the service does once it has loaded
        return taken_s

    def draw(self, count: int = PIECE) -> tuple[Stream, list[Fact]]:
        """The next changes, as rows and as facts."""
        stream = self.mix.draw(count)
        facts = stream_facts(stream, self.city)
        if self.keep:
            self.kept += facts
        return stream, facts

    def apply(self, facts: Sequence[Fact]) -> float:
        """Give changes to the engine, a batch at a time. Returns the seconds that it took."""
        started = time.perf_counter()
        for at in range(0, len(facts), BATCH):
            self.engine.apply(facts[at : at + BATCH])
        return time.perf_counter() - started

    def round(self, seconds: float, most: int) -> float:
        """Events a second over a while: until the engine has worked so long, or had so many events."""
        events, taken_s = 0, 0.0
        while events < most and taken_s < seconds:
            _, facts = self.draw(min(PIECE, most - events))
            taken_s += self.apply(facts)
            events += len(facts)
        return events / taken_s

    def kernel_round(self, count: int) -> float:
        """Events a second of the compiled functions alone, which are given records that are made already."""
        _, facts = self.draw(count)
        with kernel_clock() as spent_s:
            self.apply(facts)
        return len(facts) / sum(spent_s)

    def profile(self, count: int) -> dict[str, Spent]:
        """What events of the mix cost by kind: each batch is given to the engine one kind after the other."""
        _, facts = self.draw(count)
        spent: defaultdict[str, Spent] = defaultdict(lambda: Spent(0, 0.0, 0.0))
        for at in range(0, len(facts), BATCH):
            by_kind: defaultdict[str, list[Fact]] = defaultdict(list)
            for fact in facts[at : at + BATCH]:
                by_kind["removal" if fact.state is None else fact.kind].append(fact)
            for kind, some in by_kind.items():
                with kernel_clock() as compiled_s:
                    taken_s = self.apply(some)
                before = spent[kind]
                spent[kind] = Spent(
                    before.events + len(some), before.seconds + taken_s, before.compiled_s + sum(compiled_s)
                )
        return dict(spent)

    def columns(self) -> Columns:
        """What the rules look at now."""
        return Columns(self.city, policy())
