"""Scores of one against many, the same integers as `domain.rules.score`, bit for bit.

Distances use the operations of `shared.kernel.geo.distance_m` in its order; each is one IEEE operation here too.
Cheap filters run over whole columns, the others over what those leave, the most selective (the distance) first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from services.matching.domain import Weights
from services.matching.domain.policy import PART_MAX
from services.matching.engine.columns import Ints, PostColumns, SeekerColumns, Words
from shared.kernel.geo import EARTH_RADIUS_M, NEAR
from shared.kernel.week import SLOT_MINUTES

Index = npt.NDArray[np.intp]
Keep = npt.NDArray[np.bool_]


def seekers_for(
    seekers: SeekerColumns, posts: PostColumns, row: int, without: Sequence[int], weights: Weights
) -> tuple[Index, Ints]:
    """Slots and scores of all seekers that match a post; `without` are those placed on it."""
    keep = _cheap(seekers, posts, slice(0, len(seekers.slots)), slice(row, row + 1), without)
    slots, _, found = _scores(seekers, posts, np.flatnonzero(keep), np.array([row]), weights)
    return slots, found


def posts_for(
    seekers: SeekerColumns, posts: PostColumns, slot: int, without: Sequence[int], weights: Weights
) -> tuple[Index, Ints]:
    """Slots and scores of all posts that match a seeker; `without` are those that she is placed on."""
    keep = _cheap(seekers, posts, slice(slot, slot + 1), slice(0, len(posts.slots)), without)
    _, rows, found = _scores(seekers, posts, np.array([slot]), np.flatnonzero(keep), weights)
    return rows, found


def _cheap(seekers: SeekerColumns, posts: PostColumns, s: slice, p: slice, without: Sequence[int]) -> Keep:
    """Filters of one operation each; availability and eligibility stand in the kinds (see `columns`)."""
    keep: Keep = (seekers.kinds[s] & posts.kind[p]) != 0
    keep &= seekers.floor[s] <= posts.pay[p]
    for needed, held in zip(posts.required, seekers.skills, strict=True):
        keep &= (needed[p] & ~held[s]) == 0
    if without:
        keep[without] = False
    return keep


def _scores(
    seekers: SeekerColumns, posts: PostColumns, s: Index, p: Index, weights: Weights
) -> tuple[Index, Index, Ints]:
    """Pairs that pass the other filters, with their scores; the side of length 1 stands in every pair."""
    metres, keep = _distance(seekers, posts, s, p)
    s, p = _narrow(s, p, keep)
    metres = metres[keep]
    overlap, keep = _overlap(seekers, posts, s, p)
    s, p = _narrow(s, p, keep)
    return s, p, _total(seekers, posts, s, p, overlap[keep], metres[keep], weights)


def _pairs(s: Index, p: Index) -> int:
    """Number of pairs: a side of length 1 stands for many."""
    return len(s) if len(p) == 1 else len(p)


def _narrow(s: Index, p: Index, keep: Keep) -> tuple[Index, Index]:
    """Drop pairs; a side of length 1 that stands for many is left alone."""
    pairs = len(keep)
    return (s[keep] if len(s) == pairs else s), (p[keep] if len(p) == pairs else p)


def _distance(seekers: SeekerColumns, posts: PostColumns, s: Index, p: Index) -> tuple[Ints, Keep]:
    """Metres of each pair, and whether she travels that far (or need not travel).

    Beyond `NEAR` (255 km) the metres are not right, but "too far" is: the contract ends at 100 km.
    """
    placed = posts.placed.take(p)
    if not placed.any():
        pairs = _pairs(s, p)
        return np.zeros(pairs, np.int64), np.ones(pairs, np.bool_)
    dx, dy, dz = (home.take(s) - place.take(p) for home, place in zip(seekers.home, posts.place, strict=True))
    half_chord = np.sqrt(dx * dx + dy * dy + dz * dz) / 2.0
    square = half_chord * half_chord
    arc = half_chord * (1.0 + square * (1.0 / 6.0 + square * (3.0 / 40.0 + square * (5.0 / 112.0))))
    metres: Ints = (2.0 * EARTH_RADIUS_M * arc + 0.5).astype(np.int64)
    keep: Keep = (half_chord < NEAR) & (metres <= seekers.limit.take(s))
    keep |= ~placed
    return metres, keep


def _overlap(seekers: SeekerColumns, posts: PostColumns, s: Index, p: Index) -> tuple[Ints, Keep]:
    """Weekly minutes that each pair shares, and whether they are enough and none of them taken."""
    slots: Ints = np.zeros(_pairs(s, p), np.int64)
    if not posts.minutes.take(p).any():
        return slots, np.ones(len(slots), np.bool_)
    clash: Words = np.zeros(len(slots), np.uint64)
    for hours, free, busy in zip(posts.hours, seekers.free, seekers.busy, strict=True):
        asked = hours.take(p)
        slots += np.bitwise_count(free.take(s) & asked)
        clash |= busy.take(s) & asked
    minutes = slots * SLOT_MINUTES
    return minutes, (minutes >= posts.min_minutes.take(p)) & (clash == 0)


def _total(
    seekers: SeekerColumns, posts: PostColumns, s: Index, p: Index, overlap: Ints, metres: Ints, weights: Weights
) -> Ints:
    limit, floor = seekers.limit.take(s), seekers.floor.take(s)
    total: Ints = seekers.steady.take(s) + weights.time_fit * _share(overlap, posts.minutes.take(p))
    total = total + weights.distance * np.where(posts.placed.take(p), PART_MAX * (limit - metres) // limit, PART_MAX)
    held: Ints = np.zeros(len(total), np.int64)
    n_desired = posts.n_desired.take(p)
    if n_desired.any():
        for desired, skills in zip(posts.desired, seekers.skills, strict=True):
            held += np.bitwise_count(desired.take(p) & skills.take(s))
    total += weights.skills * _share(held, n_desired)
    total += weights.pay * np.minimum(_share(posts.pay.take(p) - floor, floor), PART_MAX)
    total += weights.facilities * FACILITY_SHARE[seekers.facilities.take(s), posts.facilities.take(p)]
    return total


def _share(part: Ints, whole: Ints) -> Ints:
    """`1000 * part // whole`, and 1000 where there is no whole."""
    if whole.all():
        return PART_MAX * part // whole
    share: Ints = np.where(whole > 0, PART_MAX * part // np.maximum(whole, 1), PART_MAX)
    return share


_wanted, _present = np.ogrid[:16, :16]
FACILITY_SHARE: Ints = _share(
    np.bitwise_count(_wanted & _present).astype(np.int64), np.bitwise_count(_wanted).astype(np.int64)
)
"""Share of the wanted facilities (first index, four bits) that is present (second index)."""
