"""Lists as a reader sees them: in order, and with the parts of each score."""

from __future__ import annotations

import numpy as np

from services.matching.domain.policy import PART_MAX
from services.matching.engine.bits import compiled, lowest
from services.matching.engine.bounds import F0, F1, NOBODY, least_of
from services.matching.engine.layout import I64, SLOT, STEADY, WEEK, City, Int
from services.matching.engine.pair import ONE, TIME, base_of, parts_of
from services.matching.engine.sweep import PATTERN, matching_in, terms_of
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
    terms, time, least = terms_of(city, p), np.float32(rules[TIME] * PART_MAX), least_of(city, p)
    wage, far, last = max(np.float32(posts.pay[p]), F1), np.float32(NOBODY), F0
    out, covered, count, most = city.work.bound, city.covered[posts.pattern[p]], 0, parts.shape[0]
    for block in range(ix.meta[0]):
        left = matching_in(city, block, terms, wage, last, far)
        hot, codes = ix.hot[block], ix.codes[block]
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
