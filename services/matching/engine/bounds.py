"""Quick bounds: a nanosecond or two a row say who cannot come before the edge of any list in question."""

from __future__ import annotations

import math

import numpy as np

from services.matching.domain.policy import PART_MAX
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
    UNNUMBERED,
    Bool,
    City,
    Float,
    Index,
    Int,
    X,
    Y,
    Z,
)
from services.matching.engine.pair import ASKED_SHIFT, DISTANCE, FACILITIES, HIGH_SHIFT, NINE_BITS, NONE, TIME
from services.matching.engine.pair import PAY as WAGE
from services.matching.engine.pair import SKILLS as SKILLED
from shared.kernel.geo import EARTH_RADIUS_M

NOBODY = 1e30
"""An edge before which nobody comes, as a float."""

SLACK = np.float32(3.0 / EARTH_RADIUS_M)
"""Three metres as a chord: positions as 32-bit floats are off by up to one, and metres are rounded."""

F0, F1, F2 = np.float32(0.0), np.float32(1.0), np.float32(2.0)
NEARLY = np.float32(0.9999)
WITHIN = SURELY = np.float32(1.0001)
OUT = np.float32(-1.0)
NO_SKILL = np.uint32(0)
LOW_WORD = np.uint64(0xFFFF_FFFF)

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
    return 1.0 / floor if floor > 0 else 1e20


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
    away: F32,
) -> None:
    """Bound of the base score with each post of a block, -1 where it can make no difference.

    Writes the share of her limit that the way to each takes into `away`.

    Args:
        per_limit: 1 / her limit, 0 for posts that have no place.
    """
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
        away[i] = share


@compiled_fast
def bound_seekers(
    hot: F32,
    codes: U32,
    placed: Float,
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
    away: F32,
) -> None:
    """Bound of the base score with each seeker of a block, as `bound_posts`.

    Args:
        placed: 1, or 0 for a post that has no place.
    """
    for i in range(BLOCK):
        dx = hot[X, i] - x
        dy = hot[Y, i] - y
        dz = hot[Z, i] - z
        share = max(np.float32(math.sqrt(dx * dx + dy * dy + dz * dz)) - SLACK, F0) * hot[LIMIT, i] * placed
        ratio = wage * hot[FLOOR, i]
        lacks = ~codes[SKILLS, i]
        bound = rest + (F1 - share) * distance + min(ratio - F1, F1) * pay
        bound -= np.float32(ones32(desired & lacks)) * skilled
        good = (share <= WITHIN) & (ratio >= NEARLY) & (required & lacks == NO_SKILL)
        good &= (bound >= hot[EDGE, i] + far) | (bound + hot[STEADY, i] >= own)
        out[i] = bound if good else OUT
        away[i] = share


@compiled
def rest_of(city: City) -> Float:
    """Time, skills and facilities in full, and one point for the rounding of floats."""
    rules = city.rules
    return np.float32((rules[TIME] + rules[SKILLED] + rules[FACILITIES]) * PART_MAX + 1)


@compiled
def loss_of(city: City) -> Float:
    """How far a bound may lie above the score but for the way: that point, and what is rounded down in each part."""
    rules = city.rules
    return np.float32(rules[TIME] + rules[DISTANCE] + rules[SKILLED] + rules[WAGE] + 2)


@compiled
def blur_of(city: City) -> Float:
    """What `SLACK` either way makes of the distance part, for a limit of 1."""
    return np.float32(F2 * SLACK * city.rules[DISTANCE] * PART_MAX)


@compiled
def is_sure(fit: Float, least: Float, ratio: Float, away: Float, per_limit: Float) -> Bool:
    """Whether a pair that bounds did not rule out has time, pay and the way certainly on its side."""
    return fit >= least + MARGIN and ratio >= SURELY and away + F2 * SLACK * per_limit <= NEARLY


@compiled
def is_loose(city: City, p: Int) -> bool:
    """Whether bounds of a post's scores may be far off; see `layout.LOOSE`."""
    posts, more = city.posts, city.post_more
    if posts.pattern[p] == UNNUMBERED or (posts.row[p, 6] | posts.row[p, 7]) > LOW_WORD:
        return True
    for w in range(more.shape[1]):  # noqa: SIM110  # compiled: no generators
        if more[p, w] != NONE:
            return True
    return False


@compiled
def is_near(ix: Index, block: Int, x: Float, y: Float, z: Float, reach: Float) -> Bool:
    """Whether anybody of a block can be within reach of a point."""
    own = ix.blocks.reach[block]
    if own < F0:
        return True
    dx, dy, dz = ix.blocks.centre[block, 0] - x, ix.blocks.centre[block, 1] - y, ix.blocks.centre[block, 2] - z
    far = own + reach
    return dx * dx + dy * dy + dz * dz <= far * far
