"""Room for a city to grow: arrays made larger, indexes made anew with cells that suit the density."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt

from services.matching.engine import layout
from services.matching.engine.bits import count_new
from services.matching.engine.layout import BLOCK, F64, I32, U64, Array, Index, Posts, Seekers
from shared.kernel.geo import EARTH_RADIUS_M

START = 256
"""Rows of a new city."""

CELLS_M = (500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000)
SEEKERS_A_CELL = 4_000
POSTS_A_CELL = 250
"""So many that most blocks of a cell are full: seekers come in some forty sorts (kinds and reach), posts in a few."""

SAMPLE = 20_000
"""Rows that a density is judged by."""


def larger(rows: int, least: int) -> int:
    """Rows to have instead of `rows`: a quarter more, so that growing costs little on average and little lies idle."""
    return max(rows + rows // 4, least)


def enlarged(old: Array, new: Array, rows: int) -> Array:
    """`new` with the first rows of `old`."""
    cast(npt.NDArray[np.void], new)[:rows] = cast(npt.NDArray[np.void], old)[:rows]
    return new


def wider(old: U64, rows: int, words: int, parts: int) -> U64:
    """Further words of skills, `words` a part: those that are required stand before those desired."""
    new: U64 = np.zeros((rows, words * parts), np.uint64)
    had = old.shape[1] // parts
    for part in range(parts):
        new[: len(old), part * words : part * words + had] = old[:rows, part * had : part * had + had]
    return new


def power_of_two(least: int) -> int:
    """The smallest power of two that is not smaller."""
    return 1 << max(least - 1, 1).bit_length()


def table(rows: int) -> I32:
    """An empty table of keys for so many rows, at most half full."""
    return np.zeros(power_of_two(2 * rows), np.int32)


def is_tight(table_: I32, rows: int) -> bool:
    """Whether a table of keys would be more than two thirds full."""
    return 3 * rows > 2 * len(table_)


def new_among(named: U64, used: int, table_: I32, side: Seekers | Posts) -> int:
    """How many rows some keys may need: one each while there is room for so many, else one each that is new."""
    most = used + len(named)
    if most <= len(cast(I32, side)) and not is_tight(table_, most):
        return len(named)
    return int(count_new(table_, side.key, named))


def cell_of(places: F64, a_cell: int) -> float:
    """Edge of the smallest cells that hold so many places each on average, as a chord."""
    step = max(len(places) // SAMPLE, 1)
    sample = places[::step]
    edge = CELLS_M[-1] / EARTH_RADIUS_M
    for metres in CELLS_M:
        edge = metres / EARTH_RADIUS_M
        cells = len(np.unique(((sample + 1.0) / edge).astype(np.int64), axis=0))
        if len(places) >= a_cell * cells:
            break
    return edge


def index_for(places: F64, rows: int, a_cell: int, codes: int) -> Index:
    """An empty index for so many rows, of which these have a place."""
    edge = cell_of(places, a_cell) if len(places) else CELLS_M[-1] / EARTH_RADIUS_M
    sorts = rows // 16 + 512
    return layout.index(2 * rows // BLOCK + sorts, power_of_two(2 * sorts), edge, codes)


def has_room(index: Index, rows: int) -> bool:
    """Whether so many more rows fit, whatever their sorts."""
    blocks, _, sorts = (int(number) for number in index.meta)
    return blocks + rows <= len(cast(I32, index.blocks)) and 2 * (sorts + rows) <= len(cast(I32, index.heads))
