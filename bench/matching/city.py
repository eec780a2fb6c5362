"""Cities of any size, the same for the same seed.

Women, employers and posts are drawn as the scenario of Yantai draws them (`mamapost.scenario.yantai`: kinds, pay,
hours, skills, facilities, seats, how far women travel), only with NumPy. What grows is the map: a county-level city of
12,000 seekers on 1,500 km² (Laizhou: 1,928 km²) up to one of a million on 13,700 km² (Chengdu: 14,335 km², 23
districts). Districts are Gaussian clusters as wide as their distance from each other has it, with the scenario's
unequal shares, so that the densest square kilometres of the largest city are about nine times as dense as the
smallest city's.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.matching.geometry import KM_PER_DEG, coarse, vectors_of
from bench.matching.pairs import Columns
from bench.matching.patterns import (
    ELASTIC_FIRST,
    FACILITIES,
    FREE,
    HOURS,
    PERCENT_ASKED,
    SKILL_NAMES,
    TEAM_FIRST,
    asked_minutes,
    skill_bit,
)
from bench.matching.tables import AT, EMPLOYER, PLACEMENT, POST, SEEKER, SHIFT, STATION, City, Table, keys
from mamapost.scenario.yantai.facts import DISTRICTS, EMPLOYERS, POSTS, SKILLS, STATIONS, TRADES
from mamapost.scenario.yantai.women import KINDS as KIND_PERCENT
from mamapost.scenario.yantai.women import REGISTERED_DAYS
from services.matching.domain import Policy

Rng = np.random.Generator
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

SMALLEST = 12_000
AREA_KM2 = 1_500
CENTRE = (37.46, 121.44)

COMMUTES_KM = ((2, 6), (3, 12), (5, 28), (8, 26), (12, 18), (20, 10))
SKILL_COUNTS = ((0, 20), (1, 40), (2, 28), (3, 12))
SEATS: tuple[tuple[tuple[int, int], ...], ...] = (
    ((1, 60), (2, 25), (4, 15)),
    ((6, 30), (12, 30), (20, 25), (40, 15)),
    ((1, 30), (3, 40), (10, 30)),
    ((1, 60), (2, 30), (5, 10)),
)
"""By kind."""

WANTED_PERCENT, OFFERED_PERCENT, STATION_PERCENT = 18, 15, 70
NOT_ACCEPTED_PERCENT = 10
PLACED_PERCENT = 20
"""1,000 placements of 5,000 women, each with one shift behind it when the measurement begins."""

OVER_PERCENT = 1
"""Women whose youngest child is twelve by now, and who have not withdrawn."""

TRIES = 30


def weighted(rng: Rng, choices: Any, count: int) -> Ints:
    """Values as often as their weights say; `choices` are pairs of a number and its weight."""
    values, weights = np.array([c[0] for c in choices]), np.array([c[1] for c in choices], float)
    drawn: Ints = values[rng.choice(len(values), count, p=weights / weights.sum())]
    return drawn


def chance(rng: Rng, percent: float, count: int) -> npt.NDArray[np.bool_]:
    """True in so many of a hundred cases."""
    return rng.random(count) * 100 < percent


def bits(rng: Rng, percents: list[float], count: int) -> Ints:
    """Sets of names as bits, each name in so many of a hundred cases."""
    found = np.zeros(count, np.int64)
    for place, percent in enumerate(percents):
        found |= chance(rng, percent, count).astype(np.int64) << place
    return found


class Generator:
    """Draws rows of one city; what is drawn later belongs to the same map and the same employers.

    Args:
        seekers, posts: sizes.
        spare: rows beyond them, for those who come during the changes.
    """

    def __init__(self, seed: int, seekers: int, posts: int, policy: Policy, spare: int = 0) -> None:
        self.rng = np.random.default_rng([seed, seekers, posts])
        self._map(seekers)
        stations = self.stations(max(STATIONS * seekers // 5_000, len(self.shares)))
        self.accepted = np.flatnonzero(stations["accepted"])
        employers = self.employers(max(EMPLOYERS * posts // POSTS, len(TRADES)), stations)
        owners = np.concatenate(
            [np.arange(len(employers)) % len(employers), self.owners(employers, max(posts - len(employers), 0))]
        )[:posts]
        women, offers = np.zeros(seekers + spare, SEEKER), np.zeros(posts + spare, POST)
        women["placed_on"] = -1
        women[:seekers], offers[:posts] = self.seekers(seekers), self.posts(owners, employers, stations)
        self.city = City(
            seed, len(self.shares), women, offers, employers, stations, np.zeros(0, PLACEMENT), np.zeros(0, SHIFT)
        )
        self._place(seekers, posts, policy)

    # --- the map ---

    def _map(self, seekers: int) -> None:
        growth = max(seekers / SMALLEST, 0.05)
        area_km2 = AREA_KM2 * growth**0.5
        count = max(3, round(11 * growth**0.28))
        side_km = math.sqrt(area_km2)
        centres = np.zeros((count, 2))
        for place in range(1, count):
            # Mitchell's best candidate: towns keep their distance.
            tries = (self.rng.random((30, 2)) - 0.5) * side_km
            gaps = np.min(np.linalg.norm(tries[:, None] - centres[None, :place], axis=2), axis=1)
            centres[place] = tries[np.argmax(gaps)]
        self.centres_km = centres
        self.sigma_km = 0.3 * side_km / math.sqrt(count)
        shares = np.array([DISTRICTS[place % len(DISTRICTS)].weight for place in range(count)], float)
        self.shares = shares / shares.sum()

    def put_places(self, rows: Table, east_km: Floats, north_km: Floats, grid: bool = False) -> None:
        """Write places into rows, from kilometres about the centre of the city."""
        lat = CENTRE[0] + north_km / KM_PER_DEG
        lon = CENTRE[1] + east_km / (KM_PER_DEG * math.cos(math.radians(CENTRE[0])))
        lat, lon = (coarse(lat), coarse(lon)) if grid else (np.round(lat, 6), np.round(lon, 6))
        rows["lat"], rows["lon"] = lat, lon
        rows["x"], rows["y"], rows["z"] = vectors_of(lat, lon)

    def put_in_districts(self, rows: Table, spread: float, grid: bool = False) -> None:
        """Write places about the centres of the rows' districts; `spread` in standard deviations of a district."""
        away = self.rng.normal(0, self.sigma_km * spread, (len(rows), 2))
        at = self.centres_km[rows["district"]] + away
        self.put_places(rows, at[:, 0], at[:, 1], grid)

    def _new(self, count: int, dtype: Any) -> Table:
        rows = np.zeros(count, dtype)
        rows["key"], rows["version"], rows["alive"] = keys(self.rng, count), 1, True
        return rows

    def _districts(self, count: int) -> Ints:
        return self.rng.choice(len(self.shares), count, p=self.shares)

    # --- entities ---

    def stations(self, count: int) -> Table:
        """At least one a district, all but a few with an accepted production zone."""
        rows = self._new(count, STATION)
        rows["district"] = np.arange(count) % len(self.shares)
        rows["accepted"] = ~chance(self.rng, NOT_ACCEPTED_PERCENT, count)
        rows["accepted"][: len(self.shares)] = True
        rows["facilities"] = bits(self.rng, [STATION_PERCENT, STATION_PERCENT], count)
        self.put_in_districts(rows, 0.9)
        return rows

    def employers(self, count: int, stations: Table) -> Table:
        """Of all trades; three out of four whose trade works in stations use one of their district."""
        rng, rows = self.rng, self._new(count, EMPLOYER)
        rows["trade"] = weighted(rng, [(place, trade.weight) for place, trade in enumerate(TRADES)], count)
        rows["trade"][: len(TRADES)] = np.arange(len(TRADES))
        rows["district"], rows["size"] = self._districts(count), rng.integers(1, 10, count)
        self.put_in_districts(rows, 1.0)
        rows["station"] = -1
        at_stations = np.array([trade.at_stations for trade in TRADES])[rows["trade"]] & chance(rng, 75, count)
        for district in range(len(self.shares)):
            here = np.flatnonzero(at_stations & (rows["district"] == district))
            usable = self.accepted[stations["district"][self.accepted] == district]
            rows["station"][here] = rng.choice(usable, len(here))
        return rows

    def owners(self, employers: Table, count: int) -> Ints:
        """Employers of posts, by their sizes."""
        shares = employers["size"] / employers["size"].sum()
        return self.rng.choice(len(employers), count, p=shares)

    def seekers(self, count: int) -> Table:
        """Women who look for a post."""
        rng, rows = self.rng, self._new(count, SEEKER)
        rows["district"] = self._districts(count)
        self.put_in_districts(rows, 1.0, grid=True)
        rows["commute_km"] = weighted(rng, COMMUTES_KM, count)
        rows["free"] = rng.choice(len(FREE.masks), count, p=FREE.weights / FREE.weights.sum())
        named = [(1 << place, weight) for place, (_, weight) in enumerate(SKILLS)]
        how_many = weighted(rng, SKILL_COUNTS, count)
        for number in range(3):
            rows["skills"] |= np.where(how_many > number, weighted(rng, named, count), 0).astype(np.uint32)
        kinds = bits(rng, [percent for _, percent in KIND_PERCENT], count)
        rows["kinds"] = np.where(kinds > 0, kinds, 1)
        rows["facilities"] = bits(rng, [WANTED_PERCENT] * len(FACILITIES), count)
        rows["pay_floor_fen"] = rng.integers(28, 47, count) * 50
        rows["eligible_until"] = self._eligible(count)
        days_ms = np.where(chance(rng, 5, count), 0, rng.integers(0, REGISTERED_DAYS, count)) * 86_400_000
        since_ms = days_ms + rng.integers(1, 28_800_000, count)
        rows["registered_at"] = np.datetime64(AT.replace(tzinfo=None), "ms") - since_ms
        rows["placed_on"] = -1
        return rows

    def _eligible(self, count: int) -> npt.NDArray[np.datetime64]:
        """Last days of the months of the twelfth birthdays of the youngest children."""
        today = np.datetime64(AT.date(), "D")
        ahead = self.rng.integers(2, 12 * 365 - 180, count)
        ahead = np.where(chance(self.rng, 3, count), self.rng.integers(2, 60, count), ahead)
        ahead = np.where(chance(self.rng, OVER_PERCENT, count), -self.rng.integers(31, 200, count), ahead)
        months = (today + ahead).astype("M8[M]")
        last: npt.NDArray[np.datetime64] = (months + 1).astype("M8[D]") - 1
        return last

    def posts(self, owners: Ints, employers: Table, stations: Table) -> Table:
        """One post for each of the owners."""
        rng, count = self.rng, len(owners)
        rows, owner = self._new(count, POST), employers[owners]
        rows["employer"], rows["trade"], rows["district"] = owners, owner["trade"], owner["district"]
        kind_of = {"elastic": 0, "team": 1, "mobile": 2, "new-form": 3}
        for place, trade in enumerate(TRADES):
            here = np.flatnonzero(rows["trade"] == place)
            rows["kind"][here] = weighted(rng, [(kind_of[kind], weight) for kind, weight in trade.kinds], len(here))
            required = weighted(rng, [(skill_bit(name), weight) for name, weight in trade.required], len(here))
            desired = bits(rng, [50 if name in trade.desired else 0 for name in SKILL_NAMES], len(here))
            rows["required"][here], rows["desired"][here] = required, desired & ~required
            hourly = rng.integers(trade.hourly_fen[0] // 50, trade.hourly_fen[1] // 50 + 1, len(here)) * 50
            by_piece = chance(rng, trade.piece_percent, len(here))
            pieces = np.where(
                by_piece, rng.integers(trade.pieces_an_hour[0], trade.pieces_an_hour[1] + 1, len(here)), 0
            )
            rows["pieces"][here] = pieces
            rows["pay_fen"][here] = np.where(by_piece, hourly // np.maximum(pieces, 1) * pieces, hourly)
        self.put_hours(rows)
        for kind, seats in enumerate(SEATS):
            here = np.flatnonzero(rows["kind"] == kind)
            rows["seats"][here] = weighted(rng, seats, len(here))
        rows["facilities"] = bits(rng, [OFFERED_PERCENT] * len(FACILITIES), count)
        rows["urgent"] = chance(rng, 6, count)
        rows["station"] = np.where(chance(rng, 60, count), owner["station"], -1)
        rows["located"] = rows["kind"] < 2
        east = (owner["lon"] - CENTRE[1]) * KM_PER_DEG * math.cos(math.radians(CENTRE[0])) + rng.normal(0, 0.8, count)
        self.put_places(rows, east, (owner["lat"] - CENTRE[0]) * KM_PER_DEG + rng.normal(0, 0.8, count))
        hosted = stations[np.maximum(rows["station"], 0)]
        for name in ("lat", "lon", "x", "y", "z"):
            rows[name] = np.where(rows["station"] >= 0, hosted[name], rows[name])
            rows[name] = np.where(rows["located"], rows[name], 0.0)
        now = np.datetime64(AT.replace(tzinfo=None), "ms")
        rows["opened_at"] = now - rng.integers(60_000, 60 * 86_400_000, count)
        rows["closes_at"] = self.closing(count)
        return rows

    def put_hours(self, rows: Table) -> None:
        """Write hours and the overlap that is asked, by the rows' kinds."""
        rng = self.rng
        for kind, first, last in ((0, ELASTIC_FIRST, TEAM_FIRST), (1, TEAM_FIRST, len(HOURS.masks))):
            here = np.flatnonzero(rows["kind"] == kind)
            drawn = list(zip(range(first, last), HOURS.weights[first:last], strict=True))
            rows["hours"][here] = weighted(rng, drawn, len(here))
            low, high = PERCENT_ASKED[kind]
            percent = rng.integers(low, high + 1, len(here))
            rows["min_minutes"][here] = asked_minutes(rows["hours"][here].astype(np.int64), percent)

    def closing(self, count: int) -> npt.NDArray[np.datetime64]:
        """When posts close: most are open until someone closes them, the others close after days or weeks."""
        rng = self.rng
        days = np.where(chance(rng, 100 * 8 / 38, count), rng.integers(2, 15, count), rng.integers(15, 61, count))
        at = np.datetime64(AT.date(), "ms") + days * 86_400_000 + 10 * 3_600_000
        closes: npt.NDArray[np.datetime64] = np.where(chance(rng, 62, count), np.datetime64("NaT"), at)
        return closes

    # --- who works already ---

    def _place(self, seekers: int, posts: int, policy: Policy) -> None:
        """Women on posts that match them, one each, at those of the post's hours that are free."""
        rng, city = self.rng, self.city
        columns = Columns(city, policy)
        order = np.argsort(city.posts["district"][:posts], kind="stable")
        first = np.searchsorted(city.posts["district"][order], np.arange(len(self.shares) + 1))
        left = city.posts["seats"][:posts] - 1  # a seat stays free, or nothing would be ranked for the smallest posts
        wanted = seekers * PLACED_PERCENT // 100
        waiting = rng.permutation(seekers)[: 4 * wanted]
        found: list[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]] = []
        for _ in range(TRIES):
            district = city.seekers["district"][waiting]
            here, there = first[district], first[district + 1]
            drawn = np.minimum(here + (rng.random(len(waiting)) * (there - here)).astype(np.intp), posts - 1)
            drawn = np.where(
                chance(rng, 75, len(waiting)) & (there > here), order[drawn], rng.integers(0, posts, len(waiting))
            )
            fits = columns.matched(waiting, drawn)
            women, taken = waiting[fits], drawn[fits]
            ranks = _ranks_within(taken)
            has_seat = ranks < left[taken]
            women, taken = women[has_seat], taken[has_seat]
            left -= np.bincount(taken, minlength=posts)
            found.append((women, taken))
            waiting = np.setdiff1d(waiting, women, assume_unique=True)
            if sum(len(pair[0]) for pair in found) >= wanted:
                break
        women = np.concatenate([pair[0] for pair in found])[:wanted]
        taken = np.concatenate([pair[1] for pair in found])[:wanted]
        hours = FREE.words[city.seekers["free"][women]] & HOURS.words[city.posts["hours"][taken]]
        placed = self._new(len(women), PLACEMENT)
        placed["seeker"], placed["post"], placed["hours"] = women, taken, hours
        city.placements = placed
        city.seekers["placed_on"][women], city.seekers["busy"][women] = taken, hours
        city.posts["taken"][:posts] = np.bincount(taken, minlength=posts)
        city.shifts = self.shifts(
            np.arange(len(women)), np.datetime64(AT.date(), "D") - rng.integers(1, 29, len(women))
        )
        count_shifts(city)

    def shifts(self, placements: Ints, days: npt.NDArray[np.datetime64]) -> Table:
        """A shift of each of the placements: 92 % attended, 6 % left early, 2 % missed."""
        rng, rows = self.rng, self._new(len(placements), SHIFT)
        rows["placement"], rows["day"] = placements, days
        rows["verdict"] = weighted(rng, ((0, 92), (1, 6), (2, 2)), len(rows))
        rows["first_minute"] = rng.integers(16, 20, len(rows)) * 30
        rows["minutes"] = np.where(rows["verdict"] == 2, 0, rng.integers(150, 331, len(rows)))
        return rows


def count_shifts(city: City) -> None:
    """Write each seeker's counts of shifts anew from the shifts."""
    seekers = city.placements["seeker"][city.shifts["placement"]]
    verdict, size = city.shifts["verdict"], len(city.seekers)
    city.seekers["attended"] = np.bincount(seekers[verdict == 0], minlength=size)
    city.seekers["left_early"] = np.bincount(seekers[verdict == 1], minlength=size)
    city.seekers["shifts"] = np.bincount(seekers, minlength=size)


def _ranks_within(values: Ints) -> Ints:
    """For each value, how many of the same stand before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    starts = np.searchsorted(ordered, ordered)
    ranks = np.empty(len(values), np.int64)
    ranks[order] = np.arange(len(values)) - starts
    return ranks
