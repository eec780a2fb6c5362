"""Who plays: people and places with what later stages must know of them, beside the bodies that are posted."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from mamapost.scenario.dice import Dice
from mamapost.scenario.model import Body
from mamapost.scenario.yantai.facts import District, Kind, Per, Trade
from shared.kernel.geo import Place
from shared.kernel.week import SLOT_MINUTES, hours_of

_DEGREE = 1_000_000


@dataclass(frozen=True, slots=True)
class Community:
    ref: str
    district: District
    pilot: bool
    body: Body


@dataclass(frozen=True, slots=True)
class Station:
    ref: str
    community: Community
    place: Place
    accepted: bool
    body: Body


@dataclass(frozen=True, slots=True)
class Employer:
    """An employer and where it works.

    Attributes:
        reports_output: says of each shift what her output was worth, so that a rebate can be taken of it.
        stations: where it has work in rooms of communities.
    """

    ref: str
    trade: Trade
    district: District
    place: tuple[int, int]
    reports_output: bool
    stations: tuple[Station, ...]
    body: Body


@dataclass(slots=True)
class Woman:
    """A seeker.

    Attributes:
        home: rounded, as matching sees it.
        free: week mask.
        busy: week mask of her placements.
        posts: refs of posts that she was placed on.
    """

    ref: str
    district: District
    home: Place
    commute_km: int
    free: int
    skills: set[str]
    kinds: frozenset[Kind]
    pay_floor_fen: int
    body: Body
    busy: int = 0
    posts: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Post:
    """An opening.

    Attributes:
        place: `None` at home or online.
        hours: week mask, 0 for no set hours.
        pieces_an_hour: usual, for piece pay.
        taken: seats taken by placements.
    """

    ref: str
    employer: Employer
    station: Station | None
    district: District
    kind: Kind
    place: Place | None
    hours: int
    min_minutes: int
    required: frozenset[str]
    per: Per
    fen: int
    pieces_an_hour: int
    expected_hourly_fen: int
    seats: int
    body: Body
    taken: int = 0

    @property
    def community(self) -> Community | None:
        return None if self.station is None else self.station.community


@dataclass(slots=True)
class Placing:
    """A placement.

    Attributes:
        hours: week mask as placed; 0 where neither she nor the post set hours.
        slots: when she works: one span of minutes since midnight for each ISO weekday.
        ends_on: last day of work, if it ended.
    """

    ref: str
    woman: Woman
    post: Post
    hours: int
    slots: dict[int, tuple[int, int]]
    starts_on: date
    body: Body
    ends_on: date | None = None
    withdrawn: bool = False

    @property
    def running(self) -> bool:
        return self.ends_on is None and not self.withdrawn


def degrees(lat: int, lon: int) -> Place:
    """A place from millionths of a degree; one division, so the same float everywhere."""
    return Place(lat / _DEGREE, lon / _DEGREE)


def near(dice: Dice, lat: int, lon: int, spread: int) -> tuple[int, int]:
    """A place around another, denser towards the middle; all in millionths of a degree."""
    half = spread // 2
    return (
        lat + dice.between(-half, half) + dice.between(-half, half),
        lon + dice.between(-half, half) + dice.between(-half, half),
    )


def point(place: Place) -> Body:
    return {"lat": place.lat, "lon": place.lon}


def spans(mask: int) -> list[Body]:
    """A week mask as a body has it."""
    return [{"day": day, "from": start, "to": end} for day, start, end in hours_of(mask)]


def longest_spans(mask: int, cap_minutes: int) -> dict[int, tuple[int, int]]:
    """The longest span of each weekday, cut to a cap, as minutes since midnight."""
    found: dict[int, tuple[int, int]] = {}
    for day, start, end in hours_of(mask):
        first, last = minute_of(start), minute_of(end)
        known = found.get(day, (0, 0))
        if last - first > known[1] - known[0]:
            found[day] = (first, last)
    return {day: (first, min(last, first + cap_minutes)) for day, (first, last) in found.items()}


def mask_of_slots(slots: dict[int, tuple[int, int]]) -> int:
    """Week mask of spans on the half-hour grid."""
    mask = 0
    for day, (first, last) in slots.items():
        count = (last - first) // SLOT_MINUTES
        mask |= ((1 << count) - 1) << ((day - 1) * 48 + first // SLOT_MINUTES)
    return mask


def minute_of(time: str) -> int:
    """`"08:30"` → 510."""
    return int(time[:2]) * 60 + int(time[3:])


def civil(day: date, minute: int) -> str:
    """An instant in China's civil time, which has one offset and no summer time."""
    return f"{(day + timedelta(days=minute // 1440)).isoformat()}T{minute % 1440 // 60:02d}:{minute % 60:02d}:00+08:00"


def years_before(day: date, years: int) -> date:
    """The same day some years ago; 28 February for a 29th that year did not have."""
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return date(day.year - years, 2, 28)


def counted(full: int, scale: float, least: int) -> int:
    """How many there are at a scale."""
    return max(least, round(full * scale))


def sorted_list(words: Iterable[str], order: Sequence[str]) -> list[str]:
    """A set as a list in a fixed order: sets of texts have none across processes."""
    known = set(words)
    return [word for word in order if word in known]
