"""Long work in pieces: nothing is lost or moved, and others have their turn between two of them."""

from __future__ import annotations

from unittest.mock import Mock

from hypothesis import given
from hypothesis import strategies as st

from shared.kernel.turns import in_turns
from tests.turns import between_turns


@given(st.lists(st.integers(), max_size=40), st.integers(1, 9))
async def test_all_items_come_in_order_and_no_piece_is_too_large(items: list[int], size: int) -> None:
    pieces = [piece async for piece in in_turns(items, size)]
    assert [item for piece in pieces for item in piece] == items
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(0 < len(piece) <= size for piece in pieces)


async def test_others_have_a_turn_after_each_full_piece() -> None:
    taken = Mock(wraps=str)
    with between_turns(lambda: taken.call_count) as at_once:
        pieces = [piece async for piece in in_turns(map(taken, range(23)), 5)]
    assert [len(piece) for piece in pieces] == [5, 5, 5, 5, 3]
    assert max(at_once) == 5
