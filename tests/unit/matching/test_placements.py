"""Placements in columns say what a plain dictionary of them would, also after a copy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.matching.engine.placements import Placed, Placements
from services.matching.engine.staging import key_of
from tests.unit.matching.wire import id_of

SEEKERS, POSTS = 300, 5  # more seekers than a new city has rows for

_placed = st.one_of(
    st.none(), st.builds(Placed, st.integers(0, SEEKERS), st.integers(0, POSTS), st.sampled_from([0, 1, 2**335]))
)
_steps = st.lists(st.tuples(st.integers(1, 12), _placed), max_size=60)


def _key(number: int) -> tuple[int, int]:
    return key_of(id_of("plc", number), "plc-")


@given(steps=_steps, copied_after=st.integers(0, 60))
def test_placements_are_those_of_a_dictionary(steps: list[tuple[int, Placed | None]], copied_after: int) -> None:
    columns = Placements()
    held: dict[int, tuple[int, Placed | None]] = {}
    for count, (number, placed) in enumerate(steps):
        if count == copied_after:
            copy = Placements()
            copy.restore(columns.dump().copy(), columns.masks)
            columns = copy
        version = held.get(number, (0, None))[0] + 1
        held[number] = (version, placed)
        columns.put(_key(number), version, placed)
    assert len(columns) == len(held)
    assert sorted(columns.ids()) == sorted(id_of("plc", number) for number, (_, placed) in held.items() if placed)
    for number in range(1, 14):
        version, placed = held.get(number, (0, None))
        assert (columns.version_of(_key(number)), columns.at(_key(number))) == (version, placed)
    for seeker in range(SEEKERS + 2):
        hers = [placed for _, placed in held.values() if placed is not None and placed.seeker == seeker]
        assert sorted(columns.of(seeker)) == sorted(hers)


def test_many_placements_find_room() -> None:
    columns = Placements()
    for number in range(1, 2001):
        columns.put(_key(number), 1, Placed(number % 7, number, number))
    assert [placed.post for placed in columns.of(3)] == [number for number in range(2000, 0, -1) if number % 7 == 3]
    assert columns.at(_key(1999)) == Placed(1999 % 7, 1999, 1999)
