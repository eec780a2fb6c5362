"""The engine alone: its rate and its lists, its memory, and two of them side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.matching.check import check_engine, check_facts, check_oracle
from bench.matching.goals import Figures, Size, aligned
from bench.matching.kernel import PAIRS_MAX, PAIRS_QUICK, c_kernel
from bench.matching.play import PIECE, Play, Spent
from bench.matching.scan import numpy_scan
from bench.matching.show import say, step
from bench.matching.stages import stages
from bench.matching.worker import go, heard, started

PLAIN_TURNS = 10_000_000
"""Of a loop that does nothing: some tenths of a second, about as long as a round of a city."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    Attributes:
        rounds: the median of so many is told.
        round_s: length of a round.
        round_events: of a round, at most.
        reference_s: length of a reference's round.
        posts, seekers: lists that are compared with NumPy's, at most; by size.
        pure: lists that the pure function judges.
        reads, probes: requests of a round of reading, and commands of a round of freshness.
        service_rounds: of the whole service, at most: one of freshness takes seconds, as does a restart.
    """

    rounds: int
    round_s: float
    round_events: int
    reference_s: float
    posts: int
    seekers: int
    pure: int
    reads: int = 3_000
    probes: int = 300
    service_rounds: int = 3


def engine(
    figures: Figures,
    size: Size,
    seed: int,
    scale: Scale,
    beside: contextlib.AbstractContextManager[None],
    load: Callable[[Play], float] = Play.load,
) -> Play:
    """Rate of the engine on the mix; then its lists on both sides against NumPy's and the pure function's.

    Args:
        beside: goes on while the engine is loaded, which is not measured.
        load: gives a city to a new engine, and says in how many seconds.

    Raises:
        ListsDiffer
    """
    say(f"{size.name}: drawing a city of {size.seekers:,} seekers and {size.posts:,} posts")
    play = Play(size, seed, keep=size.name == "12k")
    before = play.city.copy()
    with beside, step(f"{size.name}: loading the engine"):
        load(play)
    stream, facts = play.draw(min(PIECE, scale.round_events))
    play.apply(facts)  # as a warm-up: code that has not run yet is compiled or loaded
    for number in range(scale.rounds):
        rate = play.round(scale.round_s, scale.round_events)
        figures.add("engine", size.name, rate)
        figures.compare("engine", size.name, "NumPy scan", numpy_scan(before, stream, scale.reference_s))
        say(f"{size.name}: engine round {number + 1} of {scale.rounds}: {rate:,.0f} events/s")
    figures.compare("engine", size.name, "compiled part alone", play.kernel_round(min(PIECE, scale.round_events)))
    _show_profile(size, play.profile(min(PIECE, scale.round_events)))
    _show_stages(size, stages(play, min(PIECE, scale.round_events)))
    with step(f"{size.name}: the reference in C"):
        kernel = c_kernel(before, stream, scale.reference_s, PAIRS_MAX if scale.rounds > 2 else PAIRS_QUICK)
    if isinstance(kernel, str):
        figures.skip(kernel)
    else:
        figures.compare("engine", size.name, "C kernel", kernel)
    with step(f"{size.name}: comparing lists of both sides"):
        compared = check_engine(play.engine, play.city, seed, scale.posts, scale.seekers)
        pure = check_facts(play.engine, play.kept, seed, scale.pure, 2 * scale.pure) if play.keep else 0
        if scale.pure and not play.keep:
            pure = check_oracle(play.city, seed, min(scale.pure, 3), min(scale.pure, 10))
    figures.add("lists-wrong", size.name, 0.0)
    say(f"{size.name}: {compared:,} lists equal NumPy's, {pure} judged by the pure function")
    play.kept.clear()
    return play


def _show_profile(size: Size, spent: dict[str, Spent]) -> None:
    """Where the time of the mix goes, by kind of event."""
    events, seconds = sum(one.events for one in spent.values()), sum(one.seconds for one in spent.values())
    lines = [["event", "of the mix", "µs each", "compiled", "of the time"]]
    for kind, one in sorted(spent.items(), key=lambda item: -item[1].seconds):
        each, compiled = 1e6 * one.seconds / one.events, 1e6 * one.compiled_s / one.events
        shares = [f"{part:.0%}" for part in (one.events / events, one.seconds / seconds)]
        lines.append([kind, shares[0], f"{each:.1f}", f"{compiled:.1f}", shares[1]])
    _show(f"{size.name}: where the time goes, each kind given to the engine by itself", lines)


def _show_stages(size: Size, spent_us: dict[str, float]) -> None:
    """What the loop does with an event, but for what lies around the stages: the broker, and what is published."""
    total_us = sum(spent_us.values())
    lines = [["stage of the loop", "µs each", "of the time"]]
    lines += [[stage, f"{each:.1f}", f"{each / total_us:.0%}"] for stage, each in spent_us.items()]
    _show(
        f"{size.name}: what the loop does with an event, in one process and without a broker: {total_us:.1f} µs", lines
    )


def _show(title: str, lines: list[list[str]]) -> None:
    """A table, of which all columns but the first hold numbers."""
    say(title)
    for line in aligned(lines, right=range(1, len(lines[0]))).splitlines():
        say(line)


@contextlib.contextmanager
def memory(figures: Figures, size: Size, seed: int) -> Iterator[None]:
    """Growth of a process that loads a city, for each of its seekers, in KB of 1,024 bytes.

    It takes no notice of what else goes on, so it is measured beside what is done within.
    """
    with started("memory", size.name, str(seed)) as one:
        yield
        with step(f"{size.name}: memory of a process that loads the city"):
            said = heard(one)
    figures.add("memory", size.name, said["bytes"] / said["seekers"] / 1024)


def shards(figures: Figures, size: Size, seed: int, scale: Scale) -> None:
    """What two processes with a city each do together, over what one of them does alone, in turns; and two of a loop
    that does nothing, for what the machine has to give."""
    rate = figures.median("engine", size.name) or 20_000
    events = max(2_000, min(scale.round_events, int(rate * scale.round_s)))
    for what, turns in (("plain", PLAIN_TURNS), ("rate", events)):
        with (
            step(f"{size.name}: two processes on two cores, {'cities' if what == 'rate' else 'plain loops'}"),
            started(what, size.name, str(seed), f"--events={turns}", f"--times={2 * scale.rounds}") as first,
            started(what, size.name, str(seed + 1), f"--events={turns}", f"--times={scale.rounds}") as second,
        ):
            for process in (first, second):
                heard(process)
            for _ in range(scale.rounds):
                go(first)
                alone = _rate(heard(first))
                go(first)
                go(second)
                times = (_rate(heard(first)) + _rate(heard(second))) / alone
                if what == "rate":
                    figures.add("shards", size.name, times)
                else:
                    figures.compare("shards", size.name, "plain loops", times)


def _rate(said: dict[str, float]) -> float:
    return said["events"] / said["seconds"]
