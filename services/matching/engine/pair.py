"""One pair: the score of `domain.rules.score`, bit for bit, without the parts that depend on the seeker alone.

Distances use the operations of `shared.kernel.geo.distance_m` in its order; each is one IEEE operation here too.
"""

from __future__ import annotations

import math

import numpy as np

from services.matching.domain.policy import PART_MAX
from services.matching.engine.bits import compiled, ones, woven
from services.matching.engine.layout import F64, I64, Bool, City, Int
from shared.kernel.geo import EARTH_RADIUS_M, NEAR

TIME, DISTANCE, SKILLS, PAY, FACILITIES, RELIABILITY, WAITING = range(7)
"""Places of the weights in `City.rules`; after them the city's commute limit, weeks of full waiting, list sizes."""

COMMUTE_LIMIT, WAITING_FULL, SHOWN_TOPS, SHOWN_BESTS, KEPT_TOPS, KEPT_BESTS, FILL_TOPS, FILL_BESTS = range(7, 15)

TAIL = np.uint64(0xFFFF)
NIBBLE = np.uint64(15)
NINE_BITS = np.uint64(0x1FF)
ONE = np.uint64(1)
KIND_SHIFT = np.uint64(16)
FACILITY_SHIFT = np.uint64(20)
PLACED_SHIFT = np.uint64(24)
HIGH_SHIFT = np.uint64(32)
ASKED_SHIFT = np.uint64(48)
NONE = np.uint64(0)

EXACT_FLOOR = 10**11
"""Pay floors below it, a thousand times larger, stay below 2**50."""

_wanted, _present = np.ogrid[:16, :16]
_count = np.array([bin(n).count("1") for n in range(16)])
FACILITY_SHARE: I64 = np.where(
    _wanted > 0, PART_MAX * _count[_wanted & _present] // np.maximum(_count[_wanted], 1), PART_MAX
).astype(np.int64)
"""Share of the wanted facilities (first index, four bits) that is present (second index)."""


@compiled
def metres_between(a: F64, i: Int, b: F64, j: Int) -> Int:
    """Whole metres between two unit vectors; right below 255 km, and a large number beyond."""
    dx, dy, dz = a[i, 0] - b[j, 0], a[i, 1] - b[j, 1], a[i, 2] - b[j, 2]
    half_chord = math.sqrt(dx * dx + dy * dy + dz * dz) / 2.0
    if half_chord >= NEAR:
        return 1_000_000
    square = half_chord * half_chord
    arc = half_chord * (1.0 + square * (1.0 / 6.0 + square * (3.0 / 40.0 + square * (5.0 / 112.0))))
    return np.int64(2.0 * EARTH_RADIUS_M * arc + 0.5)


@compiled
def overlap_of(city: City, s: Int, p: Int) -> Int:
    """Half hours a week that her free time shares with a post's hours."""
    a, b = city.seekers.row, city.posts.row
    return (
        ones(a[s, 0] & b[p, 0])
        + ones(a[s, 1] & b[p, 1])
        + ones(a[s, 2] & b[p, 2])
        + ones(a[s, 3] & b[p, 3])
        + ones(a[s, 4] & b[p, 4])
        + ones(a[s, 5] & b[p, 5] & TAIL)
    )


@compiled
def held_of(city: City, s: Int, p: Int) -> Int:
    """How many of the desired skills she has."""
    held = ones(city.seekers.row[s, 6] & city.posts.row[p, 7])
    more = city.seeker_more.shape[1]
    for w in range(more):
        held += ones(city.seeker_more[s, w] & city.post_more[p, more + w])
    return held


@compiled
def quotient(part: Int, whole: Int) -> Int:
    """`part // whole` of numbers from 0 to 2**50, `whole` not 0.

    A division of floats takes a tenth of the time; below 2**50 it is exact enough for the whole part to be right.
    """
    return np.int64(np.float64(part) / np.float64(whole))


@compiled
def pay_share(pay: Int, floor: Int) -> Int:
    """Share of the pay part: how far the pay lies over her floor."""
    if floor == 0 or pay - floor >= floor:
        return PART_MAX
    if floor < EXACT_FLOOR:
        return quotient(PART_MAX * (pay - floor), floor)
    return PART_MAX * (pay - floor) // floor


@woven
def time_part(city: City, p: Int, overlap: Int) -> Int:
    """Weighted share of a post's half hours that she has free; all of it where the post has no hours."""
    total = np.int64((city.posts.row[p, 5] >> HIGH_SHIFT) & NINE_BITS)
    return city.rules[TIME] * (quotient(PART_MAX * overlap, total) if total else PART_MAX)


