"""The compiled pieces that ask many numbers at once, against asking one after the other."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from services.matching.engine import layout
from services.matching.engine.bits import lowest, not_negative
from services.matching.engine.layout import BESTS_MAX, BLOCK, F32, I32, TOPS_MAX
from services.matching.engine.tops import place_in_best, place_in_top

few = st.integers(-1, 3)


@given(arrays(np.float32, BLOCK, elements=st.floats(-2, 2, width=32)), st.integers(1, BLOCK))
def test_rows_that_bounds_leave_are_those_not_negative(bounds: F32, used: int) -> None:
    left = int(not_negative(bounds, used))
    assert [left >> i & 1 for i in range(BLOCK)] == [int(bound >= 0 and i < used) for i, bound in enumerate(bounds)]


@given(st.integers(1, 2**64 - 1))
def test_the_lowest_bit(word: int) -> None:
    assert lowest(np.uint64(word)) == (word & -word).bit_length() - 1


@given(arrays(np.int32, TOPS_MAX, elements=few), st.integers(0, TOPS_MAX), few)
def test_a_place_in_a_posts_list_is_among_its_members(slots: I32, count: int, wanted: int) -> None:
    tops = layout.lists(layout.TOP, 2)
    tops.slot[1], tops.count[1] = slots, count
    members = slots[:count].tolist()
    assert place_in_top(tops, 1, wanted) == (members.index(wanted) if wanted in members else -1)


@given(arrays(np.int32, BESTS_MAX, elements=few), st.integers(0, BESTS_MAX), few)
def test_a_place_in_a_seekers_list_is_among_its_members(slots: I32, count: int, wanted: int) -> None:
    bests = layout.lists(layout.BEST, 2)
    bests.slot[1], bests.count[1] = slots, count
    members = slots[:count].tolist()
    assert place_in_best(bests, 1, wanted) == (members.index(wanted) if wanted in members else -1)
