"""Scores from a city's tables with NumPy, one against many or pair by pair: the oracle of the benchmark, and the
reference that scans without lists.

Written from the rules in `services.matching.domain`, not from the engine; checked against those rules on samples.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.matching.geometry import metres
from bench.matching.patterns import FREE, HOURS, KINDS
from bench.matching.tables import AT, City, Table
from services.matching.domain import Policy
from services.matching.domain.policy import PART_MAX
from services.matching.domain.rules import RELIABILITY_PRIOR
from shared.kernel.clock import civil_day
from shared.kernel.week import SLOT_MINUTES

Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Index = npt.NDArray[np.intp]
Column = npt.NDArray[Any]

FACILITY_COUNT = 4
WEEK_MS = 7 * 86_400_000

_KIND_BITS = np.array([1 << kind for kind in range(len(KINDS))], np.uint8)
_wanted, _present = np.ogrid[: 1 << FACILITY_COUNT, : 1 << FACILITY_COUNT]
_SHARED = np.bitwise_count(_wanted & _present).astype(np.int64)
_WANTED = np.bitwise_count(_wanted).astype(np.int64)
FACILITY_SHARE: Ints = np.where(_WANTED > 0, PART_MAX * _SHARED // np.maximum(_WANTED, 1), PART_MAX)
"""Share of the wanted facilities (first index) that is present (second index)."""


class Columns:
    """What the rules look at, one contiguous array each; a row of a table is a place in every array of its side.

    A seeker or post that cannot be ranked has no kind.
    """

    def __init__(self, city: City, policy: Policy, at: datetime = AT) -> None:
        self.policy = policy
        self.at_ms = np.datetime64(at.replace(tzinfo=None), "ms").astype(np.int64)
        self.day = np.datetime64(civil_day(at))
        n, m = len(city.seekers), len(city.posts)
        self.kinds = np.zeros(n, np.uint8)
        self.floor, self.limit = np.zeros(n, np.int32), np.ones(n, np.int32)
        self.skills, self.wanted = np.zeros(n, np.uint32), np.zeros(n, np.uint8)
        self.home = np.zeros((3, n))
        self.free, self.busy = np.zeros((6, n), np.uint64), np.zeros((6, n), np.uint64)
        self.placed_on, self.steady = np.full(n, -1, np.int32), np.zeros(n, np.int32)
        self.registered, self.seeker_key = np.zeros(n, np.int64), np.zeros((2, n), np.uint64)
        self.put_seekers(slice(0, n), city.seekers)

        self.kind, self.pay = np.zeros(m, np.uint8), np.zeros(m, np.int32)
        self.required, self.desired = np.zeros(m, np.uint32), np.zeros(m, np.uint32)
        self.place, self.located = np.zeros((3, m)), np.zeros(m, np.bool_)
        self.hours, self.minutes = np.zeros((6, m), np.uint64), np.zeros(m, np.int32)
        self.asked, self.offered = np.zeros(m, np.int32), np.zeros(m, np.uint8)
        self.opened, self.post_key = np.zeros(m, np.int64), np.zeros((2, m), np.uint64)
        self.put_posts(slice(0, m), city.posts, city.stations)

    def put_seekers(self, at: Any, rows: Table) -> None:
        """Write seekers anew from rows of the table; `at` is a slice or an index."""
        there = rows["alive"] & (rows["eligible_until"] >= self.day)
        self.kinds[at] = np.where(there, rows["kinds"], 0)
        self.floor[at] = rows["pay_floor_fen"]
        self.limit[at] = np.minimum(rows["commute_km"] * 1000, self.policy.limits.commute_max_m)
        self.skills[at], self.wanted[at] = rows["skills"], rows["facilities"]
        for axis, name in enumerate("xyz"):
            self.home[axis, at] = rows[name]
        self.free[:, at] = FREE.words[rows["free"]].T
        self.busy[:, at] = rows["busy"].T
        self.placed_on[at] = rows["placed_on"]
        self.registered[at] = rows["registered_at"].astype("M8[ms]").astype(np.int64)
        self.seeker_key[:, at] = _key_words(rows)
        self.put_steady(at, rows)

    def put_steady(self, at: Any, rows: Table) -> None:
        """Write the parts of seekers that no post changes: reliability and waiting."""
        plus, base = RELIABILITY_PRIOR
        weights, full = self.policy.weights, self.policy.limits.waiting_full_weeks
        reliable = PART_MAX * (2 * rows["attended"] + rows["left_early"] + plus) // (2 * rows["shifts"] + base)
        weeks = np.maximum((self.at_ms - rows["registered_at"].astype("M8[ms]").astype(np.int64)) // WEEK_MS, 0)
        self.steady[at] = weights.reliability * reliable + weights.waiting * (
            PART_MAX * np.minimum(weeks, full) // full
        )

    def put_posts(self, at: Any, rows: Table, stations: Table) -> None:
        """Write posts anew from rows of the table."""
        at_station = rows["station"] >= 0
        station = stations[np.maximum(rows["station"], 0)]
        closes = rows["closes_at"].astype("M8[ms]")
        is_open = np.isnat(closes) | (closes.astype(np.int64) > self.at_ms)
        there = rows["alive"] & is_open & (rows["taken"] < rows["seats"]) & (~at_station | station["accepted"])
        self.kind[at] = np.where(there, _KIND_BITS[rows["kind"]], 0)
        self.pay[at], self.required[at], self.desired[at] = rows["pay_fen"], rows["required"], rows["desired"]
        self.located[at] = rows["located"]
        for axis, name in enumerate("xyz"):
            self.place[axis, at] = rows[name]
        self.hours[:, at] = HOURS.words[rows["hours"]].T
        self.minutes[at] = HOURS.minutes[rows["hours"]]
        self.asked[at] = np.where(rows["hours"] > 0, rows["min_minutes"], 0)
        self.offered[at] = rows["facilities"] | np.where(at_station, station["facilities"], 0)
        self.opened[at] = rows["opened_at"].astype("M8[ms]").astype(np.int64)
        self.post_key[:, at] = _key_words(rows)

    # --- one against many ---

    def seekers_for(self, post: int) -> tuple[Index, Ints]:
        """Rows and scores of all seekers that a post matches."""
        if not self.kind[post]:
            return np.empty(0, np.intp), np.empty(0, np.int64)
        keep = (self.kinds & self.kind[post]) != 0
        keep &= self.floor <= self.pay[post]
        if needed := self.required[post]:
            keep &= (self.skills & needed) == needed
        rows = np.flatnonzero(keep)
        return self._scored(rows, np.array([post]), rows)

    def posts_for(self, seeker: int) -> tuple[Index, Ints]:
        """Rows and scores of all posts that a seeker matches."""
        if not self.kinds[seeker]:
            return np.empty(0, np.intp), np.empty(0, np.int64)
        keep = (self.kind & self.kinds[seeker]) != 0
        keep &= self.pay >= self.floor[seeker]
        keep &= (self.required & ~self.skills[seeker]) == 0
        rows = np.flatnonzero(keep)
        return self._scored(np.array([seeker]), rows, rows)

    def matched(self, seekers: Index, posts: Index) -> Bools:
        """Of pairs, side by side, which match."""
        keep = (self.kinds[seekers] & self.kind[posts]) != 0
        keep &= self.floor[seekers] <= self.pay[posts]
        keep &= (self.required[posts] & ~self.skills[seekers]) == 0
        found: Bools = np.zeros(len(keep), np.bool_)
        places = np.flatnonzero(keep)
        found[self._scored(seekers[places], posts[places], places)[0]] = True
        return found

    def _scored(self, s: Index, p: Index, rows: Index) -> tuple[Index, Ints]:
        """Those of the pairs that pass the filters of distance, hours and placement, with their scores.

        One side may hold a single entity that stands in every pair; `rows` names each pair in the answer.
        """
        located = self.located[p]
        away = np.zeros(len(rows), np.int64)
        limit = self.limit[s].astype(np.int64)
        if located.any():
            chord = (self.home[axis, s] - self.place[axis, p] for axis in range(3))
            away = np.where(located, metres(*chord), 0)
        keep = (away <= limit) & (self.placed_on[s] != p)
        s, p, rows, away = _narrow(s, keep), _narrow(p, keep), rows[keep], away[keep]
        slots, clash = np.zeros(len(rows), np.int64), np.zeros(len(rows), np.uint64)
        if self.minutes[p].any():
            for hours, free, busy in zip(self.hours, self.free, self.busy, strict=True):
                asked = hours[p]
                slots += np.bitwise_count(free[s] & asked)
                clash |= busy[s] & asked
        overlap = slots * SLOT_MINUTES
        keep = (overlap >= self.asked[p]) & (clash == 0)
        s, p, rows, away, overlap = _narrow(s, keep), _narrow(p, keep), rows[keep], away[keep], overlap[keep]
        return rows, self._total(s, p, away, overlap)

    def _total(self, s: Index, p: Index, away: Ints, overlap: Ints) -> Ints:
        w = self.policy.weights
        limit, floor = self.limit[s].astype(np.int64), self.floor[s].astype(np.int64)
        total: Ints = self.steady[s] + w.time_fit * _share(overlap, self.minutes[p].astype(np.int64))
        total = total + w.distance * np.where(self.located[p], PART_MAX * (limit - away) // limit, PART_MAX)
        held = np.bitwise_count(self.desired[p] & self.skills[s]).astype(np.int64)
        total += w.skills * _share(held, np.bitwise_count(self.desired[p]).astype(np.int64))
        total += w.pay * np.minimum(_share(self.pay[p] - floor, floor), PART_MAX)
        total += w.facilities * FACILITY_SHARE[self.wanted[s], self.offered[p]]
        return total


def _narrow(side: Index, keep: Bools) -> Index:
    return side[keep] if len(side) == len(keep) and len(side) != 1 else side


def _share(part: Ints, whole: Ints) -> Ints:
    """`1000 * part // whole`, and 1000 where there is no whole."""
    share: Ints = np.where(whole > 0, PART_MAX * part // np.maximum(whole, 1), PART_MAX)
    return share


def _key_words(rows: Table) -> Any:
    """Keys as two numbers that sort as the ids do."""
    words = np.ascontiguousarray(rows["key"]).view(">u8").astype(np.uint64)
    return words.T if words.ndim == 2 else words


def top(found: Index, scores: Ints, since: Ints, key: npt.NDArray[np.uint64], limit: int) -> list[tuple[int, int]]:
    """The best of what was found as `(row, score)`: higher score, then earlier, then id.

    Args:
        since: by row, the instant that decides ties.
        key: by row, both words of the key.
    """
    if len(scores) > limit:
        least = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        keep = scores >= least
        found, scores = found[keep], scores[keep]
    order = np.lexsort((key[1, found], key[0, found], since[found], -scores))[:limit]
    return list(zip(found[order].tolist(), scores[order].tolist(), strict=True))
