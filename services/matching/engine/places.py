"""Lists as a reader sees them: in order, and with the parts of each score."""

from __future__ import annotations

import numpy as np

from services.matching.domain.policy import PART_MAX
from services.matching.engine.bits import compiled, lowest, not_negative
from services.matching.engine.bounds import (
    F0,
    F1,
    LOW_WORD,
    NOBODY,
    bound_seekers,
    is_near,
    least_of,
    per_desire_of,
    rest_of,
)
from services.matching.engine.layout import I64, SLOT, STEADY, WEEK, City, Int
from services.matching.engine.pair import (
    DISTANCE,
    KIND_SHIFT,
    NIBBLE,
    NONE,
    ONE,
    PAY,
    PLACED_SHIFT,
    SKILLS,
    TIME,
    base_of,
    parts_of,
)
from services.matching.engine.sweep import PATTERN
from services.matching.engine.tops import select, sort
from services.matching.engine.upkeep import total_of


@compiled
def _show(city: City, p: Int, slots: I64, scores: I64, count: Int, parts: I64) -> Int:
    """Order seekers who match a post, as far as `parts` reach; answers how many."""
    shown = sort(slots, scores, count, parts.shape[0], city.seekers.at, city.seekers.key)
    for n in range(shown):
        parts_of(city, slots[n], p, parts[n])
    return shown


@compiled
def read_top(city: City, p: Int, slots: I64, scores: I64, parts: I64) -> Int:
    """The best seekers of a post, best first, as rows, scores and parts; answers how many: what `parts` has room for.

    `slots` and `scores` have room for all that are kept.
    """
    for n in range(city.tops.count[p]):
        slots[n] = city.tops.slot[p, n]
        scores[n] = total_of(city, slots[n], p)
    return _show(city, p, slots, scores, city.tops.count[p], parts)


@compiled
def read_all(city: City, p: Int, slots: I64, scores: I64, parts: I64) -> Int:
    """As `read_top` beyond the places that are kept, of every seeker who matches; answers how many of `parts` it wrote.

    Bounds leave most of a city out, as in `sweep.sweep_post`, the more so once there are as many as `parts` has room
    for. `slots` and `scores` have room for twice as many, so that the worst of them are seldom left out.
    """
    posts, seekers, rules, ix = city.posts, city.seekers, city.rules, city.seeker_index
    if posts.where[p] < 0:
        return 0
    b5 = posts.row[p, 5]
    kind = np.int64((b5 >> KIND_SHIFT) & NIBBLE)
    placed = F0 if (b5 >> PLACED_SHIFT) & ONE == NONE else F1
    x, y, z = np.float32(posts.place[p, 0]), np.float32(posts.place[p, 1]), np.float32(posts.place[p, 2])
    least, wage = least_of(city, p), max(np.float32(posts.pay[p]), F1)
    required, desired = np.uint32(posts.row[p, 6] & LOW_WORD), np.uint32(posts.row[p, 7] & LOW_WORD)
    rest, time = rest_of(city), np.float32(rules[TIME] * PART_MAX)
    distance, pay = np.float32(rules[DISTANCE] * PART_MAX), np.float32(rules[PAY] * PART_MAX)
    skilled = np.float32(rules[SKILLS] * PART_MAX) * per_desire_of(city, p)
    out, away, covered = city.work.bound, city.work.away, city.covered[posts.pattern[p]]
    far, last, count, most = np.float32(NOBODY), F0, 0, parts.shape[0]
    for block in range(ix.meta[0]):
        used = ix.blocks.used[block]
        if not used or not ix.blocks.kinds[block] & kind or not (placed == F0 or is_near(ix, block, x, y, z, F0)):
            continue
        hot, codes = ix.hot[block], ix.codes[block]
        bound_seekers(
            hot, codes, placed, x, y, z, wage, required, desired, rest, distance, pay, skilled, last, far, out, away
        )
        left = not_negative(out, used)
        while left:
            i = lowest(left)
            left &= left - ONE
            fit = covered[codes[WEEK, i] & PATTERN]
            if fit < least or out[i] - (F1 - fit) * time + hot[STEADY, i] < last:
                continue
            s = np.int64(codes[SLOT, i])
            score = total_of(city, s, p)
            if score < 0:
                continue
            slots[count] = s
            scores[count] = score
            count += 1
            if count == slots.shape[0]:
                select(slots, scores, count, most, seekers.at, seekers.key)
                count, last = most, np.float32(scores[most - 1])
    if count > most:
        select(slots, scores, count, most, seekers.at, seekers.key)
        count = most
    return _show(city, p, slots, scores, count, parts)


@compiled
def read_best(city: City, s: Int, slots: I64, scores: I64, parts: I64) -> Int:
    """The best posts of a seeker, as `read_top`."""
    count = city.bests.count[s]
    for n in range(count):
        slots[n] = city.bests.slot[s, n]
        scores[n] = base_of(city, s, slots[n])
    shown = sort(slots, scores, count, parts.shape[0], city.posts.at, city.posts.key)
    for n in range(shown):
        scores[n] += city.seekers.reliability[s] + city.seekers.waiting[s]
        parts_of(city, s, slots[n], parts[n])
    return shown
