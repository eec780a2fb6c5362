"""Kept lists: what is cut off, and where the edge then is."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from services.matching.engine import layout
from services.matching.engine.layout import NO_EDGE, POOL
from services.matching.engine.tops import fill, gather, stands

MOST, KEPT = 5, 3
ROW = 0

entries = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 2)), max_size=3 * POOL)
"""Scores, instants and upper halves of ids: few of each, so that ties are many."""


@given(entries)
def test_a_list_holds_the_best_of_all_who_were_offered(offered: list[tuple[int, int, int]]) -> None:
    work, lists = layout.work(1, 1), layout.lists(layout.BEST, 1)
    at = np.array([instant for _, instant, _ in offered], np.int64)
    key = np.array([(high, number) for number, (_, _, high) in enumerate(offered)], np.uint64).reshape(-1, 2)
    for slot, (score, _, _) in enumerate(offered):
        if stands(lists, ROW, slot, score, at, key):
            gather(lists, ROW, work.own, slot, score, at, key, KEPT)
    fill(lists, ROW, work.own, at, key, KEPT, MOST)

    order = sorted(range(len(offered)), key=lambda slot: (-offered[slot][0], *offered[slot][1:], slot))
    held = lists.slot[ROW, : lists.count[ROW]].tolist()
    assert set(held) == set(order[: len(held)])
    assert len(held) >= min(KEPT, len(offered))
    assert len(held) <= MOST
    for slot, (score, _, _) in enumerate(offered):
        assert stands(lists, ROW, slot, score, at, key) == (slot in held)
    assert (lists.edge[ROW] == NO_EDGE) == (len(held) == len(offered))
    assert work.own.used[0] == 0
