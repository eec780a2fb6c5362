"""Code lists of a generated city: hours as tables of patterns, skills, kinds and facilities as bits.

What is drawn from comes from the scenario of Yantai (`mamapost.scenario.yantai`), so that a city of any size is that
programme, grown.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar, cast

import numpy as np
import numpy.typing as npt

from mamapost.scenario.yantai.facts import ELASTIC_HOURS, SATURDAYS, SCHOOL_DAYS, SKILLS, TEAM_HOURS, Span
from mamapost.scenario.yantai.posts import MIN_MINUTES_PERCENT, TEAM_DAYS
from services.matching.domain.state import Facility, PostKind
from shared.kernel.week import SLOT_MINUTES, hours_of, mask_of, minutes_of

T = TypeVar("T", bound=str)
Words = npt.NDArray[np.uint64]

WEEK_WORDS = 6
KINDS: tuple[PostKind, ...] = ("elastic", "team", "mobile", "new-form")
FACILITIES: tuple[Facility, ...] = ("child-care-room", "nursing-room", "shuttle-bus", "parental-leave")
SKILL_NAMES: tuple[str, ...] = tuple(name for name, _ in SKILLS)


def words_of(mask: int) -> Words:
    """A week mask as machine words, lowest first."""
    return np.frombuffer(mask.to_bytes(WEEK_WORDS * 8, "little"), dtype="<u8").astype(np.uint64)


def mask_of_words(words: Words) -> int:
    """The inverse of `words_of`."""
    return int.from_bytes(words.astype("<u8").tobytes(), "little")


def spans_json(mask: int) -> str:
    """A week mask as events write it."""
    return json.dumps([{"day": d, "from": a, "to": b} for d, a, b in hours_of(mask)], separators=(",", ":"))


@dataclass(frozen=True)
class Patterns:
    """Weekly hours, each with how often it is drawn.

    Attributes:
        least: the range of minutes that is asked of it, `(first, last)` in half hours; seekers' have none.
    """

    masks: tuple[int, ...]
    weights: npt.NDArray[np.float64]
    words: Words
    minutes: npt.NDArray[np.int64]
    spans: tuple[str, ...]

    @classmethod
    def of(cls, drawn: Iterable[tuple[int, float]]) -> Patterns:
        pairs = list(drawn)
        masks = tuple(mask for mask, _ in pairs)
        return cls(
            masks,
            np.array([weight for _, weight in pairs]),
            np.stack([words_of(mask) for mask in masks]),
            np.array([minutes_of(mask) for mask in masks], np.int64),
            tuple(spans_json(mask) for mask in masks),
        )


def _free() -> Patterns:
    """Hours around the school run, perhaps less one weekday, perhaps Saturday (`women.free_hours`)."""
    drawn = []
    for school, school_weight in SCHOOL_DAYS:
        for without in range(6):
            for saturday, saturday_weight in SATURDAYS:
                spans = [(day, *span) for day in range(1, 6) if day != without for span in school]
                spans += [(6, *span) for span in saturday]
                drawn.append((mask_of(spans), school_weight * saturday_weight * (4.0 if without else 80.0)))
    return Patterns.of(drawn)


_ELASTIC_DAYS = (((1, 2, 3, 4, 5), 75.0), ((1, 2, 3, 4, 5, 6), 15.0), ((2, 3, 4, 5, 6), 10.0))


def _elastic() -> list[tuple[int, float]]:
    return [
        (mask_of((day, *span) for day in days), weight * days_weight)
        for span, weight in ELASTIC_HOURS
        for days, days_weight in _ELASTIC_DAYS
    ]


def _team() -> list[tuple[int, float]]:
    def week(shift: Sequence[Span], last: int) -> int:
        return mask_of((day, *span) for day in range(1, last + 1) for span in shift)

    return [(week(shift, TEAM_DAYS + more), float(weight)) for shift, weight in TEAM_HOURS for more in (0, 1)]


FREE = _free()
HOURS = Patterns.of([(0, 1.0), *_elastic(), *_team()])
"""Of posts: none, then the elastic ones, then the teams'."""

ELASTIC_FIRST, TEAM_FIRST = 1, 1 + len(_elastic())


def asked_minutes(hours: npt.NDArray[np.int64], percent: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Overlap that posts ask for, from the percentage of their hours, on the half-hour grid."""
    return cast(npt.NDArray[np.int64], HOURS.minutes[hours] * percent // (100 * SLOT_MINUTES) * SLOT_MINUTES)


PERCENT_ASKED = {0: MIN_MINUTES_PERCENT["elastic"], 1: MIN_MINUTES_PERCENT["team"]}
"""By the index of the kind."""


@cache
def names_in(bits: int, names: tuple[T, ...]) -> frozenset[T]:
    """The names whose bits are set."""
    return frozenset(name for place, name in enumerate(names) if bits >> place & 1)


@cache
def json_in(bits: int, names: tuple[str, ...]) -> str:
    """The names whose bits are set, as a JSON list in the order of the names."""
    return json.dumps([name for place, name in enumerate(names) if bits >> place & 1], separators=(",", ":"))


def skill_bit(name: str) -> int:
    """Bit of a skill; 0 for no skill."""
    return 1 << SKILL_NAMES.index(name) if name else 0
