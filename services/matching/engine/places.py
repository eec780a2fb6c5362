"""Lists as a reader sees them: in order, and with the parts of each score."""

from __future__ import annotations

from services.matching.engine.bits import compiled
from services.matching.engine.layout import I64, SEEKERS, City, Int
from services.matching.engine.pair import base_of, parts_of
from services.matching.engine.tops import sort
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
    """As `read_top` beyond the places that are kept: every seeker who matches; answers how many of `parts` it wrote."""
    count = 0
    if city.posts.where[p] < 0:
        return 0
    for s in range(city.work.counts[SEEKERS]):
        if city.seekers.where[s] < 0:
            continue
        score = total_of(city, s, p)
        if score >= 0:
            slots[count] = s
            scores[count] = score
            count += 1
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