@woven
def limit_of(city: City, s: Int) -> Int:
    """Farthest commute that counts for her, metres."""
    return min(np.int64(city.seekers.row[s, 5] >> HIGH_SHIFT), city.rules[COMMUTE_LIMIT])


@woven
def distance_part(city: City, limit: Int, metres: Int) -> Int:
    """Weighted share of her limit that is not used up."""
    return city.rules[DISTANCE] * quotient(PART_MAX * (limit - metres), limit)


@woven
def skills_part(city: City, s: Int, p: Int) -> Int:
    """Weighted share of the desired skills that she has."""
    desired = city.posts.desired[p]
    return city.rules[SKILLS] * (quotient(PART_MAX * held_of(city, s, p), desired) if desired else PART_MAX)


@woven
def pay_part(city: City, s: Int, p: Int) -> Int:
    """Weighted share of the pay above her floor."""
    return city.rules[PAY] * pay_share(city.posts.pay[p], np.int64(city.seekers.row[s, 7]))


@woven
def facilities_part(city: City, s: Int, p: Int) -> Int:
    """Weighted share of the facilities she asks for that are there."""
    wanted = np.int64((city.seekers.row[s, 5] >> FACILITY_SHIFT) & NIBBLE)
    return city.rules[FACILITIES] * FACILITY_SHARE[wanted, np.int64((city.posts.row[p, 5] >> FACILITY_SHIFT) & NIBBLE)]


@compiled
def is_free(city: City, s: Int, p: Int) -> Bool:
    """Whether her placements leave her free for a post: none is at it, none at its hours."""
    busy, row = city.seekers.busy[s], city.posts.row
    if busy < 0:
        return True
    for n in range(city.busy_posts.shape[1]):
        if city.busy_posts[busy, n] == p:
            return False
    hours = city.busy_hours
    taken = hours[busy, 0] & row[p, 0] | hours[busy, 1] & row[p, 1] | hours[busy, 2] & row[p, 2]
    taken |= hours[busy, 3] & row[p, 3] | hours[busy, 4] & row[p, 4] | hours[busy, 5] & row[p, 5] & TAIL
    return taken == NONE


@compiled
def base_of(city: City, s: Int, p: Int) -> Int:
    """Score of a pair without reliability and waiting, or -1 where a filter fails."""
    seekers, posts, rules = city.seekers, city.posts, city.rules
    a5, b5 = seekers.row[s, 5], posts.row[p, 5]
    if ((a5 & b5) >> KIND_SHIFT) & NIBBLE == NONE or posts.pay[p] < np.int64(seekers.row[s, 7]):
        return -1
    if posts.row[p, 6] & ~seekers.row[s, 6] != NONE:
        return -1
    more = city.seeker_more.shape[1]
    for w in range(more):
        if city.post_more[p, w] & ~city.seeker_more[s, w] != NONE:
            return -1
    overlap = overlap_of(city, s, p)
    if overlap * 30 < np.int64(b5 >> ASKED_SHIFT) and (b5 >> HIGH_SHIFT) & NINE_BITS != NONE:
        return -1
    if not is_free(city, s, p):
        return -1
    score = rules[DISTANCE] * PART_MAX
    if (b5 >> PLACED_SHIFT) & ONE:
        limit = limit_of(city, s)
        metres = metres_between(seekers.home, s, posts.place, p)
        if metres > limit:
            return -1
        score = distance_part(city, limit, metres)
    score += time_part(city, p, overlap) + skills_part(city, s, p)
    return score + pay_part(city, s, p) + facilities_part(city, s, p)


@compiled
def parts_of(city: City, s: Int, p: Int, out: I64) -> None:
    """The seven weighted parts of a pair that matches."""
    out[TIME] = time_part(city, p, overlap_of(city, s, p))
    out[DISTANCE] = city.rules[DISTANCE] * PART_MAX
    if (city.posts.row[p, 5] >> PLACED_SHIFT) & ONE:
        metres = metres_between(city.seekers.home, s, city.posts.place, p)
        out[DISTANCE] = distance_part(city, limit_of(city, s), metres)
    out[SKILLS] = skills_part(city, s, p)
    out[PAY] = pay_part(city, s, p)
    out[FACILITIES] = facilities_part(city, s, p)
    out[RELIABILITY] = city.seekers.reliability[s]
    out[WAITING] = city.seekers.waiting[s]
