"""A city as tables: one row an entity, everything that an event of it says and what matching derives."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from services.matching.domain.state import ShiftVerdict

Table = npt.NDArray[Any]
"""Rows of one of the types below; its columns are reached by name."""

CITY = "370600"
AT = datetime(2026, 3, 9, 4, 0, tzinfo=UTC)
"""The present of every generated city: fixed, so that a run can be repeated."""

_PLACE = [("lat", "f8"), ("lon", "f8"), ("x", "f8"), ("y", "f8"), ("z", "f8")]
_LIFE = [("key", "u1", 16), ("version", "i4"), ("alive", "?")]

SEEKER = np.dtype(
    [
        *_LIFE,
        *_PLACE,
        ("district", "i2"),
        ("commute_km", "i4"),
        ("free", "i2"),
        ("skills", "u4"),
        ("kinds", "u1"),
        ("facilities", "u1"),
        ("pay_floor_fen", "i4"),
        ("eligible_until", "M8[D]"),
        ("registered_at", "M8[ms]"),
        ("placed_on", "i4"),
        ("busy", "u8", 6),
        ("attended", "i4"),
        ("left_early", "i4"),
        ("shifts", "i4"),
    ]
)
"""`free` is a row of `patterns.FREE`; `placed_on` a row of the posts, -1 for none; the last three count her shifts."""

POST = np.dtype(
    [
        *_LIFE,
        *_PLACE,
        ("located", "?"),
        ("district", "i2"),
        ("employer", "i4"),
        ("station", "i4"),
        ("trade", "i2"),
        ("kind", "i2"),
        ("hours", "i2"),
        ("min_minutes", "i4"),
        ("required", "u4"),
        ("desired", "u4"),
        ("pay_fen", "i4"),
        ("pieces", "i4"),
        ("seats", "i4"),
        ("taken", "i4"),
        ("facilities", "u1"),
        ("urgent", "?"),
        ("opened_at", "M8[ms]"),
        ("closes_at", "M8[ms]"),
    ]
)
"""`kind` is an index of `patterns.KINDS`; `pay_fen` is an hour's; `pieces` an hour for piece pay, else 0; `station` is
-1 for none; `closes_at` may be missing (NaT)."""

EMPLOYER = np.dtype([*_LIFE, *_PLACE, ("district", "i2"), ("trade", "i2"), ("station", "i4"), ("size", "i4")])
STATION = np.dtype([*_LIFE, *_PLACE, ("district", "i2"), ("accepted", "?"), ("facilities", "u1")])
PLACEMENT = np.dtype([*_LIFE, ("seeker", "i4"), ("post", "i4"), ("hours", "u8", 6)])
SHIFT = np.dtype(
    [*_LIFE, ("placement", "i4"), ("verdict", "i2"), ("day", "M8[D]"), ("first_minute", "i4"), ("minutes", "i4")]
)
"""`verdict` is an index of `VERDICTS`."""

VERDICTS: tuple[ShiftVerdict, ...] = ("attended", "left-early", "no-show")


@dataclass(slots=True)
class City:
    """All rows of a city. Seekers and posts have room at the end for those who come during the changes.

    Attributes:
        seekers, posts: rows; those not yet there have `version` 0.
    """

    seed: int
    districts: int
    seekers: Table
    posts: Table
    employers: Table
    stations: Table
    placements: Table
    shifts: Table

    def copy(self, seekers: int | None = None, posts: int | None = None) -> City:
        """Another city that changes on its own, with room for so many rows only."""
        return City(
            self.seed,
            self.districts,
            self.seekers[:seekers].copy(),
            self.posts[:posts].copy(),
            self.employers,
            self.stations,
            self.placements.copy(),
            self.shifts.copy(),
        )


def keys(rng: np.random.Generator, count: int) -> npt.NDArray[np.uint8]:
    """Random identities, as in UUIDs."""
    return rng.integers(0, 256, (count, 16), dtype=np.uint8)


def ids(prefix: str, table: Table) -> list[str]:
    """Canonical ids of rows."""
    digits = np.ascontiguousarray(table["key"]).tobytes().hex()
    return [f"{prefix}-{digits[at : at + 32]}" for at in range(0, len(digits), 32)]
