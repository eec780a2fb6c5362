"""Mama posts of all four kinds."""

from __future__ import annotations

from datetime import date, timedelta

from mamapost.scenario.dice import Dice
from mamapost.scenario.model import Body
from mamapost.scenario.yantai.cast import (
    Employer,
    Post,
    Station,
    civil,
    counted,
    degrees,
    near,
    point,
    sorted_list,
    spans,
)
from mamapost.scenario.yantai.facts import (
    ELASTIC_HOURS,
    FACILITIES,
    POSTS,
    TEAM_HOURS,
    Kind,
    Per,
    Trade,
)
from shared.kernel.geo import Place
from shared.kernel.week import SLOT_MINUTES, mask_of, minutes_of

POST_SPREAD = 20_000
"""Millionths of a degree, about 2 km: workshops of one employer."""

MIN_MINUTES_PERCENT: dict[Kind, tuple[int, int]] = {"elastic": (40, 75), "team": (25, 35)}
"""How much of the hours is asked for: an elastic post wants about half of them, a team a quarter."""

TEAM_DAYS = 5


def posts(dice: Dice, scale: float, employers: list[Employer], usable_until: date) -> list[Post]:
    """At least one post for each employer, the others as their sizes have it."""
    sizes = [(employer, dice.between(1, 9)) for employer in employers]
    total = max(counted(POSTS, scale, 20), len(employers))
    owners = employers + [dice.weighted(sizes) for _ in range(total - len(employers))]
    return [_post(dice, number, owner, usable_until) for number, owner in enumerate(owners, 1)]


def _post(dice: Dice, number: int, employer: Employer, usable_until: date) -> Post:
    trade = employer.trade
    kind = dice.weighted(trade.kinds)
    station = dice.pick(employer.stations) if employer.stations and dice.chance(60) else None
    hours, min_minutes = _hours(dice, kind)
    per, fen, pieces, expected = _pay(dice, trade)
    required = dice.weighted(trade.required)
    seats = dice.weighted(_SEATS[kind])
    body: Body = {
        "employer_id": f"@{employer.ref}",
        "area": station.community.body["area"] if station else employer.district.code,
        "kind": kind,
        "trade": trade.name,
        "hours": spans(hours),
        "min_minutes": min_minutes,
        "skills_required": [required] if required else [],
        "skills_desired": [skill for skill in trade.desired if skill != required and dice.chance(50)],
        "pay": {"per": per, "fen": fen, **({"expected_hourly_fen": expected} if per == "piece" else {})},
        "seats": seats,
        "facilities": sorted_list({facility for facility in FACILITIES if dice.chance(15)}, FACILITIES),
        "urgent": dice.chance(6),
    }
    place = _place(dice, kind, employer, station, body)
    closes_in = dice.weighted((((), 62), ((2, 14), 8), ((15, 60), 30)))
    if closes_in:
        body["closes_at"] = civil(usable_until + timedelta(days=dice.between(*closes_in)), 18 * 60)
    return Post(
        ref=f"post:{number}",
        employer=employer,
        station=station,
        district=station.community.district if station else employer.district,
        kind=kind,
        place=place,
        hours=hours,
        min_minutes=min_minutes,
        required=frozenset({required} - {""}),
        per=per,
        fen=fen,
        pieces_an_hour=pieces,
        expected_hourly_fen=expected,
        seats=seats,
        body=body,
    )


_SEATS: dict[Kind, tuple[tuple[int, int], ...]] = {
    "elastic": ((1, 60), (2, 25), (4, 15)),
    "team": ((6, 30), (12, 30), (20, 25), (40, 15)),
    "mobile": ((1, 30), (3, 40), (10, 30)),
    "new-form": ((1, 60), (2, 30), (5, 10)),
}


def _hours(dice: Dice, kind: Kind) -> tuple[int, int]:
    """Week mask and the minutes of it that are asked for; none where she has her own time."""
    if kind == "elastic":
        days = dice.weighted((((1, 2, 3, 4, 5), 75), ((1, 2, 3, 4, 5, 6), 15), ((2, 3, 4, 5, 6), 10)))
        start, end = dice.weighted(ELASTIC_HOURS)
        mask = mask_of((day, start, end) for day in days)
    elif kind == "team":
        shift = dice.weighted(TEAM_HOURS)
        last_day = TEAM_DAYS + dice.below(2)
        mask = mask_of((day, start, end) for day in range(1, last_day + 1) for start, end in shift)
    else:
        return 0, 0
    first, last = MIN_MINUTES_PERCENT[kind]
    return mask, minutes_of(mask) * dice.between(first, last) // 100 // SLOT_MINUTES * SLOT_MINUTES


def _pay(dice: Dice, trade: Trade) -> tuple[Per, int, int, int]:
    """Per, fen, usual pieces an hour, fen expected an hour."""
    hourly = dice.between(trade.hourly_fen[0] // 50, trade.hourly_fen[1] // 50) * 50
    if not dice.chance(trade.piece_percent):
        return "hour", hourly, 0, hourly
    pieces = dice.between(*trade.pieces_an_hour)
    fen = hourly // pieces
    return "piece", fen, pieces, fen * pieces


def _place(dice: Dice, kind: Kind, employer: Employer, station: Station | None, body: Body) -> Place | None:
    """Where it is worked; written into the body where the station does not say it."""
    if station is not None:
        body["station_id"] = f"@{station.ref}"
    if kind not in ("elastic", "team"):
        return None
    if station is not None:
        return station.place
    place = degrees(*near(dice, *employer.place, POST_SPREAD))
    body["location"] = point(place)
    return place
