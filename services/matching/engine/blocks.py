"""The index of one side: blocks of neighbours of one sort, kept dense as rows come and go."""

from __future__ import annotations

import numpy as np

from services.matching.engine.bits import compiled
from services.matching.engine.layout import BLOCK, I32, SLOT, Float, Index, Int
from shared.kernel.geo import EARTH_RADIUS_M

REACH_M = np.array([3_000.0, 8_000.0, 20_000.0, 1e9])
"""Classes of commute limits; a block holds one class, so that who stays near is not looked at from afar."""

WIDE_CELL = 20_000 / EARTH_RADIUS_M
"""Cells from here on, as chords, hold all classes of reach together."""

CELL_BITS = 16
"""Bits of a cell's number along one axis: cells of at least 200 m."""

_REMOTE = 1 << 62
_HASH = np.uint64(0x9E3779B97F4A7C15)
_HASH_SHIFT = np.uint64(32)


@compiled
def sort_of(cell: Float, x: Float, y: Float, z: Float, kinds: Int, reach_class: Int, remote: bool) -> Int:
    """One number for a cell, a set of kinds and a class of reach; remote rows have no cell."""
    sort = np.int64(kinds) | (np.int64(reach_class) << 4)
    if remote:
        return sort | _REMOTE
    ix = np.int64((x + 1.0) / cell)
    iy = np.int64((y + 1.0) / cell)
    iz = np.int64((z + 1.0) / cell)
    return sort | (ix << 6) | (iy << (6 + CELL_BITS)) | (iz << (6 + 2 * CELL_BITS))


@compiled
def _head_of(ix: Index, sort: Int) -> Int:
    """Place of a sort among the heads, entered if new."""
    cells = ix.heads.shape[0]
    place = np.int64(((np.uint64(sort) * _HASH) >> _HASH_SHIFT) & np.uint64(cells - 1))
    while ix.heads.block[place] != -1 or ix.heads.cell_sort[place] != 0:
        if ix.heads.cell_sort[place] == sort:
            return place
        place = (place + 1) & (cells - 1)
    ix.heads.cell_sort[place] = sort
    ix.meta[2] += 1
    return place


@compiled
def _new_block(ix: Index, sort: Int) -> Int:
    block = ix.meta[1]
    if block >= 0:
        ix.meta[1] = ix.blocks.next[block]
    else:
        block = ix.meta[0]
        ix.meta[0] += 1
    ix.blocks.cell_sort[block] = sort
    ix.blocks.kinds[block] = sort & 15
    ix.blocks.used[block] = 0
    if sort & _REMOTE:
        ix.blocks.reach[block] = np.float32(-1.0)
        return block
    cell = ix.cell[0]
    axis = (1 << CELL_BITS) - 1
    ix.blocks.centre[block, 0] = (((sort >> 6) & axis) + 0.5) * cell - 1.0
    ix.blocks.centre[block, 1] = (((sort >> (6 + CELL_BITS)) & axis) + 0.5) * cell - 1.0
    ix.blocks.centre[block, 2] = (((sort >> (6 + 2 * CELL_BITS)) & axis) + 0.5) * cell - 1.0
    # Half the diagonal of a cell, and a little for the rounding of 32-bit floats.
    ix.blocks.reach[block] = 0.8661 * cell + (REACH_M[(sort >> 4) & 3] + 5.0) / EARTH_RADIUS_M
    return block


@compiled
def put_row(ix: Index, sort: Int, slot: Int, where: I32) -> Int:
    """Give a slot a position in a block of its sort; the caller fills the columns."""
    head = _head_of(ix, sort)
    block = ix.heads.block[head]
    if block < 0 or ix.blocks.used[block] == BLOCK:
        fresh = _new_block(ix, sort)
        ix.blocks.next[fresh] = block
        ix.heads.block[head] = fresh
        block = fresh
    position = block * BLOCK + ix.blocks.used[block]
    ix.blocks.used[block] += 1
    ix.codes[block, SLOT, position % BLOCK] = slot
    where[slot] = position
    return position


@compiled
def drop_row(ix: Index, slot: Int, where: I32) -> None:
    """Take a slot out; the last row of the sort's newest block moves into its place."""
    position = where[slot]
    where[slot] = -1
    head = _head_of(ix, ix.blocks.cell_sort[position // BLOCK])
    newest = ix.heads.block[head]
    last = newest * BLOCK + ix.blocks.used[newest] - 1
    if last != position:
        block, i = position // BLOCK, position % BLOCK
        for line in range(ix.hot.shape[1]):
            ix.hot[block, line, i] = ix.hot[newest, line, last % BLOCK]
        for line in range(ix.codes.shape[1]):
            ix.codes[block, line, i] = ix.codes[newest, line, last % BLOCK]
        where[np.int64(ix.codes[block, SLOT, i])] = position
    ix.blocks.used[newest] -= 1
    if ix.blocks.used[newest] == 0:
        ix.heads.block[head] = ix.blocks.next[newest]
        ix.blocks.next[newest] = ix.meta[1]
        ix.meta[1] = newest
