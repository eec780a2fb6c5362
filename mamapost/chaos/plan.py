"""Which fault hits what, and when: pure, and the same for the same seed, so that a run can be repeated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        number: from 1, in the order of `begins_s`.
        target: name of the part, or of the topic's owner.
        begins_s: seconds after the start of the run; later where the part is still busy with the fault before.
        lasts_s: seconds until it is ended.
    """

    number: int
    kind: Kind
    target: str
    begins_s: float
    lasts_s: float


@dataclass(frozen=True, slots=True)
class Timeline:
    """Faults that follow each other.

    Attributes:
        kinds: those that can be done here, each with its targets.
        pause_s: shortest and longest time between two of them.
    """

    name: str
    kinds: Mapping[Kind, Sequence[str]]
    pause_s: tuple[int, int]


def plan(seed: int, duration_s: float, timelines: Sequence[Timeline]) -> list[Fault]:
    """The faults of a run, in order. Those of one timeline do not overlap; those of several do.

    Args:
        duration_s: no fault lasts longer than this.
    """
    drawn: list[tuple[float, str, Kind, str, float]] = []
    for timeline in timelines:
        dice = Dice("chaos", seed, timeline.name)
        at_s = float(_within(dice, FIRST_S))
        while timeline.kinds:
            kind = dice.weighted([(kind, WEIGHTS.get(kind, 2)) for kind in timeline.kinds])
            target = dice.pick(timeline.kinds[kind])
            lasts_s = _within(dice, LASTS_S[kind])
            if at_s + lasts_s > duration_s:
                break
            drawn.append((at_s, timeline.name, kind, target, lasts_s))
            at_s += lasts_s + _within(dice, timeline.pause_s)
    drawn.sort()
    return [
        Fault(number, kind, target, at_s, lasts_s) for number, (at_s, _, kind, target, lasts_s) in enumerate(drawn, 1)
    ]


def _within(dice: Dice, bounds_s: tuple[int, int]) -> float:
    """A time between two bounds, to the tenth of a second."""
    first, last = bounds_s
    return dice.between(first * 10, last * 10) / 10
