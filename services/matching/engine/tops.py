"""Lists of the best, kept up one entry at a time. Places are compared by score, then by instant, then by id."""

from __future__ import annotations

from services.matching.engine.bits import compiled
from services.matching.engine.layout import I64, U64, Bool, Int, Lists


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
def _worst(lists: Lists, row: Int, at: I64, key: U64) -> Int:
    worst = 0
    score = lists.score[row, 0]
    for n in range(1, lists.count[row]):
        other = lists.score[row, n]
        if other > score:
            continue
        if other == score:
            a, b = lists.slot[row, worst], lists.slot[row, n]
            if at[b] < at[a]:
                continue
            if at[b] == at[a] and (key[b, 0] < key[a, 0] or (key[b, 0] == key[a, 0] and key[b, 1] < key[a, 1])):
                continue
        worst, score = n, other
    return worst


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
    worst = _worst(lists, row, at, key)
    other = lists.slot[row, worst]
    floor = lists.score[row, worst]
    better = score > floor
    if score == floor:
        better = at[slot] < at[other] or (
            at[slot] == at[other]
            and (key[slot, 0] < key[other, 0] or (key[slot, 0] == key[other, 0] and key[slot, 1] < key[other, 1]))
        )
    if better:
        lists.slot[row, worst] = slot
        lists.score[row, worst] = score
        worst = _worst(lists, row, at, key)
        other = lists.slot[row, worst]
    lists.edge[row] = lists.score[row, worst]
    lists.edge_at[row] = at[other]
    lists.edge_key[row, 0] = key[other, 0]
    lists.edge_key[row, 1] = key[other, 1]


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
def clear(lists: Lists, row: Int, edge: Int) -> None:
    """Empty a list; with `NO_EDGE` everyone stands, with `UNBUILT` nobody."""
    lists.count[row] = 0
    lists.edge[row] = edge


@compiled
def before(score_a: Int, a: Int, score_b: Int, b: Int, at: I64, key: U64) -> Bool:
    """Whether entry `a` comes before entry `b` of the same side."""
    if score_a != score_b:
        return score_a > score_b
    if at[a] != at[b]:
        return at[a] < at[b]
    return key[a, 0] < key[b, 0] or (key[a, 0] == key[b, 0] and key[a, 1] < key[b, 1])


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
