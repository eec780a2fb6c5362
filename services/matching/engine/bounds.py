"""Quick bounds: a few nanoseconds a row say who cannot come before the edge of any list in question."""

from __future__ import annotations

import math

import numpy as np

from services.matching.engine.bits import compiled, compiled_fast, ones32
from services.matching.engine.layout import (
    BLOCK,
    DESIRED,
    EDGE,
    F32,
    FLOOR,
    LIMIT,
    PAY,
    PER_DESIRE,
    POST_EDGE,
    SKILLS,
    STEADY,
    U32,
    Bool,
    City,
    Float,
    Index,
    Int,
    X,
    Y,
    Z,
)
from services.matching.engine.pair import ASKED_SHIFT, HIGH_SHIFT, NINE_BITS
from shared.kernel.geo import EARTH_RADIUS_M

NOBODY = 1e30
"""An edge before which nobody comes, as a float."""

SLACK = np.float32(3.0 / EARTH_RADIUS_M)
"""Three metres as a chord: positions as 32-bit floats are off by up to one, and metres are rounded."""

F0, F1 = np.float32(0.0), np.float32(1.0)
NEARLY = np.float32(0.9999)
WITHIN = np.float32(1.0001)
OUT = np.float32(-1.0)
NO_SKILL = np.uint32(0)

TOLERANCE = 1e-4
"""Of shares of hours, whose exact limits are whole half hours, at least 1 / 336 apart."""


MARGIN = np.float32(3 * TOLERANCE)
"""So much above the least share that a post asks for a share is certainly enough."""


@compiled
def chord_of(metres: Int) -> Float:
    """Chord of a commute limit on the unit sphere; never longer than the arc."""
    return metres / EARTH_RADIUS_M


@compiled
def floor_inverse(floor: Int) -> Float:
    """1 / pay floor; no floor makes any pay more than enough."""
    return 1.0 / floor if floor > 0 else 1e30


@compiled
def per_desire_of(city: City, p: Int) -> Float:
    """1 / number of skills that a post desires; 0 where it desires none."""
    desired = city.posts.desired[p]
    return np.float32(1.0 / desired if desired else 0.0)


@compiled
def least_of(city: City, p: Int) -> Float:
    """Share of a post's hours that a seeker must have free, a little less for the rounding of floats."""
    word = city.posts.row[p, 5]
    half_hours, asked = np.int64((word >> HIGH_SHIFT) & NINE_BITS), np.int64(word >> ASKED_SHIFT)
    return np.float32(asked / (30.0 * half_hours) - TOLERANCE if half_hours else -TOLERANCE)


@compiled_fast
def bound_posts(
    hot: F32,
    codes: U32,
    remote: bool,
    x: Float,
    y: Float,
    z: Float,
    per_limit: Float,
    per_floor: Float,
    skills: Int,
    rest: Float,
    distance: Float,
    pay: Float,
    skilled: Float,
    peak: Float,
    own: Float,
    out: F32,
) -> None:
    """Bound of the base score with each post of a block, -1 where it can make no difference."""
    if remote:
        for i in range(BLOCK):
            ratio = max(hot[PAY, i], F1) * per_floor
            missing = np.float32(ones32(codes[DESIRED, i] & ~skills)) * hot[PER_DESIRE, i]
            bound = rest + distance + min(ratio - F1, F1) * pay - missing * skilled
            good = (ratio >= NEARLY) & (codes[SKILLS, i] & ~skills == NO_SKILL)
            good &= (bound + peak >= hot[POST_EDGE, i]) | (bound >= own)
            out[i] = bound if good else OUT
        return
    for i in range(BLOCK):
        dx = hot[X, i] - x
        dy = hot[Y, i] - y
        dz = hot[Z, i] - z
        share = max(np.float32(math.sqrt(dx * dx + dy * dy + dz * dz)) - SLACK, F0) * per_limit
        ratio = max(hot[PAY, i], F1) * per_floor
        missing = np.float32(ones32(codes[DESIRED, i] & ~skills)) * hot[PER_DESIRE, i]
        bound = rest + (F1 - share) * distance + min(ratio - F1, F1) * pay - missing * skilled
        good = (share <= WITHIN) & (ratio >= NEARLY) & (codes[SKILLS, i] & ~skills == NO_SKILL)
        good &= (bound + peak >= hot[POST_EDGE, i]) | (bound >= own)
        out[i] = bound if good else OUT


@compiled_fast
def bound_seekers(
    hot: F32,
    codes: U32,
    remote: bool,
    x: Float,
    y: Float,
    z: Float,
    wage: Float,
    required: Int,
    desired: Int,
    rest: Float,
    distance: Float,
    pay: Float,
    skilled: Float,
    own: Float,
    far: Float,
    out: F32,
) -> None:
    """Bound of the base score with each seeker of a block, -1 where it can make no difference."""
    if remote:
        for i in range(BLOCK):
            ratio = wage * hot[FLOOR, i]
            lacks = ~codes[SKILLS, i]
            bound = rest + distance + min(ratio - F1, F1) * pay - np.float32(ones32(desired & lacks)) * skilled
            good = (ratio >= NEARLY) & (required & lacks == NO_SKILL)
            good &= (bound >= hot[EDGE, i] + far) | (bound + hot[STEADY, i] >= own)
            out[i] = bound if good else OUT
        return
    for i in range(BLOCK):
        dx = hot[X, i] - x
        dy = hot[Y, i] - y
        dz = hot[Z, i] - z
        share = max(np.float32(math.sqrt(dx * dx + dy * dy + dz * dz)) - SLACK, F0) * hot[LIMIT, i]
        ratio = wage * hot[FLOOR, i]
        lacks = ~codes[SKILLS, i]
        bound = rest + (F1 - share) * distance + min(ratio - F1, F1) * pay
        bound -= np.float32(ones32(desired & lacks)) * skilled
        good = (share <= WITHIN) & (ratio >= NEARLY) & (required & lacks == NO_SKILL)
        good &= (bound >= hot[EDGE, i] + far) | (bound + hot[STEADY, i] >= own)
        out[i] = bound if good else OUT


@compiled
def is_near(ix: Index, block: Int, x: Float, y: Float, z: Float, reach: Float) -> Bool:
    """Whether anybody of a block can be within reach of a point."""
    own = ix.blocks.reach[block]
    if own < F0:
        return True
    dx, dy, dz = ix.blocks.centre[block, 0] - x, ix.blocks.centre[block, 1] - y, ix.blocks.centre[block, 2] - z
    far = own + reach
    return dx * dx + dy * dy + dz * dz <= far * far
