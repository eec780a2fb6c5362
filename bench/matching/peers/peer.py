"""What every peer is: told of seekers, asked for one post's best."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from bench.matching.pairs import Columns
from bench.matching.tables import City
from services.matching.domain import TOP_SEEKERS
from shared.kernel.week import SLOT_MINUTES

LIMIT = TOP_SEEKERS
KIND_COLUMNS = ("elastic", "team", "mobile", "new_form")
COMMUTE_MOST_M = 20_000
"""Longest commute in the city; a peer may use it, as it could keep the maximum."""

Answer = list[tuple[int, int]]


class Missing(Exception):
    """A peer cannot run here; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A post, as the rules look at it: parameters of a query.

    Attributes:
        kind: index of its kind.
        slots: numbers of the half hours of its week.
    """

    row: int
    kind: int
    pay: int
    required: int
    desired: int
    n_desired: int
    located: bool
    lat: float
    lon: float
    x: float
    y: float
    z: float
    words: tuple[int, ...]
    minutes: int
    asked: int
    offered: int

    @property
    def mask(self) -> int:
        """Its hours as a week mask."""
        return sum(word << 64 * place for place, word in enumerate(self.words))

    @property
    def slots(self) -> list[int]:
        return slots_of(self.words)


@dataclass(frozen=True, slots=True)
class Woman:
    """A seeker, as the rules look at her."""

    row: int
    key: str
    kinds: int
    floor: int
    limit: int
    skills: int
    wanted: int
    lat: float
    lon: float
    x: float
    y: float
    z: float
    free: tuple[int, ...]
    busy: tuple[int, ...]
    placed_on: int
    steady: int
    registered: int


def slots_of(words: tuple[int, ...]) -> list[int]:
    """Numbers of the bits that are set."""
    return [64 * place + bit for place, word in enumerate(words) for bit in range(64) if word >> bit & 1]


def asks_of(city: City, columns: Columns, rows: list[int]) -> list[Ask]:
    """Posts as queries."""
    return [
        Ask(
            row=row,
            kind=int(city.posts["kind"][row]),
            pay=int(columns.pay[row]),
            required=int(columns.required[row]),
            desired=int(columns.desired[row]),
            n_desired=int(columns.desired[row]).bit_count(),
            located=bool(columns.located[row]),
            lat=float(city.posts["lat"][row]),
            lon=float(city.posts["lon"][row]),
            x=float(columns.place[0, row]),
            y=float(columns.place[1, row]),
            z=float(columns.place[2, row]),
            words=tuple(columns.hours[:, row].tolist()),
            minutes=int(columns.minutes[row]),
            asked=int(columns.asked[row]),
            offered=int(columns.offered[row]),
        )
        for row in rows
    ]


def women_of(city: City, columns: Columns, rows: npt.NDArray[Any]) -> list[Woman]:
    """Seekers as rows of a peer's table; who cannot be ranked has no kinds."""
    keys = np.ascontiguousarray(city.seekers["key"][rows]).tobytes().hex()
    values = zip(
        rows.tolist(),
        (keys[at : at + 32] for at in range(0, len(keys), 32)),
        *(getattr(columns, name)[rows].tolist() for name in ("kinds", "floor", "limit", "skills", "wanted")),
        *(city.seekers[name][rows].tolist() for name in ("lat", "lon")),
        *(columns.home[axis, rows].tolist() for axis in range(3)),
        map(tuple, columns.free[:, rows].T.tolist()),
        map(tuple, columns.busy[:, rows].T.tolist()),
        *(getattr(columns, name)[rows].tolist() for name in ("placed_on", "steady", "registered")),
        strict=True,
    )
    return [Woman(*value) for value in values]


class Peer(Protocol):
    """A system to rank with.

    Attributes:
        how: version and tuning, for the table of figures.
    """

    name: str
    how: str

    def load(self, women: list[Woman]) -> None:
        """Take in all seekers, with whatever indexes help."""

    def put(self, woman: Woman) -> None:
        """A seeker is new or changed."""

    def put_steady(self, row: int, steady: int) -> None:
        """Of a seeker only the part changed that no post has a say in."""

    def top(self, ask: Ask) -> Answer:
        """The best 50 of a post, as `(row, score)`."""

    def close(self) -> None:
        """Let go of everything."""


__all__ = [
    "COMMUTE_MOST_M",
    "KIND_COLUMNS",
    "LIMIT",
    "SLOT_MINUTES",
    "Answer",
    "Ask",
    "Missing",
    "Peer",
    "Woman",
    "asks_of",
    "slots_of",
    "women_of",
]
