"""Which fault hits what, and when: pure, and the same for the same seed, so that a run can be repeated."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from mamapost.scenario.dice import Dice

Kind = Literal[
    "kill", "pause", "restart", "leader", "disk-full", "slow", "clock", "duplicate", "reorder", "poison", "wipe"
]
"""What can be done to a part, or to the messages of a topic; docs/reliability.md says what each one does."""

LASTS_S: Final[Mapping[Kind, tuple[int, int]]] = {
    # Short ones are over before anybody noticed, long ones outlive every lease and session (10 s).
    "kill": (0, 8),
    "pause": (1, 18),
    "restart": (0, 0),
    "leader": (0, 0),
    "disk-full": (4, 10),
    "slow": (5, 15),
    "clock": (15, 40),
    "duplicate": (0, 0),
    "reorder": (0, 0),
    "poison": (0, 0),
    "wipe": (0, 3),
}
"""Shortest and longest time between the begin of a fault and what ends it, seconds."""

WEIGHTS: Final[Mapping[Kind, int]] = {"kill": 4, "pause": 3, "restart": 2, "wipe": 1}
"""How often a kind is drawn where several can be; 2 where nothing stands here."""

FIRST_S: Final = (3, 12)
"""When the first fault of a timeline comes."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault.

    Attributes:
        timeline: faults of one timeline follow each other.
        number: from 1, on its timeline.
        target: name of a part, of a group of parts, or `topics`.
        pause_s: from the end of the fault before, or the start of the run, to its begin.
        lasts_s: seconds until it is ended.
    """

    timeline: str
    number: int
    kind: Kind
    target: str
    pause_s: float
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """Faults that follow each other.

    Attributes:
        kinds: those that can be done here, each with its targets.
        pause_s: shortest and longest time from the end of one to the begin of the next.
    """

    name: str
    kinds: Mapping[Kind, Sequence[str]]
    pause_s: tuple[int, int]


def plan(seed: int, duration_s: float, timelines: Sequence[Timeline]) -> list[list[Fault]]:
    """The faults of each timeline, in order: as many as there is time for when everything comes back at once.

    A part that takes its time to come back holds up what follows on its timeline, so that a slow machine is hurt less
    often, and not all at once; what there is no time for is left out.
    """
    return [list(_faults(Dice("chaos", seed, timeline.name), duration_s, timeline)) for timeline in timelines]


def _faults(dice: Dice, duration_s: float, timeline: Timeline) -> Iterator[Fault]:
    at_s = 0.0
    number = 0
    while timeline.kinds:
        pause_s = _within(dice, timeline.pause_s if number else FIRST_S)
        kind = dice.weighted([(kind, WEIGHTS.get(kind, 2)) for kind in timeline.kinds])
        target = dice.pick(timeline.kinds[kind])
        lasts_s = _within(dice, LASTS_S[kind])
        at_s += pause_s + lasts_s
        if at_s > duration_s:
            return
        number += 1
        yield Fault(timeline.name, number, kind, target, pause_s, lasts_s)


def _within(dice: Dice, bounds_s: tuple[int, int]) -> float:
    """A time between two bounds, to the tenth of a second."""
    first, last = bounds_s
    return dice.between(first * 10, last * 10) / 10
