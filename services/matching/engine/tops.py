"""Lists of the best: who is in, unsorted, and the edge; scores are looked up where an order is needed.

Places are compared by score, then by instant, then by id.
"""

from __future__ import annotations

import numpy as np

from services.matching.engine.bits import alike_32, alike_64, compiled, lowest
from services.matching.engine.layout import I32, I64, NO_EDGE, POOL, U64, Bool, Int, Lists, Pool
from services.matching.engine.pair import NONE


@compiled
def before(score_a: Int, a: Int, score_b: Int, b: Int, at: I64, key: U64) -> Bool:
    """Whether entry `a` comes before entry `b` of the same side."""
    if score_a != score_b:
        return score_a > score_b
    if at[a] != at[b]:
        return at[a] < at[b]
    return key[a, 0] < key[b, 0] or (key[a, 0] == key[b, 0] and key[a, 1] < key[b, 1])


@compiled
def stands(lists: Lists, row: Int, slot: Int, score: Int, at: I64, key: U64) -> Bool:
    """Whether an entry comes before the edge of a list or is the edge: then, and only then, it is in."""
    edge = lists.edge[row]
    if score != edge:
        return score > edge
    if at[slot] != lists.edge_at[row]:
        return at[slot] < lists.edge_at[row]
    last = lists.edge_slot[row]
    if key[slot, 0] != key[last, 0]:
        return key[slot, 0] < key[last, 0]
    return key[slot, 1] <= key[last, 1]


@compiled
def _swap(slots: I32 | I64, scores: I64, i: Int, j: Int) -> None:
    slots[i], slots[j] = slots[j], slots[i]
    scores[i], scores[j] = scores[j], scores[i]


@compiled
def select(slots: I32 | I64, scores: I64, count: Int, kept: Int, at: I64, key: U64) -> None:
    """Bring the best `kept` of more entries to the front, the last of them at its end, the others in no order."""
    low, high = 0, count - 1
    while low < high:
        _swap(slots, scores, (low + high) // 2, high)
        place = low
        for i in range(low, high):
            if before(scores[i], slots[i], scores[high], slots[high], at, key):
                _swap(slots, scores, i, place)
                place += 1
        _swap(slots, scores, place, high)
        if place >= kept - 1:
            high = place - 1
        if place <= kept - 1:
            low = place + 1


@compiled
def cut(pool: Pool, kept: Int, at: I64, key: U64) -> None:
    """Leave only the best `kept` of a pool that holds more, the last of them at its end."""
    select(pool.slot, pool.score, pool.used[0], kept, at, key)
    pool.used[0] = kept


@compiled
def end_at_last(lists: Lists, row: Int, pool: Pool, at: I64) -> None:
    """Make the entry at the end of a pool the edge of a list."""
    last = pool.used[0] - 1
    lists.edge[row] = pool.score[last]
    lists.edge_slot[row] = pool.slot[last]
    lists.edge_at[row] = at[pool.slot[last]]


@compiled
def gather(lists: Lists, row: Int, pool: Pool, slot: Int, score: Int, at: I64, key: U64, kept: Int) -> None:
    """Put an entry that `stands` into the pool of a list; from a full one the worst fall out, and the edge rises."""
    pool.slot[pool.used[0]] = slot
    pool.score[pool.used[0]] = score
    pool.used[0] += 1
    if pool.used[0] == POOL:
        cut(pool, kept, at, key)
        end_at_last(lists, row, pool, at)


@compiled
def fill(lists: Lists, row: Int, pool: Pool, at: I64, key: U64, kept: Int, most: Int) -> None:
    """Make a list of its pool, which is empty then: the best `kept` where there are more than `most`."""
    if pool.used[0] > most:
        cut(pool, kept, at, key)
        end_at_last(lists, row, pool, at)
    for n in range(pool.used[0]):
        lists.slot[row, n] = pool.slot[n]
    lists.count[row] = pool.used[0]
    pool.used[0] = 0


@compiled
def place_in_top(tops: Lists, row: Int, slot: Int) -> Int:
    """Where in a post's list a seeker stands, or -1."""
    return _lowest_below(alike_64(tops.slot[row], np.int32(slot)), tops.count[row])


@compiled
def place_in_best(bests: Lists, row: Int, slot: Int) -> Int:
    """Where in a seeker's list a post stands, or -1."""
    return _lowest_below(alike_32(bests.slot[row], np.int32(slot)), bests.count[row])


@compiled
def _lowest_below(word: Int, count: Int) -> Int:
    """Number of the lowest bit that is set, or -1 where it is not among the first `count`."""
    if word == NONE:
        return -1
    place = lowest(word)
    return place if place < count else -1


@compiled
def remove(lists: Lists, row: Int, place: Int) -> None:
    """Take the entry at a place out of a list."""
    last = lists.count[row] - 1
    lists.slot[row, place] = lists.slot[row, last]
    lists.count[row] = last


@compiled
def clear(lists: Lists, row: Int) -> None:
    """Empty a list: everyone stands."""
    lists.count[row] = 0
    lists.edge[row] = NO_EDGE


@compiled
def sort(slots: I32 | I64, scores: I64, count: Int, limit: Int, at: I64, key: U64) -> Int:
    """Bring the best of some entries to the front, best first; answers how many, at most `limit`."""
    shown = min(count, limit)
    for n in range(shown):
        best = n
        for m in range(n + 1, count):
            if before(scores[m], slots[m], scores[best], slots[best], at, key):
                best = m
        slots[n], slots[best] = slots[best], slots[n]
        scores[n], scores[best] = scores[best], scores[n]
    return shown
