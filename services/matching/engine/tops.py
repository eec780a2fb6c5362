"""Lists of the best, kept up one entry at a time. Places are compared by score, then by instant, then by id."""

from __future__ import annotations

from services.matching.engine.bits import compiled
from services.matching.engine.layout import I64, NO_EDGE, U64, Bool, Int, Lists


@compiled
def stands(lists: Lists, row: Int, score: Int, at: Int, key_0: Int, key_1: Int) -> Bool:
    """Whether a place comes before the edge of a list or is the edge: then, and only then, who has it is in."""
    edge = lists.edge[row]
    if score != edge:
        return score > edge
    if at != lists.edge_at[row]:
        return at < lists.edge_at[row]
    if key_0 != lists.edge_key[row, 0]:
        return key_0 < lists.edge_key[row, 0]
    return key_1 <= lists.edge_key[row, 1]


@compiled
def before(score_a: Int, a: Int, score_b: Int, b: Int, at: I64, key: U64) -> Bool:
    """Whether entry `a` comes before entry `b` of the same side."""
    if score_a != score_b:
        return score_a > score_b
    if at[a] != at[b]:
        return at[a] < at[b]
    return key[a, 0] < key[b, 0] or (key[a, 0] == key[b, 0] and key[a, 1] < key[b, 1])


@compiled
def _last_two(lists: Lists, row: Int, at: I64, key: U64) -> tuple[Int, Int]:
    """Where the last entry of a list and the one before it stand; -1 for what there is not."""
    last, second = -1, -1
    for n in range(lists.count[row]):
        slot, score = lists.slot[row, n], lists.score[row, n]
        if second >= 0 and before(score, slot, lists.score[row, second], lists.slot[row, second], at, key):
            continue
        if last >= 0 and before(score, slot, lists.score[row, last], lists.slot[row, last], at, key):
            second = n
        else:
            second, last = last, n
    return last, second


@compiled
def _end_at(lists: Lists, row: Int, n: Int, at: I64, key: U64) -> None:
    """Make an entry the edge."""
    slot = lists.slot[row, n]
    lists.edge[row] = lists.score[row, n]
    lists.edge_at[row] = at[slot]
    lists.edge_key[row, 0] = key[slot, 0]
    lists.edge_key[row, 1] = key[slot, 1]


@compiled
def end_at_last(lists: Lists, row: Int, at: I64, key: U64) -> None:
    """Make the last entry of a list that is not empty the edge."""
    last, _ = _last_two(lists, row, at, key)
    _end_at(lists, row, last, at, key)


@compiled
def put(lists: Lists, row: Int, slot: Int, score: Int, at: I64, key: U64, kept: Int) -> None:
    """Put an entry that `stands` into a list; from a full one the worst falls out, and the next worst is the edge.

    Args:
        at, key: instants and ids of the entries' side, by slot.
        kept: how many entries make it full.
    """
    count = lists.count[row]
    if count < kept:
        lists.slot[row, count] = slot
        lists.score[row, count] = score
        lists.count[row] = count + 1
        return
    last, second = _last_two(lists, row, at, key)
    if before(score, slot, lists.score[row, last], lists.slot[row, last], at, key):
        lists.slot[row, last] = slot
        lists.score[row, last] = score
        if second >= 0 and before(score, slot, lists.score[row, second], lists.slot[row, second], at, key):
            last = second
    _end_at(lists, row, last, at, key)


@compiled
def place_of(lists: Lists, row: Int, slot: Int) -> Int:
    """Where in a list a slot stands, or -1."""
    for n in range(lists.count[row]):
        if lists.slot[row, n] == slot:
            return n
    return -1


@compiled
def remove(lists: Lists, row: Int, slot: Int) -> Bool:
    """Take a slot out of a list; says whether it was in."""
    place = place_of(lists, row, slot)
    if place < 0:
        return False
    last = lists.count[row] - 1
    lists.slot[row, place] = lists.slot[row, last]
    lists.score[row, place] = lists.score[row, last]
    lists.count[row] = last
    return True


@compiled
def clear(lists: Lists, row: Int) -> None:
    """Empty a list: everyone stands."""
    lists.count[row] = 0
    lists.edge[row] = NO_EDGE


@compiled
def in_order(lists: Lists, row: Int, at: I64, key: U64, slots: I64, scores: I64) -> Int:
    """Write the best of a list, best first, into `slots` and `scores` as far as they reach; answers how many."""
    limit = slots.shape[0]
    kept = 0
    for n in range(lists.count[row]):
        slot, score = lists.slot[row, n], lists.score[row, n]
        if kept == limit:
            if not before(score, slot, scores[kept - 1], slots[kept - 1], at, key):
                continue
            place = kept - 1
        else:
            place = kept
            kept += 1
        while place > 0 and before(score, slot, scores[place - 1], slots[place - 1], at, key):
            slots[place] = slots[place - 1]
            scores[place] = scores[place - 1]
            place -= 1
        slots[place] = slot
        scores[place] = score
    return kept
