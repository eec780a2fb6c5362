"""Quick bounds: a few nanoseconds a row say who cannot come before the edge of any list in question."""

from __future__ import annotations

import math

import numpy as np

from services.matching.domain.policy import PART_MAX
from services.matching.engine.bits import compiled, compiled_fast, ones
from services.matching.engine.blocks import EARTH_RADIUS_M
from services.matching.engine.layout import (
    BLOCK,
    EDGE,
    F32,
    FLOOR,
    LIMIT,
    PAY,
    POST_EDGE,
    STEADY,
    U64,
    Bool,
    City,
    Float,
    Index,
    Int,
    X,
    Y,
    Z,
)
from services.matching.engine.pair import TAIL, TIME, quotient
from services.matching.engine.staging import PATTERNS_MAX

NOBODY = 1e30
"""An edge before which nobody comes, as a float."""

SLACK = np.float32(3.0 / EARTH_RADIUS_M)
"""Three metres as a chord: positions as 32-bit floats are off by up to one, and metres are rounded."""

F0, F1 = np.float32(0.0), np.float32(1.0)
NEARLY = np.float32(0.9999)
WITHIN = np.float32(1.0001)
OUT = np.float32(-1.0)


@compiled
def chord_of(metres: Int) -> Float:
    """Chord of a commute limit on the unit sphere; never longer than the arc."""
    return metres / EARTH_RADIUS_M


@compiled
def floor_inverse(floor: Int) -> Float:
    """1 / pay floor; no floor makes any pay more than enough."""
    return 1.0 / floor if floor > 0 else 1e30


@compiled_fast
def bound_posts(
    hot: F32,
    remote: bool,
    x: Float,
    y: Float,
    z: Float,
    per_limit: Float,
    per_floor: Float,
    rest: Float,
    distance: Float,
    pay: Float,
    peak: Float,
    own: Float,
    out: F32,
) -> None:
    """Bound of the base score with each post of a block, -1 where it can make no difference."""
    if remote:
        for i in range(BLOCK):
            ratio = max(hot[PAY, i], F1) * per_floor
            bound = rest + distance + min(ratio - F1, F1) * pay
            good = (ratio >= NEARLY) & ((bound + peak >= hot[POST_EDGE, i]) | (bound >= own))
            out[i] = bound if good else OUT
        return
    for i in range(BLOCK):
        dx = hot[X, i] - x
        dy = hot[Y, i] - y
        dz = hot[Z, i] - z
        share = max(np.float32(math.sqrt(dx * dx + dy * dy + dz * dz)) - SLACK, F0) * per_limit
        ratio = max(hot[PAY, i], F1) * per_floor
        bound = rest + (F1 - share) * distance + min(ratio - F1, F1) * pay
        good = (share <= WITHIN) & (ratio >= NEARLY) & ((bound + peak >= hot[POST_EDGE, i]) | (bound >= own))
        out[i] = bound if good else OUT


@compiled_fast
def bound_seekers(
    hot: F32,
    remote: bool,
    x: Float,
    y: Float,
    z: Float,
    wage: Float,
    rest: Float,
    distance: Float,
    pay: Float,
    own: Float,
    far: Float,
    out: F32,
) -> None:
    """Bound of the base score with each seeker of a block, -1 where it can make no difference."""
    if remote:
        for i in range(BLOCK):
            ratio = wage * hot[FLOOR, i]
            bound = rest + distance + min(ratio - F1, F1) * pay
            good = (ratio >= NEARLY) & ((bound >= hot[EDGE, i] + far) | (bound + hot[STEADY, i] >= own))
            out[i] = bound if good else OUT
        return
    for i in range(BLOCK):
        dx = hot[X, i] - x
        dy = hot[Y, i] - y
        dz = hot[Z, i] - z
        share = max(np.float32(math.sqrt(dx * dx + dy * dy + dz * dz)) - SLACK, F0) * hot[LIMIT, i]
        ratio = wage * hot[FLOOR, i]
        bound = rest + (F1 - share) * distance + min(ratio - F1, F1) * pay
        good = (share <= WITHIN) & (ratio >= NEARLY) & ((bound >= hot[EDGE, i] + far) | (bound + hot[STEADY, i] >= own))
        out[i] = bound if good else OUT


@compiled
def loss_of(city: City, pattern: Int, mask: U64, row: Int, total: Int) -> Float:
    """What a pattern of hours lacks of the full time part with the hours of `mask[row]`; computed once a sweep.

    Args:
        total: half hours of the post; 0: of the pattern, which is the post's.
    """
    work = city.work
    if pattern == PATTERNS_MAX:
        return np.float32(0.0)
    if work.seen[pattern] != work.counts[5]:
        overlap, of = 0, 0
        for w in range(5):
            overlap += ones(city.patterns[pattern, w] & mask[row, w])
            of += ones(city.patterns[pattern, w])
        overlap += ones(city.patterns[pattern, 5] & mask[row, 5] & TAIL)
        of = total if total else of + ones(city.patterns[pattern, 5])
        full = city.rules[TIME] * PART_MAX
        part = city.rules[TIME] * quotient(PART_MAX * overlap, of) if of else full
        work.loss[pattern] = np.float32(full - part)
        work.seen[pattern] = work.counts[5]
    return work.loss[pattern]


@compiled
def is_near(ix: Index, block: Int, x: Float, y: Float, z: Float, reach: Float) -> Bool:
    """Whether anybody of a block can be within reach of a point."""
    own = ix.blocks.reach[block]
    if own < F0:
        return True
    dx, dy, dz = ix.blocks.centre[block, 0] - x, ix.blocks.centre[block, 1] - y, ix.blocks.centre[block, 2] - z
    far = own + reach
    return dx * dx + dy * dy + dz * dz <= far * far
