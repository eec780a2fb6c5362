"""Lists as a reader sees them: in order, and with the parts of each score."""

from __future__ import annotations

from services.matching.engine.bits import compiled
from services.matching.engine.layout import I64, SEEKERS, City, Int
from services.matching.engine.pair import base_of, parts_of
from services.matching.engine.tops import before, in_order


@compiled
def read_top(city: City, p: Int, slots: I64, scores: I64, parts: I64) -> Int:
    """The best seekers of a post, best first, as rows, scores and parts; answers how many."""
    count = in_order(city.tops, p, city.seekers.at, city.seekers.key, slots, scores)
    for n in range(count):
        parts_of(city, slots[n], p, parts[n])
    return count


@compiled
def read_all(city: City, p: Int, slots: I64, scores: I64, parts: I64) -> Int:
    """As `read_top` beyond the places that are kept: every seeker who matches; answers how many of `parts` it wrote."""
    count = 0
    if city.posts.where[p] < 0:
        return 0
    for s in range(city.work.counts[SEEKERS]):
        if city.seekers.where[s] < 0:
            continue
        base = base_of(city, s, p)
        if base >= 0:
            slots[count] = s
            scores[count] = base + city.seekers.reliability[s] + city.seekers.waiting[s]
            count += 1
    at, key = city.seekers.at, city.seekers.key
    shown = min(count, parts.shape[0])
    for n in range(shown):
        best = n
        for m in range(n + 1, count):
            if before(scores[m], slots[m], scores[best], slots[best], at, key):
                best = m
        slots[n], slots[best] = slots[best], slots[n]
        scores[n], scores[best] = scores[best], scores[n]
        parts_of(city, slots[n], p, parts[n])
    return shown


@compiled
def read_best(city: City, s: Int, slots: I64, scores: I64, parts: I64) -> Int:
    """The best posts of a seeker, best first, as rows, scores and parts; answers how many."""
    count = in_order(city.bests, s, city.posts.at, city.posts.key, slots, scores)
    for n in range(count):
        scores[n] += city.seekers.reliability[s] + city.seekers.waiting[s]
        parts_of(city, s, slots[n], parts[n])
    return count
